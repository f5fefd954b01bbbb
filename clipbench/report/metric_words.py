"""What people call the metrics and their units: the same words in every output."""

_WORDS = {
    **{f"{side}_recall@{k}": f"{side} R@{k}" for side in ("text", "image") for k in (1, 5, 10)},
    "mean_per_class_recall": "mean per class",
    "val_loss": "validation loss",
    "train_loss": "training loss",
    "seconds_to_quality": "time to quality",
    "fixed_batch_loss": "loss on one batch",
    "float32_error": "float32 error",
    "energy_per_1000_pairs": "energy per 1,000 pairs",
}


def metric_words(name: str) -> str:
    """Return a metric's name for people; one that is not known keeps its own, without underscores."""
    return _WORDS.get(name) or name.replace("_", " ")


def unit_words(unit: str) -> str:
    """Return the unit as it stands after a number."""
    return "%" if unit == "percent" else unit
