"""The promises of a Learner, which engines and models share."""

from __future__ import annotations

import numpy as np

from clipbench.api import LearnerState, NotReadyError, TensorRef
from clipbench.conform.checks import Checks, expect, expect_raises
from clipbench.conform.device_checks import check_resume
from clipbench.conform.subject import Subject
from clipbench.conform.trial import PAIRS, losses_of, make_learner, random_pairs, saved

LEARNER = Checks()
STEPS = 3
ROUNDING = 1e-4  # relative, of float32 features that were computed in another batch


@LEARNER.add("training", "The loss of a fixed batch falls.")
def _training(subject: Subject) -> str:
    losses = losses_of(make_learner(subject), [random_pairs(subject.model.config)] * 2 * STEPS)
    expect(losses[-1] < losses[0], f"the loss went from {losses[0]:.6g} to {losses[-1]:.6g}")
    return f"{losses[0]:.4f} to {losses[-1]:.4f}"


@LEARNER.add("start", "Without weights, one seed gives one model and another seed another.")
def _start(subject: Subject) -> None:
    pixels, _ = random_pairs(subject.model.config)
    features = []
    for seed in (0, 0, 1):
        learner = make_learner(subject, seed=seed)
        features.append(learner.gather([learner.encode_images(pixels)]))
    expect(np.array_equal(features[0], features[1]), "two models of one seed give other features")
    expect(not np.allclose(features[0], features[2]), "models of two seeds give the same features")


@LEARNER.add(
    "rate", "A step at learning rate 0 changes nothing; a step at another rate does, and leaves its inputs alone."
)
def _rate(subject: Subject) -> None:
    learner = make_learner(subject)
    pixels, tokens = random_pairs(subject.model.config)
    copies = pixels.copy(), tokens.copy()
    before = _weights(learner.state())
    losses_of(learner, [(pixels, tokens)], rate=0.0)
    after = _weights(learner.state())
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    expect(not changed, f"a step at rate 0 changed {', '.join(changed[:3])}")
    losses_of(learner, [(pixels, tokens)])
    expect(
        any(not np.array_equal(after[name], value) for name, value in _weights(learner.state()).items()),
        "a step at rate 0.001 changed no weight",
    )
    expect(
        np.array_equal(pixels, copies[0]) and np.array_equal(tokens, copies[1]), "train_step() wrote into its inputs"
    )


@LEARNER.add(
    "features", "`gather` gives features as float32 (n, embed_dim); a pair's do not depend on the rest of its batch."
)
def _features(subject: Subject) -> str:
    learner, config = make_learner(subject), subject.model.config
    pixels, tokens = random_pairs(config)
    worst = 0.0
    for name, encode, inputs in (("images", learner.encode_images, pixels), ("texts", learner.encode_texts, tokens)):
        whole = learner.gather([encode(inputs)])
        parts = learner.gather([encode(inputs[:1]), encode(inputs[1:])])
        for features in (whole, parts):
            expect(
                isinstance(features, np.ndarray) and features.dtype == np.float32,
                f"features of {name} are {getattr(features, 'dtype', type(features))}; expected float32",
            )
            shape = (PAIRS, config.embed_dim)
            expect(features.shape == shape, f"features of {name} have shape {features.shape}; expected {shape}")
        difference = float(np.abs(whole - parts).max() / np.abs(whole).max())
        expect(difference <= ROUNDING, f"features of {name} differ by {difference:.1e} in another batch")
        worst = max(worst, difference)
    return f"to {worst:.1e}"


@LEARNER.add("padding", "What follows the end of a caption changes nothing.")
def _padding(subject: Subject) -> None:
    learner = make_learner(subject)
    _, tokens = random_pairs(subject.model.config)
    longest = int((tokens != 0).sum(axis=1).max())
    whole, cut = (learner.gather([learner.encode_texts(part)]) for part in (tokens, tokens[:, :longest].copy()))
    difference = float(np.abs(whole - cut).max() / np.abs(whole).max())
    expect(difference <= ROUNDING, f"features of captions differ by {difference:.1e} without the padding behind them")


@LEARNER.add(
    "logit-scale", "`logit_scale` is the logarithm of the scale: it starts at log(1/0.07) and stays below log(100)."
)
def _logit_scale(subject: Subject) -> str:
    learner = make_learner(subject)
    start = learner.logit_scale()
    expect(abs(start - np.log(1 / 0.07)) < 1e-4, f"logit_scale() is {start:.6g} at the start; expected 2.6593")
    losses_of(learner, [random_pairs(subject.model.config)] * 2, rate=10.0)
    later = learner.logit_scale()
    expect(later <= np.log(100) + 1e-4, f"logit_scale() is {later:.6g} after steps; expected at most 4.6052")
    return f"{start:.4f}"


@LEARNER.add("describe", "`describe` fits JSON and has `parameter_count`.")
def _describe(subject: Subject) -> str:
    import json

    described = dict(make_learner(subject).describe())
    try:
        json.dumps(described, allow_nan=False)
    except (TypeError, ValueError) as error:
        expect(False, f"describe() does not fit JSON: {error}")
    count = described.get("parameter_count")
    expect(isinstance(count, int) and count > 0, f"parameter_count is {count!r}; expected a whole number above 0")
    return f"{count:,} parameters"


@LEARNER.add("resume", "A run that is resumed goes on as if it had never stopped.")
def _resume(subject: Subject) -> str:
    return check_resume(subject)


@LEARNER.add("foreign-state", "`restore` raises NotReadyError for the state of another model.")
def _foreign_state(subject: Subject) -> None:
    learner = make_learner(subject)
    state = saved(learner)
    foreign = {name: _grown(tensor) for name, tensor in state.tensors.items()}
    expect_raises(NotReadyError, lambda: learner.restore(LearnerState(foreign, state.values)), "restore()")


def _grown(tensor: TensorRef) -> TensorRef:
    """Return a tensor of another shape."""
    shape = (*tensor.shape, 2)
    return TensorRef(tensor.dtype, shape, lambda: np.zeros(shape, tensor.dtype))


def _weights(state: LearnerState) -> dict[str, np.ndarray]:
    """Return the model's tensors, copied, or all tensors where none is called ``model.``."""
    names = [name for name in state.tensors if name.startswith("model.")] or list(state.tensors)
    return {name: np.array(state.tensors[name].read(), copy=True) for name in names}
