"""Offers that break one promise each; the name says which check must find it: ``CHECK`` or ``CHECK.detail``."""

from clipbench.api import DatasetSpec, DeviceSpec, EngineSpec, EvaluationSpec, ModelSpec, ObserverSpec, hookimpl
from clipbench.clip.config import ClipConfig

HERE = "tests.support.broken_plugins"
TINY = ClipConfig(
    embed_dim=32, image_size=32, patch_size=8, vision_width=8, vision_layers=1, vision_heads=1,
    text_width=8, text_layers=1, text_heads=1, vocab_size=100,
)  # fmt: skip

DEVICES = {
    "good": "Good",
    "cpu": "Cpu",
    "name": "Good",
    "unavailable": "SilentlyUnavailable",
    "info": "NoDevices",
    "precisions": "HalfOnly",
    "precision": "CoarseProducts",
    "synchronize": "EarlyClock",
    "tune": "ForgetfulTune",
    "tune.json": "UnserialisableTune",
    "seed": "Drifting",
    "agreement": "CoarseWeights",
    "peak-memory": "NeverReset",
    "peak-memory.small": "TooSmall",
    "peak-memory.large": "MoreThanThereIs",
    "free-memory": "FreeMoreThanTotal",
    "peak-flops": "FlopsInTera",
    "others": "OthersAsText",
    "environment-variables": "OddVariables",
    "select": "SelectOnce",
}
ENGINES = {
    "good-engine": "GoodEngine",
    "lone": "GoodEngine",
    "problem": "EmptyProblem",
    "versions": "NoVersions",
    "probe": "ProbesAsDicts",
    "weights": "AnyWeights",
    "loader": "BackwardLoader",
    "reports": "SwappedReports",
    "flops": "ConstantFlops",
    "not-finite": "NeverNotFinite",
    "features": "DoubleFeatures",
    "features.batch": "BatchNorm",
    "padding": "CountsPadding",
    "logit-scale": "ScaleItself",
    "describe": "DescribesNan",
    "resume": "ForgetsTexts",
    "foreign-state": "WrongError",
    "rate": "AlwaysMoves",
    "rate.inputs": "WritesInputs",
    "start": "UnseededStart",
    "training": "NeverLearns",
    "micro-batches": "HalvesLoss",
}
DATASETS = {
    "good-pairs": "Pairs",
    "captions": "CaptionsAsText",
    "captions.empty": "EmptyCaption",
    "images": "ImagesAsArrays",
    "repeat": "ImagesOfTheObject",
    "pickle": "Unpicklable",
    "fingerprint": "WrongCounts",
    "sizes": "WrongSizes",
    "missing": "RaisesOnEmptyRoot",
    "skipped": "SkippedUnknown",
    "warnings": "NoWarnings",
    "prepare": "PrepareOnce",
}
OBSERVERS = {
    "good-log": "Log",
    "events": "NeedsLoss",
    "failure": "NeedsSuccess",
    "unknown-event": "KnowsAll",
    "close": "NeedsEvents",
    "observer-resume": "StartsAnew",
    "read-only": "Rewrites",
    "files": "WritesElsewhere",
    "files.json": "WritesJson",
}

EVALUATIONS = {
    "good-fit": "Fit",
    "metrics": "Fit",
    "texts": "EmptyText",
    "lacking": "MakesDo",
    "measure": "OtherMetric",
    "measure.per-query": "HalvesPerQuery",
    "measure.silent": "Silent",
    "pure": "Counts",
    "pure.writes": "WritesFeatures",
    "length": "NeedsUnitLength",
}


@hookimpl
def clipbench_engines():
    return [
        *(EngineSpec(name, "for tests", f"{HERE}.engines:{load}") for name, load in ENGINES.items()),
        EngineSpec("spec", "two\nlines", f"{HERE}.engines:GoodEngine"),
    ]


@hookimpl
def clipbench_devices():
    # Engine "lone" has no device called cpu, with which seeds that do not repeat would disagree too.
    broken = [
        DeviceSpec(name, "lone" if name == "seed" else "good-engine", "for tests", load, trusted=name == "cpu")
        for name, load in ((name, f"{HERE}.devices:{load}") for name, load in DEVICES.items())
    ]
    sound = [DeviceSpec(f"on-{name}", name, "for tests", f"{HERE}.devices:Good") for name in (*ENGINES, "spec")]
    return [*broken, *sound]


@hookimpl
def clipbench_models():
    engines = [*ENGINES, "spec"]
    good = [ModelSpec(f"tiny-{name}", name, "for tests", TINY, f"{HERE}.engines:Learner") for name in engines]
    odd = ClipConfig(**{**vars(TINY), "patch_size": 7})
    return [*good, ModelSpec("config", "good-engine", "for tests", odd, f"{HERE}.engines:Learner")]


@hookimpl
def clipbench_datasets():
    return [DatasetSpec(name, "for tests", f"{HERE}.datasets:{load}") for name, load in DATASETS.items()]


@hookimpl
def clipbench_observers():
    return [ObserverSpec(name, "for tests", f"{HERE}.observers:{load}") for name, load in OBSERVERS.items()]


@hookimpl
def clipbench_evaluations():
    return [
        EvaluationSpec(name, "for tests", f"{HERE}.evaluations:{load}", {"fit": (unit, "higher")})
        for name, load, unit in ((name, load, "share" * (name != "metrics")) for name, load in EVALUATIONS.items())
    ]
