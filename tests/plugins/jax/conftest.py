"""What every test with JAX starts from."""

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def quick_compilation():
    """Programs that are compiled in half the time: tests run each of them once or twice."""
    before = os.environ.get("XLA_FLAGS")
    os.environ["XLA_FLAGS"] = f"{before or ''} --xla_backend_optimization_level=0"
    import jax

    jax.devices()  # reads the variable, which processes that tests start are not to have
    if before is None:
        del os.environ["XLA_FLAGS"]
    else:
        os.environ["XLA_FLAGS"] = before
