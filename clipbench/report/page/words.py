"""Words of the page alone."""

from clipbench.report import metric_words as words


def metric_words(name: str) -> str:
    """Return a metric's name as it begins a line."""
    text = words.metric_words(name)
    return text[:1].upper() + text[1:]


def when(started: str) -> str:
    """Return ``2026-11-23T16:43:11.782Z`` as ``2026-11-23 16:43 UTC``."""
    return f"{started[:10]} {started[11:16]} UTC"


def key_words(key: str) -> str:
    """Return what a key of the configuration sets, for the head of a column."""
    return key.rpartition(".")[2].replace("_", " ")
