"""Benchmarks of clipbench itself, each run as ``python -m benchmarks.NAME``."""

import os

# GNU's OpenMP reads this once, when torch is imported; the torch engine sets the same value before it imports torch.
# Python runs this file before any module of the package, so a benchmark may import torch wherever it likes.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
