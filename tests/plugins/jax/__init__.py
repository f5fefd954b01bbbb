"""Tests with JAX, which is left out where it is not installed: pytest says so."""

import pytest

pytest.importorskip("jax", reason="JAX is not installed: pip install 'clipbench[jax]'")
