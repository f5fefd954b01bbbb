"""Names, units and good directions of all metrics that clipbench knows itself."""

from collections.abc import Mapping

from clipbench.api.specs import Direction

RECALL_AT = (1, 5, 10)
RECALL_NAMES = (
    *(f"{side}_recall{at}" for side in ("text", "image") for at in (*(f"@{k}" for k in RECALL_AT), "_mean")),
    "recall_mean",
)
ACCURACY_NAMES = ("acc1", "acc5", "mean_per_class_recall")
# With fewer classes, the right one is nearly always among the first five.
FEW_CLASSES = 5
BEST_METRIC = "recall_mean"
THROUGHPUT = "throughput"
ENERGY = "energy_per_1000_pairs"

UNITS_AND_DIRECTIONS: Mapping[str, tuple[str, Direction]] = {
    **{name: ("percent", "higher") for name in (*RECALL_NAMES, *ACCURACY_NAMES)},
    "val_loss": ("nats", "lower"),
    "train_loss": ("nats", "lower"),
    THROUGHPUT: ("pairs/s", "higher"),
    ENERGY: ("J", "lower"),
    # Computed from a whole run when it is compared, not stored in a result.
    "seconds_to_quality": ("s", "lower"),
    "epochs_to_quality": ("epochs", "lower"),
    "energy_to_quality": ("J", "lower"),
    "loss_curve": ("percent", "lower"),
    # Of the check of numerics.
    "fixed_batch_loss": ("percent", "lower"),
    "float32_error": ("relative", "lower"),
}
