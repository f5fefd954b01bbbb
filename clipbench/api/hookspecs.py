"""The hooks that a plugin may implement, as its author reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from clipbench.api.specs import (
        DatasetSpec,
        DeviceSpec,
        EngineSpec,
        EvaluationSpec,
        MeterSpec,
        ModelSpec,
        ObserverSpec,
    )

hookspec = pluggy.HookspecMarker("clipbench")


@hookspec
def clipbench_engines() -> list[EngineSpec]:  # type: ignore[empty-body]
    """Return the engines (frameworks) that this plugin offers.

    Called once, when the registry is filled; must not import the framework.
    """


@hookspec
def clipbench_devices() -> list[DeviceSpec]:  # type: ignore[empty-body]
    """Return the kinds of device that this plugin offers, each for one engine.

    Called once, when the registry is filled; must not import the framework or touch the device.
    """


@hookspec
def clipbench_datasets() -> list[DatasetSpec]:  # type: ignore[empty-body]
    """Return the datasets that this plugin offers.

    Called once, when the registry is filled; must not read data.
    """


@hookspec
def clipbench_models() -> list[ModelSpec]:  # type: ignore[empty-body]
    """Return the models that this plugin offers, each for one engine.

    Called once, when the registry is filled; must not import the framework.
    """


@hookspec
def clipbench_evaluations() -> list[EvaluationSpec]:  # type: ignore[empty-body]
    """Return the evaluations that this plugin offers, for suites to ask for.

    Called once, when the registry is filled; must not import numpy.
    """


@hookspec
def clipbench_meters() -> list[MeterSpec]:  # type: ignore[empty-body]
    """Return the meters that this plugin offers, each for some kinds of device.

    Called once, when the registry is filled; must not import what they read with.
    """


@hookspec
def clipbench_observers() -> list[ObserverSpec]:  # type: ignore[empty-body]
    """Return the observers that this plugin offers, for suites to switch on.

    Called once, when the registry is filled; must not import what they write with.
    """


@hookspec
def clipbench_environment() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return what a result's ``environment.extra`` should record, under keys of the plugin's own.

    Called in the case's own process, before the first step. Values must fit JSON.
    """
