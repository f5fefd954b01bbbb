import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return the working folder of this test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
