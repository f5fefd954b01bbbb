"""Device ``sdaa``: one SPA of a Tecorigin card, through the vendor's extension torch_sdaa.

The extension's versions differ in what they offer, so everything beyond the core of its interface is looked for.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import torch

from clipbench.api import DeviceInfo, Precision
from clipbench_torch.device import DTYPES, TorchDevice, lines_of

SPAS_PER_CARD = 4
IDLE_SHARE = 0.1  # of a device's memory, which a driver may take for itself


class SdaaDevice(TorchDevice):
    """One SPA; a card has four, and each is a device of its own."""

    name = "sdaa"
    float32_hint = "try TORCH_SDAA_LINEAR_HIGHPREC=1, or choose --set precision=amp"

    def unavailable(self) -> str | None:
        try:
            extension()
        except ModuleNotFoundError as error:
            if error.name != "torch_sdaa":
                return f"torch_sdaa is installed but does not import: {error}"
            return (
                "torch_sdaa is not installed: it comes with Tecorigin's software stack, not from a package index; "
                "activate the environment that has it"
            )
        except Exception as error:  # a build for another torch may raise anything
            return f"torch_sdaa is installed but does not import: {error}"
        if not hasattr(torch, "sdaa"):
            return "torch_sdaa was imported but gives no torch.sdaa: its version does not suit this torch"
        if not torch.sdaa.is_available() or torch.sdaa.device_count() == 0:
            return "torch_sdaa finds no card: check `teco-smi` and SDAA_VISIBLE_DEVICES"
        return None

    def select(self, local_rank: int) -> None:
        extension()
        torch.sdaa.set_device(local_rank)

    def seed(self, seed: int) -> None:
        torch.manual_seed(seed)
        torch.sdaa.manual_seed_all(seed)

    def synchronize(self) -> None:
        torch.sdaa.synchronize()

    def reset_peak_memory(self) -> None:
        for name in ("reset_peak_memory_stats", "reset_max_memory_allocated"):
            if hasattr(torch.sdaa, name):
                getattr(torch.sdaa, name)()
                return

    def peak_memory(self) -> int | None:
        peak = getattr(torch.sdaa, "max_memory_allocated", None)
        return None if peak is None else int(peak())

    def free_memory(self) -> int | None:
        memory = getattr(torch.sdaa, "mem_get_info", None)
        return None if memory is None else int(memory()[0])

    def others(self) -> Sequence[str] | None:
        """Return the devices of this machine whose memory is in use; teco-smi names no processes."""
        devices = memory_in_use()
        taken = [
            f"device {number}: {used} of {total} MB of its memory are in use"
            for number, (used, total) in enumerate(devices)
            if used > IDLE_SHARE * total
        ]
        return taken if devices else None

    def info(self) -> DeviceInfo:
        properties = torch.sdaa.get_device_properties(torch.sdaa.current_device())
        name = torch.sdaa.get_device_name() if hasattr(torch.sdaa, "get_device_name") else None
        return DeviceInfo(
            name=name or getattr(properties, "name", None) or "SDAA",
            count=torch.sdaa.device_count(),
            driver=driver_version(),
            total_memory=getattr(properties, "total_memory", None),
            devices_per_card=SPAS_PER_CARD,
        )

    def precisions(self) -> Sequence[Precision]:
        # An autocast without a choice of dtype computes in float16, so bfloat16 must not be offered.
        supported = getattr(torch.sdaa, "is_bf16_supported", lambda: True)
        if autocast_takes_dtype(amp().autocast) and supported():
            return ("float32", "float16", "bfloat16")
        return ("float32", "float16")

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        # Always the vendor's context: only newer builds make the device known to torch.autocast.
        if precision == "float32":
            return nullcontext()
        autocast = amp().autocast
        if autocast_takes_dtype(autocast):
            return autocast(enabled=True, dtype=DTYPES[precision])
        return autocast(enabled=True)

    def grad_scaler(self, precision: Precision) -> Any:  # noqa: ANN401 -- the vendor's own type
        return amp().GradScaler() if precision == "float16" else None

    def collective_backend(self) -> str:
        return "tccl"

    def environment_variables(self) -> Sequence[str]:
        return (
            "SDAA_VISIBLE_DEVICES", "SDAA_LAUNCH_BLOCKING", "TORCH_SDAA_ALLOC_CONF", "TORCH_SDAA_LOG_LEVEL",
            "TORCH_SDAA_RUNTIME_AUTOFALLBACK", "TORCH_SDAA_FALLBACK_OPS", "TORCH_SDAA_LINEAR_HIGHPREC",
            "TORCH_SDAA_CONV_USE_FP32", "OMP_NUM_THREADS",
        )  # fmt: skip

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Turn on the fused attention, which the extension leaves off; return that and the extension's version."""
        backend = getattr(torch.backends, "sdaa", None)
        enable = getattr(backend, "enable_flash_sdp", None)
        if enable is not None:
            enable(True)
        version = getattr(extension(), "__version__", "unknown")
        return {"torch_sdaa": str(version), "flash_attention": enable is not None}


def extension() -> ModuleType:
    """Import the vendor's extension, which registers the device with torch, and return it."""
    import torch_sdaa

    return torch_sdaa


def amp() -> Any:  # noqa: ANN401 -- a module where the version has one
    """Return the extension's mixed precision, wherever this version has it, or torch's own."""
    for owner in (extension(), torch.sdaa):
        if hasattr(owner, "amp"):
            return owner.amp
    return _StockAmp


class _StockAmp:
    """torch's own autocast and scaler with the vendor's signatures."""

    @staticmethod
    def autocast(enabled: bool = True, dtype: torch.dtype = torch.float16) -> torch.autocast:
        return torch.autocast("sdaa", dtype=dtype, enabled=enabled)

    @staticmethod
    def GradScaler() -> torch.amp.GradScaler:
        return torch.amp.GradScaler("sdaa")


def autocast_takes_dtype(autocast: Any) -> bool:  # noqa: ANN401
    """Return whether this version's autocast has a choice of dtype."""
    try:
        return "dtype" in inspect.signature(autocast).parameters
    except (TypeError, ValueError):  # compiled without a signature
        return False


def driver_version() -> str | None:
    """Return the driver's version as teco-smi prints it, or None."""
    match = re.search(
        r"driver(?: version)?\s*[:|]\s*([\w.+-]+)", "\n".join(lines_of(["teco-smi"]) or ()), re.IGNORECASE
    )
    return match[1] if match else None


def memory_in_use() -> list[tuple[int, int]]:
    """Return (MB in use, MB in all) of each device, in teco-smi's order; empty where it prints none."""
    pairs = re.findall(r"(\d+)\s*M(?:i?B)?\s*/\s*(\d+)\s*M(?:i?B)?\b", "\n".join(lines_of(["teco-smi"]) or ()))
    return [(int(used), int(total)) for used, total in pairs]
