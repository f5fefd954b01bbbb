"""The hooks that a plugin may implement, as its author reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from clipbench.api import DatasetSpec, DeviceSpec, EngineSpec, ModelSpec, ObserverSpec
    from clipbench.suites.loading import Case

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
def clipbench_observers() -> list[ObserverSpec]:  # type: ignore[empty-body]
    """Return the observers that this plugin offers, for suites to switch on.

    Called once, when the registry is filled; must not import what they write with.
    """


@hookspec
def clipbench_environment() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return what a result's ``environment.extra`` should record, under keys of the plugin's own.

    Called in the case's own process, before the first step. Values must fit JSON.
    """


@hookspec
def clipbench_case_started(case: Case, run_id: str, folder: Path) -> None:
    """A case is about to run.

    Called in the process of ``clipbench run``, not in the one that is timed.

    :param case: the case with every value resolved.
    :param run_id: names the run, and is the name of its result's file.
    :param folder: where to put what belongs to this run; made by whoever writes there. No ``*.json``: that is results.
    """


@hookspec
def clipbench_step_finished(case: Case, event: Mapping[str, Any]) -> None:
    """A window of steps has been trained, and the clock read.

    Called in the process of ``clipbench run``, not in the one that is timed.

    :param case: the case with every value resolved.
    :param event: ``epoch`` and ``step`` in it, from 1; ``loss`` (None while every step was withheld) and
        ``learning_rate`` of that step; the window's ``samples_per_second``, None in the warm-up.
    """


@hookspec
def clipbench_epoch_finished(case: Case, record: Mapping[str, Any]) -> None:
    """An epoch has been trained and, where the suite asks for it, evaluated.

    Called in the process of ``clipbench run``, not in the one that is timed.

    :param case: the case with every value resolved.
    :param record: the epoch's entry in the result (``epochs[]`` in the result schema).
    """


@hookspec
def clipbench_case_finished(case: Case, result: Mapping[str, Any]) -> None:
    """A case has ended, whatever its status, and its result has been written.

    Called in the process of ``clipbench run``.

    :param case: the case with every value resolved.
    :param result: the result as it was written (the result schema).
    """
