"""Files: formats, schemas, locks, hashes, and errors of the disk."""
