"""Device ``mlu``: MLU cards, through Cambricon's extension torch_mlu."""

from clipbench_torch.accelerator import Accelerator


class MluDevice(Accelerator):
    """TF32 shortens float32 products; it is on for CNNL's operators by default."""

    name = "mlu"
    extension = ("torch_mlu",)
    backend = "cncl"
    where_to_look = "check `cnmon` and MLU_VISIBLE_DEVICES"
    float32_hint = "unset TORCH_ALLOW_TF32_CNMATMUL_OVERRIDE, or choose --set precision=amp"
    exact_float32 = {"backends.mlu.matmul.allow_tf32": False, "backends.cnnl.allow_tf32": False}  # noqa: RUF012
    driver_command = ("cnmon",)
    driver_pattern = r"Driver\s+v([\w.]+)"
    variables = (
        "MLU_VISIBLE_DEVICES", "PYTORCH_MLU_ALLOC_CONF", "PYTORCH_NO_MLU_MEMORY_CACHING",
        "TORCH_ALLOW_TF32_CNMATMUL_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    )  # fmt: skip
