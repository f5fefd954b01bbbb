"""Results: written, read, collected."""
