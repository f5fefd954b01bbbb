"""The commands, one file each: they read, call and hand over to report."""
