"""Disk and memory that a case needs."""

from types import SimpleNamespace

from clipbench.clip.config import CLIP_VIT_B16, CLIP_VIT_L14
from clipbench.doctor.requirements import Requirements, kept_values, parameter_count, requirements_of


def test_parameters_of_known_models():
    assert parameter_count(CLIP_VIT_B16) == 149_620_737  # openai/CLIP's own count
    assert parameter_count(CLIP_VIT_L14) == 427_616_513


def plan(config=CLIP_VIT_B16, epochs=50, batch_size=32, accumulate=1, checkpointing=False, world_size=1):
    train = SimpleNamespace(
        epochs=epochs, batch_size=batch_size, accumulate=accumulate, grad_checkpointing=checkpointing
    )
    return SimpleNamespace(
        config=config, train_images=6000, val_images=1000, case=SimpleNamespace(train=train, world_size=world_size)
    )


def test_needs_of_the_published_run():
    need = requirements_of(plan())
    assert need.checkpoints == 4 * 3 * 4 * 149_620_737
    assert need.parameters == 4 * 4 * 149_620_737
    assert need.images == 7000 * 224 * 224 * 3
    assert 4e9 < need.activations < 6e9


def test_needs_shrink_with_micro_batches_ranks_and_checkpointing():
    whole = requirements_of(plan()).activations
    assert (
        requirements_of(plan(accumulate=4)).activations == requirements_of(plan(world_size=4)).activations == whole / 4
    )
    assert requirements_of(plan(checkpointing=True)).activations < whole / 4
    evaluation = requirements_of(plan(epochs=0))
    assert (evaluation.checkpoints, evaluation.activations) == (0, 0)
    assert kept_values(CLIP_VIT_B16, False) < kept_values(CLIP_VIT_L14, False)


def test_the_largest_of_several_cases():
    several = [Requirements(1, 20, 3, 40), Requirements(10, 2, 30, 4)]
    assert Requirements.largest(several) == Requirements(10, 20, 30, 40)
