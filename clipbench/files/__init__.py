"""Files: formats, schemas, locks, and what the disk refuses."""
