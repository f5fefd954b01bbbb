"""Devices of a case: which are there, which one is used, what was tuned and what reads its sensors."""
