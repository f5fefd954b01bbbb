"""Device ``musa``: GPUs of Moore Threads, through the extension torch_musa."""

from clipbench_torch.accelerator import Accelerator


class MusaDevice(Accelerator):
    """TF32 shortens float32 products."""

    name = "musa"
    extension = ("torch_musa",)
    backend = "mccl"
    where_to_look = "check `mthreads-gmi` and MUSA_VISIBLE_DEVICES"
    exact_float32 = {"backends.mudnn.allow_tf32": False}  # noqa: RUF012
    driver_command = ("mthreads-gmi",)
    driver_pattern = r"Driver Version:\s*([\w.-]+)"
    variables = ("MUSA_VISIBLE_DEVICES", "MUSA_LAUNCH_BLOCKING", "PYTORCH_MUSA_ALLOC_CONF", "MCCL_ALGO")
