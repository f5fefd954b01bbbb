"""The figures of a result: names, units, and the one definition of each."""
