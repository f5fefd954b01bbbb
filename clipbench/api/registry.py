"""Plugins: found by entry point, loaded one by one, their specs put into one registry."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar

import pluggy

from clipbench.api import hookspecs
from clipbench.api.specs import DatasetSpec, DeviceSpec, EngineSpec, ModelSpec, ObserverSpec
from clipbench.errors import UsageError, did_you_mean, nearest

GROUP = "clipbench"
SPEC_TYPES = {
    "engine": EngineSpec,
    "device": DeviceSpec,
    "dataset": DatasetSpec,
    "model": ModelSpec,
    "observer": ObserverSpec,
}


class Named(Protocol):
    @property
    def name(self) -> str: ...


SpecT = TypeVar("SpecT", bound=Named)


@dataclass(frozen=True)
class Plugin:
    """One entry point that was found; ``problem`` says why it could not be loaded, or is None."""

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
    specs: Mapping[str, SpecT]
    origin: Mapping[str, Plugin]

    def get(self, name: str, key: str) -> SpecT:
        """The spec called ``name``; an unknown one is a UsageError that names ``key`` and the nearest names."""
        if name in self.specs:
            return self.specs[name]
        known = ", ".join(sorted(self.specs)) or "none"
        near = nearest(name, self.specs)
        hint = f" Did you mean '{near}'?" if near else ""
        kind = f"an {self.kind}" if self.kind[0] in "aeiou" else f"a {self.kind}"
        raise UsageError(f"{key}: '{name}' is not {kind} of any installed plugin (known: {known}).{hint}")


@dataclass(frozen=True)
class Registry:
    """Everything the installed plugins offer."""

    engines: Offers[EngineSpec]
    devices: Offers[DeviceSpec]
    datasets: Offers[DatasetSpec]
    models: Offers[ModelSpec]
    observers: Offers[ObserverSpec]
    plugins: tuple[Plugin, ...]
    manager: pluggy.PluginManager = field(repr=False, compare=False)

    @property
    def broken(self) -> tuple[Plugin, ...]:
        return tuple(plugin for plugin in self.plugins if plugin.problem)

    def call(self, hook: str, **values: Any) -> list[Any]:  # noqa: ANN401
        """What the plugins return from ``hook``; one that raises is warned of, and costs nobody the run."""
        returned = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                returned.append(implementation.function(**{name: values[name] for name in implementation.argnames}))
            except Exception as error:
                said = f"{implementation.plugin_name}: {hook} raised {type(error).__name__}: {error}"
                print(f"warning: plugin {said}", file=sys.stderr)
        return returned

    def devices_of(self, engine: str) -> list[DeviceSpec]:
        """Devices of one engine, the one that ``auto`` prefers first."""
        mine = [spec for spec in self.devices.specs.values() if spec.engine == engine]
        return sorted(mine, key=lambda spec: (-spec.priority, spec.name))


def load_registry(found: Iterable[EntryPoint] | None = None) -> Registry:
    """Load every plugin and collect what they offer.

    A plugin that cannot be loaded is kept with its ``problem``, for the caller to warn of; the rest work.
    A name offered twice is a UsageError naming both distributions.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    plugins: list[Plugin] = []
    modules: list[tuple[Plugin, Any]] = []
    # Sorted, so that what is listed and which of two clashes is named first never depends on the file system.
    points = sorted(entry_points(group=GROUP) if found is None else found, key=lambda point: point.name)
    distributions: dict[int, tuple[str, str]] = {}
    for point in points:
        plugin, module = _load(manager, point, *_distribution(point, distributions))
        plugins.append(plugin)
        if module is not None:
            modules.append((plugin, module))
    problems: dict[Plugin, str] = {}
    engines = _collect("engine", modules, problems)
    devices = _collect("device", modules, problems)
    datasets = _collect("dataset", modules, problems)
    models = _collect("model", modules, problems)
    observers = _collect("observer", modules, problems)
    return Registry(
        engines=engines,
        devices=devices,
        datasets=datasets,
        models=models,
        observers=observers,
        plugins=tuple(replace(plugin, problem=problems.get(plugin, plugin.problem)) for plugin in plugins),
        manager=manager,
    )


def load_object(path: str) -> Callable[..., Any]:
    """The attribute that a spec's ``load`` names, importing its module only now."""
    module, _, attribute = path.partition(":")
    loaded = getattr(importlib.import_module(module), attribute)
    if not callable(loaded):
        raise TypeError(f"{path} is not callable")
    return loaded  # type: ignore[no-any-return]


def _distribution(point: EntryPoint, known: dict[int, tuple[str, str]]) -> tuple[str, str]:
    """Return name and version of the distribution that ``point`` is of; each asks for its metadata to be parsed."""
    dist = getattr(point, "dist", None)
    if dist is None:  # an entry point that was made by hand
        return "an unknown distribution", ""
    if id(dist) not in known:
        known[id(dist)] = dist.name, dist.version
    return known[id(dist)]


def _load(manager: pluggy.PluginManager, point: EntryPoint, name: str, version: str) -> tuple[Plugin, Any | None]:
    try:
        module = point.load()
        _refuse_unknown_hooks(module)
        manager.register(module, name=f"{name}:{point.name}")
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        return Plugin(point.name, name, version, problem), None
    return Plugin(point.name, name, version), module


def _refuse_unknown_hooks(module: object) -> None:
    known = [name for name in vars(hookspecs) if name.startswith("clipbench_")]
    for name in dir(module):
        if name.startswith("clipbench_") and hasattr(getattr(module, name), "clipbench_impl") and name not in known:
            raise TypeError(f"{name} is not a hook of clipbench; {did_you_mean(name, known)}")


def _collect(kind: str, modules: list[tuple[Plugin, Any]], problems: dict[Plugin, str]) -> Offers[Any]:
    """Call one spec hook plugin by plugin, so that one that raises costs itself alone."""
    specs: dict[str, Any] = {}
    origin: dict[str, Plugin] = {}
    for plugin, module in modules:
        try:
            offered = _offered(kind, module)
        except Exception as error:
            problems[plugin] = f"{type(error).__name__}: {error}"
            continue
        for spec in offered:
            if spec.name in specs:
                raise UsageError(
                    f"{kind} '{spec.name}' is offered twice: by {origin[spec.name]} and by {plugin}. "
                    "Uninstall one of the two, or rename what it offers."
                )
            specs[spec.name], origin[spec.name] = spec, plugin
    return Offers(kind, specs, origin)


def _offered(kind: str, module: object) -> list[Any]:
    hook = getattr(module, f"clipbench_{kind}s", None)
    if hook is None or not hasattr(hook, "clipbench_impl"):
        return []
    offered = list(hook())
    for spec in offered:
        if not isinstance(spec, SPEC_TYPES[kind]):
            raise TypeError(f"clipbench_{kind}s() returned {spec!r}, expected {SPEC_TYPES[kind].__name__}s")
    return offered
