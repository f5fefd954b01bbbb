"""Device ``hpu``: Gaudi accelerators, through Intel's habana_frameworks."""

import os
from importlib import import_module
from typing import Any

from clipbench_torch.accelerator import Accelerator


class HpuDevice(Accelerator):
    """In eager mode: in lazy mode, work waits for marks that this engine does not set."""

    name = "hpu"
    extension = ("habana_frameworks.torch.core", "habana_frameworks.torch.distributed.hccl")
    backend = "hccl"
    where_to_look = "check `hl-smi` and HABANA_VISIBLE_MODULES"
    compile_backend = "hpu_backend"
    driver_command = ("hl-smi", "-Q", "driver_version", "-f", "csv,noheader")
    half_precisions = ("bfloat16", "float16")
    variables = ("HABANA_VISIBLE_MODULES", "HABANA_VISIBLE_DEVICES", "PT_HPU_LAZY_MODE", "PT_HPU_GPU_MIGRATION")

    def load(self) -> list[Any]:
        os.environ.setdefault("PT_HPU_LAZY_MODE", "0")  # read when the extension is imported
        return super().load()

    def module(self) -> Any:  # noqa: ANN401
        """Return torch.hpu, or the module that becomes it, which some versions do not register."""
        return super().module() or import_module("habana_frameworks.torch.hpu")
