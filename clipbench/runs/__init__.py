"""Runs: the processes of a case, and the folder they leave."""
