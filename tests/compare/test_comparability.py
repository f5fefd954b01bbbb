"""What two results must share: each difference is named, and what never counts is left alone."""

import copy
from dataclasses import replace

import pytest

from clipbench.api.result import RankRecord, SourceVersion, VocabularyUsed, WeightsUsed
from clipbench.commands import compare
from clipbench.compare.comparability import ALLOWED, difference_name, facts, find_differences, signature
from clipbench.files import schemas
from clipbench.suites.loading import find_suite, load_suite
from tests.support.made_results import changed, made_result

COUNTS = {
    "environment.device.name": ("Card 2", "device"),
    "environment.device.kind": ("other", "device"),
    "environment.device.precision": ("float16", "precision"),
    "config.world_size": (4, "world_size"),
    "config.engine": ("numpy", "engine"),
    "config.train.batch_size": (64, "batch"),
    "config.train.lr": (2e-3, "recipe"),
    "config.train.epochs": (5, "recipe"),
    "config.train.max_steps": (20, "recipe"),
    "config.train.optimizer.weight_decay": (0.1, "recipe"),
    "config.model.text_activation": ("gelu_tanh", "recipe"),
    "config.dataset.clean_captions": (False, "recipe"),
    "config.train.compile": ("default", "settings"),
    "config.train.grad_checkpointing": (True, "settings"),
    "config.eval.resize": ("bicubic", "evaluation"),
    "dataset.train.annotation_sha256": ("1" * 64, "data"),
    "dataset.val.images": (200, "evaluation"),
    "weights.sha256": ("2" * 64, "weights"),
}
NEVER = {
    "run_id": "other",
    "started": "2027-01-01T00:00:00Z",
    "ended": "2027-01-01T00:00:00Z",
    "config_sha256": "3" * 64,
    "config.device": "card",
    "config.precision": "amp",
    "config.dataset.root": "/data",
    "config.model.weights": "elsewhere/weights.pth",
    "config.train.workers": 8,
    "config.ranks_timeout": 60,
    "config.checkpoint": {"epochs": 1},
    "config.observers": ["tensorboard"],
    "config.eval.image_batch": 7,
    "config.eval.cache_mb": 1,
    "config.dataset.on_bad_image": "skip",
    "environment.device.count": 8,
    "environment.memory_bytes": 1,
}


def test_vocabularies_count_where_both_are_known():
    """Version 0.1.0 did not record them."""
    one, other = (replace(made_result(), vocabulary=VocabularyUsed("vocab.txt", digit * 64)) for digit in "12")
    (found,) = find_differences(one, other)
    assert (found.name, found.path, found.blocks) == ("data", "vocabulary.sha256", "all")
    assert not find_differences(one, made_result()) and not find_differences(made_result(), one)
    assert signature(one) != signature(other)


def test_weights_of_the_texts_count():
    texts = replace(made_result(), text_weights=WeightsUsed("bert.bin", "2" * 64))
    (found,) = find_differences(texts, made_result())
    assert (found.name, found.path) == ("weights", "text_weights.sha256")


@pytest.mark.parametrize("path", COUNTS)
def test_what_changes_the_meaning_is_named_and_can_be_allowed(path):
    value, name = COUNTS[path]
    ours, theirs = changed(made_result(), path, value), made_result()
    (found,) = find_differences(ours, theirs)
    assert (found.path, found.name, found.allowed) == (path, name, False)
    assert found.blocks == ("speed" if name == "settings" else "all")
    assert signature(ours) != signature(theirs)
    (found,) = find_differences(ours, theirs, [name])
    assert found.allowed


@pytest.mark.parametrize("path", NEVER)
def test_what_is_volatile_never_counts(path):
    ours = changed(made_result(), path, NEVER[path])
    assert find_differences(ours, made_result()) == ()
    assert signature(ours, state=True) == signature(made_result(), state=True)


@pytest.mark.parametrize("path", ["clipbench.version", "environment.device.driver", "environment.python"])
def test_software_is_shown_and_blocks_nothing(path):
    ours = changed(made_result(), path, "9.9")
    (found,) = find_differences(ours, made_result())
    assert (found.path, found.blocks) == (path, "nothing")
    assert (found.name, found.ours) == ("", "9.9")
    assert signature(ours) == signature(made_result())
    assert signature(ours, state=True) != signature(made_result(), state=True)


def test_the_host_and_uncommitted_changes_are_shown_and_part_no_repeats():
    """A job's host may be called otherwise each time; two trees with changes are hardly the same."""
    ours, theirs = (made_result(), made_result("made-2"))
    ranks = [(RankRecord(0, name, None, None, None),) for name in ("node-1", "node-2")]
    ours, theirs = (changed(one, "epochs.0.per_rank", rank) for one, rank in zip((ours, theirs), ranks, strict=True))
    ours, theirs = (replace(one, clipbench=SourceVersion("0.2.0", "a" * 40, True)) for one in (ours, theirs))
    found = {(d.path, d.ours, d.theirs, d.blocks) for d in find_differences(ours, theirs)}
    assert found == {("host", "node-1", "node-2", "nothing"), ("clipbench.dirty", "true", "true", "nothing")}
    assert signature(ours, state=True) == signature(theirs, state=True)


def test_the_seed_is_for_the_statistics():
    assert find_differences(made_result(seed=1), made_result()) == ()


def test_a_key_that_an_older_result_lacks_has_its_default():
    augment = schemas.load_schema("suite")["properties"]["train"]["properties"]["augment"]["default"]
    ours = changed(made_result(), "config.train.augment", augment)
    train = {key: value for key, value in ours.config["train"].items() if key not in ("augment", "loss")}
    loss = {"reduction": ours.config["train"]["loss"]["reduction"]}
    older = changed(ours, "config.train", {**train, "loss": loss})
    assert find_differences(ours, older) == ()


def test_a_key_that_nobody_knows_counts():
    assert difference_name("config.train.something_new") == "recipe"
    assert [
        d.path for d in find_differences(changed(made_result(), "config.train.something_new", 1), made_result())
    ] == ["config.train.something_new"]


def test_the_cores_count_where_the_processor_is_the_device():
    def on_cpu(cores):
        result = changed(made_result(), "environment.device.name", "a processor")
        return changed(result, "environment.cpu.cores", cores)

    (found,) = find_differences(on_cpu(4), on_cpu(2))
    assert (found.name, found.ours, found.theirs) == ("device", "4", "2")
    assert find_differences(changed(made_result(), "environment.cpu.cores", 64), made_result()) == ()


def test_every_difference_has_a_name_that_can_be_allowed():
    names = {difference_name(path) for path in facts(made_result())}
    assert names <= set(ALLOWED)
    (allow,) = (option for option in compare.compare.params if option.name == "allow")
    assert all(name in allow.help for name in ALLOWED)


def test_every_key_of_a_suite_is_decided_on():
    """A new key of the suite must be put where it belongs; until then it counts as recipe."""
    config = load_suite(find_suite("quickstart")).cases[0].to_dict()
    names = {path: difference_name(path) for path in facts(changed(made_result(), "config", config))}
    recipe = {path.split(".")[1] for path, name in names.items() if name == "recipe"}
    assert recipe == {"model", "dataset", "train"}


def test_finding_differences_leaves_results_as_they_were():
    ours, theirs = made_result(), changed(made_result(), "config.train.lr", 1.0)
    before = copy.deepcopy((ours, theirs))
    find_differences(ours, theirs)
    assert (ours, theirs) == before
