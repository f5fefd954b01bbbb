"""Fuzzing: valid files are changed at random, put into folders with others, and given to the commands."""
