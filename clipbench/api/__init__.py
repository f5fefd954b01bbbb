"""What a plugin imports: hooks, specs, plain data, events, results, errors and the protocols that the core calls.

Standard library and numpy types only, so that importing it never costs a framework. Each name is imported when it is
first used: a plugin that lists its specs does not wait for the classes of events and results.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import pluggy

# isort: off
# fmt: off
if TYPE_CHECKING:
    from clipbench.api import events
    from clipbench.api.config import Case, LossConfig, OptimizerConfig
    from clipbench.api.data import (
        Batch, Classes, DataFinding, DatasetRequest, DeviceInfo, EvaluatedSplit, Fingerprint, LearnerJob, LearnerState,
        Measurement, Missing, Precision, Probe, Reading, StepReport, TensorRef, World,
    )
    from clipbench.api.heartbeat import WatchedGroup
    from clipbench.api.loader import ProcessLoader
    from clipbench.api.plain import ABSENT, finite, from_plain, leaves, to_plain, value_at
    from clipbench.api.processes import exit_with_parent
    from clipbench.api.protocols import (
        ClassifiedSplit, Dataset, Device, Engine, Evaluation, Group, Learner, Loader, Meter, Observer, Split, Tokenizer,
    )
    from clipbench.api.result import EpochRecord, Metric, PerQuery, QueryRanks, Result, Window
    from clipbench.api.specs import (
        DatasetSpec, DeviceSpec, Direction, EngineSpec, EvaluationSpec, MeterSpec, ModelSpec, ObserverSpec,
        package_missing,
    )
    from clipbench.clip.config import (
        BERT_VARIANTS, BPE, CLIP_TINY, CLIP_VIT_B16, CLIP_VIT_B32, CLIP_VIT_L14, CLIP_VIT_L14_336, VARIANTS, WORDPIECE,
        ClipConfig, TokenizerSpec,
    )
    from clipbench.clip.flops import training_flops
    from clipbench.clip.initial_weights import initial_weights, parameter_shapes
    from clipbench.clip.pictures import (
        PICTURE_SUFFIXES, PictureError, open_picture, read_picture, strict_pictures,
    )
    from clipbench.errors import (
        CaseFailedError, ClipbenchError, ExitCode, InvalidFileError, NotReadyError, UsageError, did_you_mean
    )
# fmt: on
# isort: on

hookimpl = pluggy.HookimplMarker("clipbench")

# Where the names of __all__ are found; looked through in this order.
_MODULES = (
    "api.specs", "errors", "clip.config", "api.config", "api.data", "api.result", "api.plain", "api.processes",
    "api.heartbeat", "api.protocols", "api.loader", "clip.flops", "clip.initial_weights",
    "clip.pictures",
)  # fmt: skip

__all__ = [
    "ABSENT", "BERT_VARIANTS", "BPE", "CLIP_TINY", "CLIP_VIT_B16", "CLIP_VIT_B32", "CLIP_VIT_L14", "CLIP_VIT_L14_336",
    "PICTURE_SUFFIXES", "VARIANTS", "WORDPIECE", "Batch", "Case", "CaseFailedError", "Classes", "ClassifiedSplit",
    "ClipConfig", "ClipbenchError", "DataFinding", "Dataset", "DatasetRequest", "DatasetSpec", "Device", "DeviceInfo",
    "DeviceSpec", "Direction", "Engine", "EngineSpec", "EpochRecord", "EvaluatedSplit", "Evaluation", "EvaluationSpec",
    "ExitCode", "Fingerprint", "Group", "InvalidFileError", "Learner", "LearnerJob", "LearnerState", "Loader",
    "LossConfig", "Measurement", "Meter", "MeterSpec", "Metric", "Missing", "ModelSpec", "NotReadyError", "Observer",
    "ObserverSpec", "OptimizerConfig", "PerQuery", "PictureError", "Precision", "Probe", "ProcessLoader", "QueryRanks",
    "Reading", "Result", "Split", "StepReport", "TensorRef", "Tokenizer", "TokenizerSpec", "UsageError", "WatchedGroup",
    "Window", "World", "did_you_mean", "events", "exit_with_parent", "finite", "from_plain", "hookimpl",
    "initial_weights", "leaves", "open_picture", "package_missing", "parameter_shapes", "read_picture",
    "strict_pictures", "to_plain", "training_flops", "value_at",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker is to complain of a name that is not there

    def __getattr__(name: str) -> object:
        if name == "events":  # a module, which none of the others has
            return import_module("clipbench.api.events")
        if name in __all__:
            for module in _MODULES:
                try:
                    value = getattr(import_module(f"clipbench.{module}"), name)
                except AttributeError:
                    continue
                globals()[name] = value
                return value
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
