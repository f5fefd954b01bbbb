"""One rank's training: the loop, and what it needs."""
