"""Plugins: found by entry point, loaded one by one, their specs put into one registry."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

import pluggy

from clipbench.api import hookspecs
from clipbench.api.door import check_returned, plugin_call
from clipbench.api.specs import (
    DatasetSpec,
    DeviceSpec,
    EngineSpec,
    EvaluationSpec,
    MeterSpec,
    ModelSpec,
    ObserverSpec,
)
from clipbench.errors import PluginError, UsageError, did_you_mean

if TYPE_CHECKING:
    from clipbench.api.data import DataFinding, DatasetRequest
    from clipbench.api.protocols import Dataset, Device, Engine, Evaluation, Meter, Tokenizer
    from clipbench.clip.config import ClipConfig

GROUP = "clipbench"
SpecT = TypeVar("SpecT", EngineSpec, DeviceSpec, DatasetSpec, ModelSpec, ObserverSpec, MeterSpec, EvaluationSpec)
SPEC_TYPES = {cls.__name__.removesuffix("Spec").lower(): cls for cls in SpecT.__constraints__}


@dataclass(frozen=True)
class Plugin:
    """One entry point; ``problem`` says why the plugin cannot be used, or is None."""

    name: str
    distribution: str
    version: str
    problem: str | None = None

    def __str__(self) -> str:
        return f"plugin '{self.name}' of {self.distribution} {self.version}".rstrip()


@dataclass(frozen=True)
class Offers(Generic[SpecT]):
    """What all plugins offer of one kind, by name, and which plugin each comes from."""

    kind: str
    origin: dict[SpecT, Plugin] = field(default_factory=dict)

    @property
    def specs(self) -> list[SpecT]:
        """Return all specs, sorted by name."""
        return sorted(self.origin, key=lambda spec: (spec.name, _engine_of(spec) or ""))

    def add(self, spec: SpecT, plugin: Plugin) -> None:
        """Add what ``plugin`` offers; raise UsageError for a name that another plugin offers, for the same engine."""
        for other, owner in self.origin.items():
            if (other.name, _engine_of(other)) == (spec.name, _engine_of(spec)):
                raise UsageError(
                    f"{self.kind} '{spec.name}' is offered twice: by {owner} and by {plugin}. "
                    "Uninstall one of the two, or rename what it offers."
                )
        self.origin[spec] = plugin

    def get(self, name: str, key: str, engine: str | None = None) -> SpecT:
        """Return the spec called ``name``, of ``engine`` where several have a device or a model of that name.

        Raises UsageError that names ``key`` and the nearest name, or the engines to which the name belongs.
        """
        found = {_engine_of(spec): spec for spec in self.origin if spec.name == name}
        if engine in found:
            return found[engine]
        if len(found) == 1 and engine is None:
            return next(iter(found.values()))
        if found:
            owners = " and ".join(sorted(f"'{owner}'" for owner in found))
            not_to = "; choose one with --engine" if engine is None else f", not to '{engine}'"
            raise UsageError(f"{key}: '{name}' belongs to engine{'s'[: len(found) - 1]} {owners}{not_to}")
        kind = f"an {self.kind}" if self.kind[0] in "aeiou" else f"a {self.kind}"
        near = did_you_mean(name, [spec.name for spec in self.origin if engine in (None, _engine_of(spec))])
        raise UsageError(f"{key}: '{name}' is not {kind} of any installed plugin; {near} (clipbench list shows all)")


def _engine_of(spec: object) -> str | None:
    """Return the engine that a device or a model is for; None for what no engine owns."""
    return getattr(spec, "engine", None)


@dataclass(frozen=True)
class Registry:
    """Everything the installed plugins offer."""

    engines: Offers[EngineSpec]
    devices: Offers[DeviceSpec]
    datasets: Offers[DatasetSpec]
    models: Offers[ModelSpec]
    observers: Offers[ObserverSpec]
    meters: Offers[MeterSpec]
    evaluations: Offers[EvaluationSpec]
    plugins: tuple[Plugin, ...]
    manager: pluggy.PluginManager = field(repr=False, compare=False)

    @property
    def broken(self) -> tuple[Plugin, ...]:
        """Plugins that cannot be used."""
        return tuple(plugin for plugin in self.plugins if plugin.problem)

    def open_engine(self, name: str) -> Engine:
        """Return the engine called ``name``; raise UsageError where no plugin offers it."""
        return self._open(self.engines, self.engines.get(name, "engine"), "Engine")  # type: ignore[no-any-return]

    def open_device(self, engine: str, name: str) -> Device:
        """Return what a suite calls ``name``; raise ImportError where its plugin cannot import what it needs."""
        argument = name.partition(":")[2]
        spec = self.device(engine, name)
        return self._open(self.devices, spec, "Device", *filter(None, [argument]))  # type: ignore[no-any-return]

    def open_dataset(self, name: str, request: DatasetRequest) -> Dataset:
        """Return the dataset called ``name`` for ``request``."""
        return self._open(self.datasets, self.datasets.get(name, "dataset.name"), "Dataset", request)  # type: ignore[no-any-return]

    def open_evaluation(self, name: str) -> Evaluation:
        """Return the evaluation called ``name``; raise UsageError where no plugin offers it."""
        return self._open(self.evaluations, self.evaluations.get(name, "eval.evaluations"), "Evaluation")  # type: ignore[no-any-return]

    def open_meter(self, name: str, kind: str, local_rank: int) -> Meter:
        """Return the meter called ``name`` for the device ``local_rank`` of a kind."""
        return self._open(self.meters, self.meters.get(name, "meter"), "Meter", kind, local_rank)  # type: ignore[no-any-return]

    def open_tokenizer(self, model: ModelSpec, config: ClipConfig, vocabulary: Path) -> Tokenizer:
        """Return the tokenizer of ``model``, in the sizes of ``config``, with the file ``vocabulary``.

        Raises NotReadyError where that file cannot be used.
        """
        from clipbench.api import guarded, protocols

        load = config.tokenizer.load
        who = f"model '{model.name}' of {self.models.origin.get(model, 'no plugin')}: {load}"
        with plugin_call(who):
            made = load_object(load)(vocabulary, config.context_length)
        return guarded.guard(made, protocols.Tokenizer, who)  # type: ignore[no-any-return]

    def _open(self, offers: Offers[Any], spec: Any, protocol: str, *arguments: object) -> Any:  # noqa: ANN401
        from clipbench.api import guarded, protocols  # lists of plugins do without

        who = f"{offers.kind} '{spec.name}' of {offers.origin[spec]}"
        with plugin_call(f"{who}: {spec.load}", *((ImportError,) if protocol == "Device" else ())):
            made = load_object(spec.load)(*arguments)
        return guarded.guard(made, getattr(protocols, protocol), who)

    def check_data(self, spec: DatasetSpec, root: Path, deep: bool) -> list[DataFinding]:
        """Return what the ``check`` of a dataset finds in a data root; none for a dataset that has no check."""
        from clipbench.api.data import DataFinding

        if spec.check is None:
            return []
        what = f"dataset '{spec.name}' of {self.datasets.origin[spec]}: {spec.check}"
        with plugin_call(what):
            findings: list[DataFinding] = load_object(spec.check)(root, deep)
        check_returned(f"{what}: what it returned", findings, list[DataFinding])
        return findings

    def environment(self, warn: Callable[[str], None]) -> Mapping[str, Any]:
        """Return what plugins add to a result's environment.

        ``warn`` gets a sentence for each hook that raises, or returns what does not fit JSON; it is left out.
        """
        extra: dict[str, Any] = {}
        for hook in self.manager.hook.clipbench_environment.get_hookimpls():
            what = f"plugin {hook.plugin_name}: clipbench_environment"
            try:
                with plugin_call(what):
                    part = hook.function()
                    check_returned(f"{what}: what it returned", part, Mapping[str, Any])
                    extra |= json.loads(json.dumps(part, allow_nan=False))
            except (PluginError, OSError) as error:
                warn(f"{error}; it is left out")
        return extra

    def devices_of(self, engine: str) -> list[DeviceSpec]:
        """Return the devices that ``auto`` chooses from for one engine, the one that it prefers first."""
        devices = [spec for spec in self.devices.specs if spec.engine == engine and not spec.argument]
        return sorted(devices, key=lambda spec: (-spec.priority, spec.name))

    def device(self, engine: str, name: str) -> DeviceSpec:
        """Return the spec of the device that a suite calls ``name``; raise UsageError if there is none."""
        base, _, argument = name.partition(":")
        spec = self.devices.get(base, "device", engine)
        if bool(argument) != bool(spec.argument) or (":" in name and not argument):
            expected = f"{base}:{spec.argument}" if spec.argument else base
            raise UsageError(f"device: '{name}': expected {expected}, {spec.summary}")
        return spec

    def trusted_device(self, engine: str) -> DeviceSpec | None:
        """Return the device whose float32 the engine's other devices are checked by, or None where it names none."""
        return next((spec for spec in self.devices_of(engine) if spec.trusted), None)


