"""Accelerators that follow torch's conventions: one class, which looks for every call and assumes none."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from clipbench.api import DeviceInfo, NotReadyError, Precision
from clipbench_torch.device import DTYPES, TorchDevice, lines_of

MAY_BE_UNKNOWN = ("driver", "total_memory", "free_memory", "peak_memory")
TESTED_BYTES = 4 << 20


class Accelerator(TorchDevice):
    """A device with a module ``torch.<torch_type>`` that has torch.cuda's names, as far as this version has them.

    Every call is looked for in that module, then in ``torch.accelerator`` where that serves this type of device. What
    neither has, and what raises, is None, and ``info`` says why. A subclass sets ``name``, and of these what it needs:

    ``torch_type``: the type of device as torch calls it, where that is not ``name``.
    ``extension``: the modules whose import makes the device known to torch; none where torch has it built in.
    ``where_to_look``: what a user should check where no device is found.
    ``backend``: the collective back end, if torch does not know it by itself.
    ``exact_float32``: switches that keep float32 products from being shortened, by their path below ``torch``.
    ``versions``: paths below ``torch`` of versions that a result should record.
    ``driver_command``, ``driver_pattern``: what prints the driver's version, and a pattern whose group 1 is it.
    ``half_precisions``: those that the hardware has, the one that ``amp`` means first.
    ``variables``: environment variables that change numerics or speed. ``devices_per_card``: as in DeviceInfo.
    """

    extension: Sequence[str] = ()
    where_to_look: str = "check the driver"
    backend: str = ""
    exact_float32: Mapping[str, Any] = {}
    versions: Sequence[str] = ()
    driver_command: Sequence[str] = ()
    driver_pattern: str = r"(\S+)"
    half_precisions: Sequence[Precision] = ("float16", "bfloat16")
    variables: Sequence[str] = ()
    devices_per_card: int = 1

    def __init__(self) -> None:
        self._unknown: dict[str, str] = {}

    @property
    def torch_type(self) -> str:
        return self.name

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.torch_type, self._local_rank)

    @property
    def pin_memory(self) -> bool:  # type: ignore[override]
        """Return whether torch can page-lock host memory for this device; tried, because some versions cannot."""
        try:
            return torch.ones(1).pin_memory().is_pinned()
        except Exception:  # a vendor's code may raise anything
            return False

    # --- looking for calls ------------------------------------------------------------------------------------------

    def module(self) -> Any:  # noqa: ANN401 -- each vendor's own
        """Return the module of this type of device, or None where torch has none."""
        return getattr(torch, self.torch_type, None)

    def find(self, *names: str) -> Callable[..., Any] | None:
        """Return the first function of these names in the device's module, then in torch.accelerator, or None."""
        return next((function for _, function in self._found(names)), None)

    def ask(self, what: str, *names: str, index: bool = False) -> Any:  # noqa: ANN401
        """Return what the first function of these names gives, or None; then ``info`` says why ``what`` is unknown.

        ``index``: whether it is called with the number of the selected device.
        """
        for path, function in self._found(names):
            try:
                return function(self._local_rank) if index else function()
            except Exception as error:  # a vendor's code may raise anything
                return self.unknown(what, f"{path} raised {type(error).__name__}: {_first_line(error)}")
        owners = " and ".join(path for path, _ in self._owners())
        return self.unknown(what, f"there is no {' or '.join(names)} in {owners}")

    def unknown(self, what: str, reason: str) -> None:
        """Keep for ``info`` why ``what`` is not known; return None."""
        self._unknown[what] = reason

    def _owners(self) -> Iterator[tuple[str, Any]]:
        if (module := self.module()) is not None:
            yield f"torch.{self.torch_type}", module
        # It serves one type of device, or none; torch before 2.6 does not have it.
        general = getattr(torch, "accelerator", None)
        current = getattr(general, "current_accelerator", lambda: None)()
        if current is not None and current.type == self.torch_type:
            yield "torch.accelerator", general

    def _found(self, names: Sequence[str]) -> Iterator[tuple[str, Callable[..., Any]]]:
        for path, owner in self._owners():
            for name in names:
                if callable(function := getattr(owner, name, None)):
                    yield f"{path}.{name}", function

    # --- what the core asks -----------------------------------------------------------------------------------------

    def unavailable(self) -> str | None:
        try:
            self.load()
        except Exception as error:  # a build for another torch may raise anything
            return f"{self._source} is installed but does not import: {error}"
        if not list(self._owners()):
            given = f"{self._source} was imported but gives no torch.{self.torch_type}"
            return f"{given}: its version does not suit this torch"
        present = self.ask("is_available", "is_available") if self.find("is_available") else True
        if not (present and self._count()):
            reason = self._unknown.get("is_available") or self._unknown.get("device_count")
            return f"{self._source} finds no card{f' ({reason})' if reason else ''}: {self.where_to_look}"
        if self.find("synchronize") is None:
            return f"torch.{self.torch_type} has no synchronize, without which nothing can be timed"
        return None

    @property
    def _source(self) -> str:
        return self.extension[0] if self.extension else f"torch {torch.__version__}"

    def load(self) -> list[Any]:
        """Import the vendor's extension, which registers the device with torch; return its modules."""
        return [importlib.import_module(name) for name in self.extension]

    def _count(self) -> int:
        return int(self.ask("device_count", "device_count") or 0)

    def select(self, local_rank: int) -> None:
        self.load()
        super().select(local_rank)
        set_device = self.find("set_device", "set_device_index")
        if set_device is not None:
            set_device(local_rank)
        elif local_rank:
            raise NotReadyError(f"torch.{self.torch_type} has no set_device: use one rank, --nproc 1")

    def seed(self, seed: int) -> None:
        torch.manual_seed(seed)
        seed_all = self.find("manual_seed_all", "manual_seed")
        if seed_all is not None:
            seed_all(seed)

    def synchronize(self) -> None:
        wait = self.find("synchronize")
        if wait is None:
            raise NotReadyError(f"torch.{self.torch_type} has no synchronize, without which nothing can be timed")
        wait()

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Have float32 products computed in float32; return the switches as they then are, and the versions."""
        torch.set_float32_matmul_precision("highest")
        for path, value in self.exact_float32.items():
            owner, _, name = path.rpartition(".")
            if _below_torch(path) is not None:
                setattr(_below_torch(owner), name, value)
        versions = {module.__name__: str(getattr(module, "__version__", "unknown")) for module in self.load()[:1]}
        return versions | {path: _below_torch(path) for path in (*self.versions, *self.exact_float32)}

    def info(self) -> DeviceInfo:
        """Return what a result records; tests first whether the peak of memory can be believed."""
        properties = self.ask("properties", "get_device_properties", index=True)
        name = self.ask("name", "get_device_name", index=True) or getattr(properties, "name", None)
        memory = self._memory()
        total = getattr(properties, "total_memory", None) or (memory and memory[1])
        if total is None:
            self.unknown("total_memory", "neither the device's properties nor its free memory tell it")
        self._test_peak_memory(total)
        driver = self.driver()
        return DeviceInfo(
            name=str(name or self.name.upper()),
            count=self._count(),
            driver=driver,
            total_memory=total,
            devices_per_card=self.devices_per_card,
            unknown={what: self._unknown[what] for what in MAY_BE_UNKNOWN if what in self._unknown},
        )

    def driver(self) -> str | None:
        """Return the driver's version, or None."""
        if not self.driver_command:
            return self.unknown("driver", "no program that prints it is known")
        command = " ".join(self.driver_command)
        lines = lines_of(self.driver_command)
        if lines is None:
            return self.unknown("driver", f"`{command}` is not installed, or fails")
        version = re.search(self.driver_pattern, "\n".join(lines), re.IGNORECASE)
        return version[1] if version else self.unknown("driver", f"`{command}` does not print it")

    def precisions(self) -> Sequence[Precision]:
        known = getattr(torch.amp, "is_autocast_available", lambda kind: True)
        if not known(self.torch_type):
            return ("float32",)
        listed = getattr(self.module(), "get_amp_supported_dtype", None)
        dtypes = set(DTYPES.values()) if listed is None else set(listed())
        if not self._has_bfloat16():
            dtypes.discard(torch.bfloat16)
        return ("float32", *(precision for precision in self.half_precisions if DTYPES[precision] in dtypes))

    def _has_bfloat16(self) -> bool:
        supported = self.find("is_bf16_supported")
        if supported is None:
            return True
        # Some would answer for products that are emulated, too.
        return bool(supported(including_emulation=False) if takes(supported, "including_emulation") else supported())

    def _memory(self) -> tuple[int, int] | None:
        """Return free and total bytes of the selected device, or None."""
        answer = self.ask("free_memory", "mem_get_info", "get_memory_info")
        if answer is None:
            return None
        free, total = answer
        if not 0 <= free <= total:
            return self.unknown("free_memory", f"torch.{self.torch_type}: {free} bytes free of {total} cannot be")
        return int(free), int(total)

    def free_memory(self) -> int | None:
        memory = self._memory()
        return memory and memory[0]

    def reset_peak_memory(self) -> None:
        self.ask("peak_memory", "reset_peak_memory_stats", "reset_max_memory_allocated")

    def peak_memory(self) -> int | None:
        """Return the peak bytes since the last reset, or None where the device cannot tell, or was found not to."""
        peak = None if "peak_memory" in self._unknown else self.ask("peak_memory", "max_memory_allocated")
        return None if peak is None else int(peak)

    def _test_peak_memory(self, total: int | None) -> None:
        """Find out whether the peak counts what is allocated, and starts anew when it is told to."""
        self.reset_peak_memory()
        before = self.peak_memory()
        if before is None:
            return
        block = torch.ones(TESTED_BYTES // 4, device=self.torch_device)
        with_block = self.peak_memory() or 0
        del block
        self.reset_peak_memory()
        after = self.peak_memory() or 0
        if with_block - before < TESTED_BYTES:
            problem = f"it rose by {with_block - before} when {TESTED_BYTES} bytes were allocated"
        elif after > with_block - TESTED_BYTES:
            problem = (
                f"it is still {after} after a reset, when {TESTED_BYTES} of {with_block} bytes had been given back"
            )
        elif total is not None and with_block > total:
            problem = f"it is {with_block} bytes, more than the {total} of the device"
        else:
            return
        self.unknown("peak_memory", f"the peak that torch.{self.torch_type} gives is wrong: {problem}")

    def collective_backend(self) -> str:
        """Return the back end that torch.distributed knows for this type of device, else the vendor's."""
        registered = getattr(torch.distributed, "Backend", None)
        backend = getattr(registered, "default_device_backend_map", {}).get(self.torch_type) or self.backend
        if not backend:
            raise NotReadyError(
                f"device {self.name}: torch.distributed knows no back end for it, so it has no second rank: "
                "use --nproc 1, or set `backend` in the device's plugin"
            )
        return backend

    def environment_variables(self) -> Sequence[str]:
        return (*self.variables, "OMP_NUM_THREADS")


def takes(function: Callable[..., Any], parameter: str) -> bool:
    """Return whether ``function`` has a parameter of this name."""
    try:
        return parameter in inspect.signature(function).parameters
    except (TypeError, ValueError):  # compiled without a signature
        return False


def _below_torch(path: str) -> Any:  # noqa: ANN401
    """Return the attribute of torch with this path, or None where this version lacks it."""
    return functools.reduce(lambda owner, name: getattr(owner, name, None), path.split("."), torch)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
