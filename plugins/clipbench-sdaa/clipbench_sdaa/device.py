"""Device ``sdaa``: one SPA of a Tecorigin card, through the vendor's extension torch_sdaa.

The extension's versions differ in what they offer, so everything beyond the core of its interface is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from clipbench.api import Precision
from clipbench_torch.accelerator import Accelerator, takes
from clipbench_torch.device import DTYPES, lines_of

IDLE_SHARE = 0.1  # of a device's memory, which a driver may take for itself


class SdaaDevice(Accelerator):
    """One SPA; a card has four, and each is a device of its own."""

    name = "sdaa"
    extension = ("torch_sdaa",)
    backend = "tccl"
    devices_per_card = 4
    pin_memory = False
    where_to_look = "check `teco-smi` and SDAA_VISIBLE_DEVICES"
    driver_command = ("teco-smi",)
    driver_pattern = r"driver(?: version)?\s*[:|]\s*([\w.+-]+)"
    variables = (
        "SDAA_VISIBLE_DEVICES", "SDAA_LAUNCH_BLOCKING", "TORCH_SDAA_ALLOC_CONF", "TORCH_SDAA_LOG_LEVEL",
        "TORCH_SDAA_RUNTIME_AUTOFALLBACK", "TORCH_SDAA_FALLBACK_OPS", "TORCH_SDAA_LINEAR_HIGHPREC",
        "TORCH_SDAA_CONV_USE_FP32",
    )  # fmt: skip
    float32_hint = "try TORCH_SDAA_LINEAR_HIGHPREC=1, or choose --set precision=amp"

    def others(self) -> Sequence[str] | None:
        """Return the devices of this machine whose memory is in use; teco-smi names no processes."""
        devices = memory_in_use()
        taken = [
            f"device {number}: {used} of {total} MB of its memory are in use"
            for number, (used, total) in enumerate(devices)
            if used > IDLE_SHARE * total
        ]
        return taken if devices else None

    def precisions(self) -> Sequence[Precision]:
        # An autocast without a choice of dtype computes in float16, so bfloat16 must not be offered.
        supported = getattr(torch.sdaa, "is_bf16_supported", lambda: True)
        if takes(self.amp().autocast, "dtype") and supported():
            return ("float32", "float16", "bfloat16")
        return ("float32", "float16")

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        # Always the vendor's context: only newer builds make the device known to torch.autocast.
        if precision == "float32":
            return nullcontext()
        autocast = self.amp().autocast
        if takes(autocast, "dtype"):
            return autocast(enabled=True, dtype=DTYPES[precision])
        return autocast(enabled=True)

    def grad_scaler(self, precision: Precision) -> Any:  # noqa: ANN401 -- the vendor's own type
        return self.amp().GradScaler() if precision == "float16" else None

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Turn on the fused attention, which the extension leaves off; return that and the extension's version."""
        enable = getattr(getattr(torch.backends, "sdaa", None), "enable_flash_sdp", None)
        if enable is not None:
            enable(True)
        return {**super().tune(earlier), "flash_attention": enable is not None}

    def amp(self) -> Any:  # noqa: ANN401 -- a module where the version has one
        """Return the extension's mixed precision, wherever this version has it, or torch's own."""
        return next((owner.amp for owner in (*self.load(), torch.sdaa) if hasattr(owner, "amp")), _StockAmp)


class _StockAmp:
    """torch's own autocast and scaler with the vendor's signatures."""

    @staticmethod
    def autocast(enabled: bool = True, dtype: torch.dtype = torch.float16) -> torch.autocast:
        return torch.autocast("sdaa", dtype=dtype, enabled=enabled)

    @staticmethod
    def GradScaler() -> torch.amp.GradScaler:
        return torch.amp.GradScaler("sdaa")


def memory_in_use() -> list[tuple[int, int]]:
    """Return (MB in use, MB in all) of each device, in teco-smi's order; empty where it prints none."""
    pairs = re.findall(r"(\d+)\s*M(?:i?B)?\s*/\s*(\d+)\s*M(?:i?B)?\b", "\n".join(lines_of(["teco-smi"]) or ()))
    return [(int(used), int(total)) for used, total in pairs]
