"""Results of a folder, found and read, with an index of those that were read before."""
