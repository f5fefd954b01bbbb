"""Intel GPUs, by torch.xpu. By the vendor's documentation, not yet run on a device."""

from __future__ import annotations

from typing import Any

from clipbench.api import Reading


class TorchXpu:
    """Power, temperature and utilisation, in builds of torch that have them."""

    def __init__(self, kind: str, local_rank: int) -> None:
        self._device, self._xpu = local_rank, None

    def unavailable(self) -> str | None:
        """Return why nothing can be read, or None."""
        import torch

        self._xpu = getattr(torch, "xpu", None)
        if not any(hasattr(self._xpu, name) for name in ("power_draw", "temperature", "utilization")):
            return "this build of torch has no torch.xpu.power_draw"
        return None

    def read(self) -> Reading:
        """Return what the sensors say; power is in milliwatts."""
        milliwatts, percent = self._ask("power_draw"), self._ask("utilization")
        return Reading(
            watts=None if milliwatts is None else milliwatts / 1000,
            celsius=self._ask("temperature"),
            utilisation=None if percent is None else percent / 100,
        )

    def close(self) -> None:
        """Nothing is held."""

    def _ask(self, name: str) -> Any:  # noqa: ANN401
        try:
            return getattr(self._xpu, name)(self._device)
        except (AttributeError, RuntimeError):
            return None
