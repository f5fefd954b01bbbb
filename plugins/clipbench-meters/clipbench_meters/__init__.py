"""Meters: sensors of NVIDIA, AMD, Intel and Tecorigin devices, and of processors."""

from clipbench.api import MeterSpec, hookimpl


@hookimpl
def clipbench_meters() -> list[MeterSpec]:
    return [
        MeterSpec("nvml", ("cuda",), "NVIDIA GPUs, by nvidia-ml-py", "clipbench_meters.nvml:Nvml"),
        MeterSpec("amdsmi", ("cuda", "rocm"), "AMD GPUs, by amdsmi", "clipbench_meters.amd:AmdSmi"),
        MeterSpec("rapl", ("cpu",), "processors, by Linux' powercap", "clipbench_meters.rapl:Rapl"),
        MeterSpec("teco-smi", ("sdaa",), "SDAA cards, by teco-smi", "clipbench_meters.teco:TecoSmi"),
        MeterSpec("torch-xpu", ("xpu",), "Intel GPUs, by torch.xpu", "clipbench_meters.xpu:TorchXpu"),
    ]
