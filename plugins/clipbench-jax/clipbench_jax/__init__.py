"""JAX for clipbench: the engine, its devices ``cpu``, ``gpu``, ``tpu`` and ``pjrt:NAME``, and OpenAI's CLIP models.

Hooks only: jax is imported when a case needs it, not when plugins are listed.
"""

from __future__ import annotations

from clipbench.api import VARIANTS, DeviceSpec, EngineSpec, ModelSpec, hookimpl

MODEL = "clipbench_jax.learner:JaxLearner"


@hookimpl
def clipbench_engines() -> list[EngineSpec]:
    return [EngineSpec(name="jax", summary="JAX 0.8 or newer", load="clipbench_jax.engine:JaxEngine")]


@hookimpl
def clipbench_devices() -> list[DeviceSpec]:
    return [
        DeviceSpec("cpu", "jax", "the processor", "clipbench_jax.device:CpuDevice", priority=10, trusted=True),
        DeviceSpec("gpu", "jax", "NVIDIA and AMD GPUs", "clipbench_jax.device:GpuDevice", priority=20),
        DeviceSpec("tpu", "jax", "Google's TPUs", "clipbench_jax.device:TpuDevice", priority=30),
        DeviceSpec("pjrt", "jax", "what a PJRT plug-in brings", "clipbench_jax.device:JaxDevice", argument="PLATFORM"),
    ]


@hookimpl
def clipbench_models() -> list[ModelSpec]:
    return [ModelSpec(name, "jax", summary, config, MODEL) for name, (summary, config) in VARIANTS.items()]
