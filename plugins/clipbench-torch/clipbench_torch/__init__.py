"""PyTorch for clipbench: the engine, its devices ``cpu`` and ``cuda``, and OpenAI's CLIP models.

Hooks only: torch is imported when a case needs it, not when plugins are listed.
"""

from __future__ import annotations

from functools import partial

from clipbench.api import BERT_VARIANTS, VARIANTS, DeviceSpec, EngineSpec, ModelSpec, hookimpl
from clipbench_torch.builds import built_without

MODEL, BERT_MODEL = "clipbench_torch.model:Clip", "clipbench_torch.bert:BertClip"


@hookimpl
def clipbench_engines() -> list[EngineSpec]:
    return [EngineSpec(name="torch", summary="PyTorch 2.4 or newer", load="clipbench_torch.engine:TorchEngine")]


@hookimpl
def clipbench_devices() -> list[DeviceSpec]:
    return [
        DeviceSpec("cpu", "torch", "the processor", "clipbench_torch.device:CpuDevice", priority=10, trusted=True),
        DeviceSpec(
            "cuda",
            "torch",
            "NVIDIA GPUs",
            "clipbench_torch.cuda:CudaDevice",
            priority=20,
            absent=partial(built_without, "cuda", "CUDA"),
            tried=False,
        ),
    ]


@hookimpl
def clipbench_models() -> list[ModelSpec]:
    families = ((MODEL, VARIANTS), (BERT_MODEL, BERT_VARIANTS))
    return [
        ModelSpec(name, "torch", summary, config, load)
        for load, variants in families
        for name, (summary, config) in variants.items()
    ]