def load_registry(points: Iterable[EntryPoint] | None = None) -> Registry:
    """Load every plugin and collect what they offer.

    A plugin that does not load, or one of whose hooks raises, offers nothing and is kept with its ``problem``, for the
    caller to warn of. Raises UsageError, naming both distributions, for a name that two plugins offer.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    offers: dict[str, Offers[Any]] = {kind: Offers(kind) for kind in SPEC_TYPES}
    plugins: list[Plugin] = []
    # Sorted, so that lists and the order of two clashing plugins do not depend on the file system.
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=lambda point: point.name):
        plugin = Plugin(point.name, *_distribution(getattr(point, "dist", None)))
        try:
            with plugin_call(str(plugin)):
                specs = _load(manager, point, plugin)
        except Exception as error:
            cause = error.__cause__ or error
            plugin, specs = replace(plugin, problem=f"{type(cause).__name__}: {cause}"), []
        plugins.append(plugin)
        for kind, spec in specs:
            offers[kind].add(spec, plugin)
    by_kind = {f"{kind}s": offered for kind, offered in offers.items()}
    return Registry(**by_kind, plugins=tuple(plugins), manager=manager)


def load_object(path: str) -> Callable[..., Any]:
    """Import the module that a spec's ``load`` names, and return its attribute."""
    loaded = EntryPoint(name="", value=path, group=GROUP).load()
    if not callable(loaded):
        raise TypeError(f"{path} is not callable")
    return loaded  # type: ignore[no-any-return]


