"""PyTorch for clipbench: the engine, its devices ``cpu`` and ``cuda``, and OpenAI's CLIP models.

Hooks only: torch is imported when a case needs it, not when plugins are listed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from clipbench.api import (
    CLIP_TINY,
    CLIP_VIT_B16,
    CLIP_VIT_B32,
    CLIP_VIT_L14,
    CLIP_VIT_L14_336,
    DeviceSpec,
    EngineSpec,
    ModelSpec,
    hookimpl,
)
from clipbench_torch.builds import built_without

MODEL = "clipbench_torch.model:Clip"


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
    # open_clip's own models have the plain GELU, and so have most weights that were trained with it.
    plain = {"vision_activation": "gelu", "text_activation": "gelu"}
    return [
        ModelSpec("clip-vit-b16", "torch", "OpenAI's ViT-B/16, 150 M parameters", CLIP_VIT_B16, MODEL),
        ModelSpec("clip-vit-b32", "torch", "OpenAI's ViT-B/32, 151 M parameters", CLIP_VIT_B32, MODEL),
        ModelSpec("clip-vit-l14", "torch", "OpenAI's ViT-L/14, 428 M parameters", CLIP_VIT_L14, MODEL),
        ModelSpec("clip-vit-l14-336", "torch", "OpenAI's ViT-L/14@336px, 428 M parameters", CLIP_VIT_L14_336, MODEL),
        ModelSpec(
            "clip-vit-b16-gelu", "torch", "open_clip's ViT-B-16, plain GELU", replace(CLIP_VIT_B16, **plain), MODEL
        ),
        ModelSpec(
            "clip-vit-b32-gelu", "torch", "open_clip's ViT-B-32, plain GELU", replace(CLIP_VIT_B32, **plain), MODEL
        ),
        ModelSpec(
            "clip-vit-l14-gelu", "torch", "open_clip's ViT-L-14, plain GELU", replace(CLIP_VIT_L14, **plain), MODEL
        ),
        ModelSpec("clip-tiny", "torch", "one million parameters, learns in a minute", CLIP_TINY, MODEL),
    ]
