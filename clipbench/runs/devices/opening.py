"""Devices of an engine: whether they are there, and what they compute in."""

import os
import sys

from clipbench.api import Device, DeviceSpec, Missing, Precision
from clipbench.api.registry import Registry
from clipbench.errors import UsageError
from clipbench.results.environment import usable_cores


def find_device(registry: Registry, engine_name: str, name: str) -> Device | Missing:
    """Return the named device; where it or its engine cannot be used, Missing says why."""
    engine = registry.open_engine(engine_name)
    if problem := engine.problem():
        return Missing(f"engine {engine_name}", f"Python {sys.executable}", problem)
    device = open_device(registry, engine_name, name)
    return Missing(f"device {name}", "this machine", f"{name}: {device}") if isinstance(device, str) else device


def open_device(registry: Registry, engine: str, name: str) -> Device | str:
    """Return the device that a suite calls ``name``, or why it cannot be used here and what to do about it.

    A device's module may import its vendor's package at the top: where that is not installed, the device is not there.
    """
    spec = registry.device(engine, name)
    if reason := absence(spec):
        return reason
    try:
        device = registry.open_device(engine, name)
    except (ImportError, OSError) as error:
        if not lacks_package(error, spec.load):
            raise
        package = getattr(error, "name", None)
        if isinstance(error, ModuleNotFoundError) and package:
            return f"not available: {package} is not installed; {spec.install or f'install {package}'}"
        remedy = spec.install or f"install {package or registry.devices.origin[spec].distribution} again"
        return f"not available: {type(error).__name__}: {error}; {remedy}"
    return device.unavailable() or device


def absence(spec: DeviceSpec) -> str | None:
    """Return why the device cannot be here, by what its plugin can tell without loading it, or None."""
    try:
        return spec.absent() if spec.absent else None
    except Exception:  # the plugin's; then the device is asked itself
        return None


def lacks_package(error: Exception, load: str) -> bool:
    """Return whether importing what ``load`` names has failed for a package that it needs, not for itself."""
    if isinstance(error, ModuleNotFoundError):
        return not f"{load.partition(':')[0]}.".startswith(f"{error.name}.")
    return isinstance(error, (ImportError, OSError))  # OSError: a library that the package loads


def pick_precision(device: Device, requested: str) -> Precision:
    """Return the precision that ``requested`` means on ``device``: ``amp`` is its first one that is not float32.

    Raises UsageError for one that the device does not have.
    """
    supported = list(device.precisions())
    for precision in supported:
        if precision == requested or (requested == "amp" and precision != "float32"):
            return precision
    if requested == "amp":
        raise UsageError(f"precision: device {device.name} has no mixed precision; use --set precision=float32")
    names = ", ".join(supported)
    raise UsageError(f"precision: device {device.name} does not compute {requested}; it has {names}")


def thread_variables(world_size: int) -> dict[str, str]:
    """Return OMP_NUM_THREADS such that the ranks of this machine share its cores, unless the user has set it.

    Otherwise each rank would start a thread on every core; torchrun allows each one thread.
    """
    if world_size == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, usable_cores() // world_size))}
