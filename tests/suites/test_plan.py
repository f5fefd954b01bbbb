"""A case on this machine: steps, what is missing and where it was looked for, what does not fit together."""

import pytest

from clipbench.api.registry import load_registry
from clipbench.errors import UsageError
from clipbench.files.cache import cache_folder
from clipbench.suites.loading import find_suite, load_suite
from clipbench.suites.plan import data_root, make_plan


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def case_of(*changes, suite="quickstart"):
    (case,) = load_suite(find_suite(suite), changes).cases
    return case


def test_steps_follow_from_images_batch_and_epochs(registry):
    plan = make_plan(case_of("train.epochs=3", "train.batch_size=300"), registry)
    assert (plan.train_images, plan.steps_per_epoch, plan.steps) == (4000, 13, 39)
    assert len(plan.learning_rates) == 3
    assert make_plan(case_of("train.max_steps=7"), registry).steps == 7
    evaluation = make_plan(case_of("train.epochs=0"), registry)
    assert (evaluation.steps_per_epoch, evaluation.steps, evaluation.learning_rates) == (None, 0, ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["train.batch_size=4001"], "train.batch_size: 4001 is more than the 4000 training images"),
        (["world_size=3"], "world_size: a batch of 50 cannot be shared by 3 ranks; it can be shared by 1, 2, 5, 10"),
        (["world_size=5", "train.accumulate=4"], "the 10 pairs of a rank cannot be split into 4 micro-batches"),
        (["device=gpu9"], "device: 'gpu9' is not a device of any installed plugin"),
        (["model.name=clip-tiny2"], "did you mean 'clip-tiny'"),
    ],
)
def test_what_does_not_fit_together_is_refused(registry, changes, message):
    with pytest.raises(UsageError) as caught:
        make_plan(case_of(*changes), registry)
    assert message in str(caught.value)


def test_a_file_is_looked_for_in_the_data_root_and_here(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = ["dataset.root=root", "model.weights=w.pth"]
    plan = make_plan(case_of(*changes), registry)
    assert plan.looked_for["weights"] == (str(tmp_path / "root" / "w.pth"), str(tmp_path / "w.pth"))
    assert [item.what for item in plan.missing] == ["weights w.pth for clip-tiny"] and plan.weights is None
    assert make_plan(case_of(*changes, "model.weights_missing=random"), registry).missing == ()
    (tmp_path / "w.pth").touch()
    assert make_plan(case_of(*changes), registry).weights == tmp_path / "w.pth"


def test_openais_own_archive_stands_for_a_state_dict_saved_from_it(registry, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    changes = [f"dataset.root={tmp_path}", "model.weights=checkpoints/ViT-B-16-OpenAI.pth"]
    plan = make_plan(case_of(*changes), registry)
    assert plan.weights is None and str(tmp_path / "checkpoints" / "ViT-B-16.pt") in plan.missing[-1].looked_in
    for name in ("ViT-B-16.pt", "ViT-B-16-OpenAI.pth"):  # the file that is named goes first
        (tmp_path / "checkpoints" / name).touch()
        assert make_plan(case_of(*changes), registry).weights == tmp_path / "checkpoints" / name


def test_weights_that_are_only_called_like_published_ones_are_warned_of(registry, tmp_path):
    (tmp_path / "ViT-B-16.pt").touch()
    plan = make_plan(case_of(f"dataset.root={tmp_path}", "model.weights=ViT-B-16.pt"), registry)
    assert len(plan.warnings) == 1 and "ViT-B-16.pt" in plan.warnings[0]


def test_folders_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CLIPBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("CLIPBENCH_CACHE", str(tmp_path / "cache"))
    assert data_root(case_of()) == tmp_path and cache_folder() == tmp_path / "cache"
    assert data_root(case_of("dataset.root=/elsewhere")).as_posix() == "/elsewhere"
    monkeypatch.delenv("CLIPBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "clipbench"
