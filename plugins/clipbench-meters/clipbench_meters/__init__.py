"""Meters: sensors of NVIDIA, AMD, Intel and Tecorigin devices, and of processors."""

from clipbench.api import MeterSpec, hookimpl

SMI = ("sdaa", "npu", "mlu", "musa")


@hookimpl
def clipbench_meters() -> list[MeterSpec]:
    return [
        MeterSpec("nvml", ("cuda", "gpu"), "NVIDIA GPUs, by nvidia-ml-py", "clipbench_meters.nvml:Nvml"),
        MeterSpec("amdsmi", ("cuda", "gpu", "rocm"), "AMD GPUs, by amdsmi", "clipbench_meters.amd:AmdSmi"),
        MeterSpec("rapl", ("cpu",), "processors, by Linux' powercap", "clipbench_meters.rapl:Rapl"),
        MeterSpec("smi", SMI, "cards, by teco-smi, npu-smi, cnmon and mthreads-gmi", "clipbench_meters.smi:Smi"),
        MeterSpec("torch-xpu", ("xpu",), "Intel GPUs, by torch.xpu", "clipbench_meters.xpu:TorchXpu"),
    ]
