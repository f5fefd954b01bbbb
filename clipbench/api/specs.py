"""Specs: what a plugin offers, light enough to list without importing anything heavy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from clipbench.clip.config import ClipConfig

Direction = Literal["higher", "lower"]

# What is said of a device whose spec is not ``tried``.
UNTRIED = "by the vendor's documentation, not yet run"


@dataclass(frozen=True)
class EngineSpec:
    """A framework that computes; ``load`` is ``"package.module:attribute"``, called without arguments for an Engine."""

    name: str
    summary: str
    load: str


@dataclass(frozen=True)
class DeviceSpec:
    """A kind of accelerator for one engine.

    ``load`` is ``"package.module:attribute"``, called without arguments for a Device. Where ``argument`` names
    something, the spec stands for devices that a suite calls ``NAME:ARGUMENT``, and the argument is given to ``load``.
    Device ``auto`` takes the available device with the highest ``priority``, and none with an argument. ``install``
    says what to do where ``load`` cannot be imported. ``absent`` returns why the device cannot be here, or None where
    it must be asked itself; it imports nothing, so that a machine without the device loses no time (see
    ``package_missing``). ``tried`` is whether the plugin was ever run on the hardware. A ``trusted`` device is the
    engine's own measure: a check of numerics compares the float32 of its other devices with this one's.
    """

    name: str
    engine: str
    summary: str
    load: str
    priority: int = 0
    install: str = ""
    absent: Callable[[], str | None] | None = None
    tried: bool = True
    trusted: bool = False
    argument: str = ""


def package_missing(package: str, source: str) -> str | None:
    """Return that a top-level ``package`` is not installed, and where it comes from; None where it is."""
    return None if find_spec(package) else f"{package} is not installed: {source}"


@dataclass(frozen=True)
class DatasetSpec:
    """A source of picture-caption pairs; ``load`` is called with a DatasetRequest for a Dataset.

    A folder in which one of the globs ``layouts`` finds a file may be a data root of this dataset. ``clipbench
    validate`` then calls what ``check`` names with (root, deep) for a list of DataFindings, empty if it is none.
    ``terms`` say what may be done with its pictures; they are shown wherever pictures are.
    """

    name: str
    summary: str
    load: str
    layouts: tuple[str, ...] = ()
    check: str | None = None
    terms: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """An architecture for one engine; ``load`` is what the engine calls with the ClipConfig to build it."""

    name: str
    engine: str
    summary: str
    config: ClipConfig
    load: str


@dataclass(frozen=True)
class EvaluationSpec:
    """A way to judge what a model has learnt; ``load`` is called without arguments for an Evaluation.

    ``metrics`` are what it returns, by name: the unit, and the direction that is better.
    """

    name: str
    summary: str
    load: str
    metrics: Mapping[str, tuple[str, Direction]]

    def __hash__(self) -> int:
        return hash(self.name)  # a mapping has none


@dataclass(frozen=True)
class MeterSpec:
    """Sensors of some kinds of device; ``load`` is called with (kind, local_rank) for a Meter.

    ``devices`` names the kinds. Of several meters for a kind, the first that is available is used, by name.
    """

    name: str
    devices: tuple[str, ...]
    summary: str
    load: str


@dataclass(frozen=True)
class ObserverSpec:
    """Something that writes down how a run goes; ``load`` is called with (case, run_id, folder) for an Observer.

    ``install`` says what to do where ``load`` cannot be imported.
    """

    name: str
    summary: str
    load: str
    install: str = ""
