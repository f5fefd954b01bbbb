"""Words of the page alone."""

METRICS = {
    **{f"{side}_recall@{k}": f"{side.capitalize()} R@{k}" for side in ("text", "image") for k in (1, 5, 10)},
    "text_recall_mean": "Text mean",
    "image_recall_mean": "Image mean",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
    "samples_per_second": "Throughput",
    "seconds_to_quality": "Time to quality",
    "loss_curve": "Loss curve, relative error",
    "fixed_batch_loss": "Loss left on one batch",
    "float32_error": "Error of float32",
}


def metric_words(name: str) -> str:
    """Return a metric's name for people; one that is not known keeps its own, without underscores."""
    return METRICS.get(name) or name.replace("_", " ").capitalize()


def unit_words(unit: str) -> str:
    """Return the unit as it stands after a number."""
    return "%" if unit == "percent" else unit


def when(started: str) -> str:
    """Return ``2026-11-23T16:43:11.782Z`` as ``2026-11-23 16:43 UTC``."""
    return f"{started[:10]} {started[11:16]} UTC"
