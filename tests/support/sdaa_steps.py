"""A few steps on device sdaa, in a process of its own: prints what came out as JSON. Argument: a precision."""

import json
import sys

from tests.support.torch_jobs import make_batch, make_job

STEPS = 3


def losses_on(device, precision, **changes):
    """Losses of a few steps, and the learner's description."""
    import torch

    from clipbench_torch.engine import TorchEngine

    learner = TorchEngine().learner(make_job(device=device, precision=precision, **changes))
    if learner._scaler is not None:
        learner._scaler.load_state_dict({**learner._scaler.state_dict(), "scale": 1024.0})
    for step in range(STEPS):
        learner.train_step(*make_batch(n=8, seed=step), lr=1e-3)
    learner.synchronize()
    device_types = {parameter.device.type for parameter in learner._model.parameters()}
    pixels, tokens = make_batch()
    features = learner.gather([learner.encode_images(pixels), learner.encode_texts(tokens)])
    assert torch.isfinite(torch.from_numpy(features)).all()
    return {
        "losses": [step.loss for step in learner.drain_steps()],
        "device_types": sorted(device_types),
        **learner.describe(),
    }


if __name__ == "__main__":
    from clipbench_sdaa.device import SdaaDevice

    device = SdaaDevice()
    reason = device.unavailable()
    assert reason is None, reason
    result = losses_on(device, sys.argv[1], autocast_text=False)
    result["precisions"] = list(device.precisions())
    result["peak_memory"] = device.peak_memory()
    result["devices_per_card"] = device.info().devices_per_card
    print(json.dumps(result))