@functools.cache
def _distribution(dist: Any) -> tuple[str, str]:  # noqa: ANN401
    """Return name and version of a distribution, parsing its metadata once; None is that of a point made by hand."""
    return ("an unknown distribution", "") if dist is None else (dist.name, dist.version)


def _load(manager: pluggy.PluginManager, point: EntryPoint, plugin: Plugin) -> list[tuple[str, Any]]:
    """Import and register a plugin; return (kind, spec) of all that it offers."""
    module = point.load()
    hooks = {name for name in vars(hookspecs) if name.startswith("clipbench_")}
    for name in sorted(set(dir(module)) - hooks):
        if name.startswith("clipbench_") and hasattr(getattr(module, name), "clipbench_impl"):
            raise TypeError(f"{name} is not a hook of clipbench; {did_you_mean(name, hooks)}")
    manager.register(module, name=f"{plugin.distribution}:{plugin.name}")  # checks the hooks' arguments
    specs = []
    for kind, spec_type in SPEC_TYPES.items():
        hook = getattr(module, f"clipbench_{kind}s", None)
        for spec in hook() if hasattr(hook, "clipbench_impl") else ():  # type: ignore[misc]
            if not isinstance(spec, spec_type):
                raise TypeError(f"clipbench_{kind}s() returned {spec!r}, expected {spec_type.__name__}s")
            _check_spec(spec)
            specs.append((kind, spec))
    return specs


def _check_spec(spec: Any) -> None:  # noqa: ANN401
    """Raise PluginError for a field of another type than its spec has, ValueError for a path that leads nowhere."""
    hints = get_type_hints(type(spec))
    for item in fields(spec):
        value = getattr(spec, item.name)
        check_returned(f"{type(spec).__name__} '{spec.name}': {item.name}", value, hints[item.name])
        if item.name in ("load", "check") and value is not None and not re.fullmatch(r"[\w.]+:[\w.]+", value):
            raise ValueError(
                f"{type(spec).__name__} '{spec.name}': {item.name}='{value}': expected 'package.module:attribute'"
            )
