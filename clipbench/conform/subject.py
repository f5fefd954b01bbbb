"""What is checked: one thing that an installed plugin offers, and the engine and device that it is checked on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from clipbench.api import (
    Case,
    Dataset,
    DatasetRequest,
    DatasetSpec,
    Device,
    DeviceSpec,
    Engine,
    EngineSpec,
    EvaluationSpec,
    Missing,
    ModelSpec,
    NotReadyError,
    ObserverSpec,
)
from clipbench.api.guarded import unguarded
from clipbench.api.protocols import Evaluation
from clipbench.api.registry import Plugin, Registry, load_object
from clipbench.clip.flops import training_flops
from clipbench.files.bundled import bundled
from clipbench.runs.devices.choosing import AUTO
from clipbench.runs.devices.opening import find_device
from clipbench.suites.loading import load_suite
from clipbench.suites.plan import cache_folder

Spec = EngineSpec | DeviceSpec | DatasetSpec | EvaluationSpec | ModelSpec | ObserverSpec


@dataclass(frozen=True)
class Subject:
    """One plugin's ``kind`` and ``name``.

    ``of_engine`` tells devices and models of one name apart. ``device_name`` is what engines and models are checked on;
    ``root``, ``splits`` and ``options`` are a dataset's.
    ``scratch`` is an empty folder.
    """

    kind: str
    name: str
    registry: Registry
    scratch: Path
    device_name: str = AUTO
    root: Path = Path("data")
    splits: tuple[str, str] = ("en_train", "en_val")
    options: Mapping[str, Any] = field(default_factory=dict)
    of_engine: str | None = None

    @cached_property
    def spec(self) -> Any:  # noqa: ANN401 -- the kind decides
        return self._offers.get(self.name, self.kind, self.of_engine)

    @property
    def plugin(self) -> Plugin:
        plugin: Plugin = self._offers.origin[self.spec]
        return plugin

    @property
    def module(self) -> str:
        """Return the name of the module that the plugin's entry point names."""
        module = self.registry.manager.get_plugin(f"{self.plugin.distribution}:{self.plugin.name}")
        return str(module.__name__)  # type: ignore[union-attr]

    @cached_property
    def engine(self) -> Engine:
        """Return the engine; raise NotReadyError if its framework cannot be used."""
        engine: Engine = load_object(self.registry.engines.get(self.engine_name, "engine").load)()
        if problem := engine.problem():
            raise NotReadyError(f"engine {self.engine_name}: {problem}")
        return engine

    @property
    def engine_name(self) -> str:
        return self.name if self.kind == "engine" else str(self.spec.engine)

    @cached_property
    def device(self) -> Device:
        """Return the device, selected and tuned; raise NotReadyError if it cannot be used here."""
        device = self.unselected_device()
        device.select(0)
        device.tune()
        return device

    def unselected_device(self) -> Device:
        """Return a new object for the device; raise NotReadyError if it cannot be used here."""
        _ = self.engine
        names = [self.name if self.kind == "device" else self.device_name]
        if names == [AUTO]:
            names = [spec.name for spec in self.registry.devices_of(self.engine_name)]
        reasons = []
        for name in names:
            device = find_device(self.registry, self.engine_name, name)
            if not isinstance(device, Missing):
                return unguarded(device)
            reasons.append(device.source)
        raise NotReadyError("; ".join(reasons) or f"no plugin offers a device for engine {self.engine_name}")

    @cached_property
    def model(self) -> ModelSpec:
        """Return the model itself, or the engine's with the least work in a step."""
        if self.kind == "model":
            return self.spec  # type: ignore[no-any-return]
        models = [spec for spec in self.registry.models.specs if spec.engine == self.engine_name]
        if not models:
            raise NotReadyError(f"no plugin offers a model for engine {self.engine_name}; it cannot train without one")
        return min(models, key=lambda spec: training_flops(spec.config, 8, spec.config.context_length, 8, 1))

    def dataset(self, root: Path | None = None) -> Dataset:
        """Return the dataset over ``root``, by default the subject's."""
        train, val = self.splits
        request = DatasetRequest(root or self.root, train, val, cache_folder(), self.options)
        return load_object(self.spec.load)(request)  # type: ignore[no-any-return]

    @cached_property
    def ready_dataset(self) -> Dataset:
        """Return the dataset with its files there; raise NotReadyError that names what is missing."""
        dataset = self.dataset()
        if missing := dataset.missing():
            lines = (f"{item.what}: looked in {item.looked_in}; {item.source}" for item in missing)
            raise NotReadyError("; ".join(lines))
        dataset.prepare()
        return dataset

    @cached_property
    def evaluation(self) -> Evaluation:
        return self.new_evaluation()

    def new_evaluation(self) -> Evaluation:
        """Return a new object for the evaluation."""
        return load_object(self.spec.load)()  # type: ignore[no-any-return]

    @cached_property
    def case(self) -> Case:
        """Return the case of the quickstart, for observers."""
        return load_suite(bundled("suites") / "quickstart.yaml").cases[0]

    @property
    def _offers(self) -> Any:  # noqa: ANN401 -- the kind decides
        return getattr(self.registry, f"{self.kind}s")
