"""Device ``npu``: Ascend NPUs, through Huawei's extension torch_npu."""

from clipbench_torch.accelerator import Accelerator


class NpuDevice(Accelerator):
    """HF32 shortens float32 products; the extension has it on for convolutions by default."""

    name = "npu"
    extension = ("torch_npu",)
    backend = "hccl"
    where_to_look = "check `npu-smi info`, CANN's set_env.sh and ASCEND_RT_VISIBLE_DEVICES"
    exact_float32 = {"npu.matmul.allow_hf32": False, "npu.conv.allow_hf32": False}  # noqa: RUF012
    versions = ("version.cann",)
    driver_command = ("npu-smi", "info")
    driver_pattern = r"Version:\s*([\w.]+)"
    variables = (
        "ASCEND_RT_VISIBLE_DEVICES", "ASCEND_LAUNCH_BLOCKING", "PYTORCH_NPU_ALLOC_CONF", "TASK_QUEUE_ENABLE",
        "CPU_AFFINITY_CONF", "COMBINED_ENABLE", "INF_NAN_MODE_ENABLE", "HCCL_DETERMINISTIC", "HCCL_ALGO",
    )  # fmt: skip
