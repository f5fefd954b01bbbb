"""Benchmarks of clipbench itself, each run as ``python -m benchmarks.NAME``."""
