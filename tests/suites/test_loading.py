"""Suites: what is wrong is named with file, line, key, value and the nearest valid key."""

import json
from pathlib import Path

import pytest

from clipbench.api import Case
from clipbench.api.plain import from_plain
from clipbench.errors import UsageError
from clipbench.files.bundled import shipped_suites, shipped_summary
from clipbench.suites.loading import find_suite, load_suite

MINIMAL = """\
name: minimal
model: {name: clip-tiny}
dataset: {name: shapes}
"""


@pytest.fixture
def suite_file(tmp_path):
    def write(text=MINIMAL):
        path = tmp_path / "suite.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path, *overrides):
    with pytest.raises(UsageError) as caught:
        load_suite(path, overrides)
    return str(caught.value)


def test_every_absent_key_has_its_default(suite_file):
    (case,) = load_suite(suite_file()).cases
    assert case.name == case.suite == "minimal"
    assert case.device == "auto" and case.precision == "float32"
    assert case.train.schedule.peak_limits == (3e-6, 1e-5)
    assert case.train.loss.reduction == "sum"


def test_a_case_survives_json_and_keeps_its_hash(suite_file):
    (case,) = load_suite(suite_file()).cases
    again = from_plain(Case, json.loads(json.dumps(case.to_dict())))
    assert again == case
    assert again.sha256() == case.sha256()
    assert load_suite(suite_file(), ["seed=1"]).cases[0].sha256() != case.sha256()


def test_an_unknown_key_names_file_line_key_and_nearest(suite_file):
    path = suite_file(MINIMAL + "train:\n  epochs: 2\n  bach_size: 8\n")
    message = refusal(path)
    assert f"{path}:6" in message
    assert "train.bach_size" in message and "batch_size" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train: {epochs: ten}", ["train.epochs", "integer", "ten"]),
        ("train: {epochs: -1}", ["train.epochs", "at least 0", "-1"]),
        ("precision: float31", ["precision", "did you mean 'float32'"]),
        ("train: {lr: 0}", ["train.lr", "more than 0"]),
        ("train: {lr: .inf}", [":4:", "finite"]),
        ("train: {schedule: {peak_limits: [1e-5, 1e-6]}}", ["peak_limits"]),
        ("train: [1, 2]", ["train", "object"]),
        ("name: again", ["name", "twice"]),
        ("seed: !!python/object/apply:os.system [ls]", ["tag"]),
        ("seed: [", [":5:", "YAML"]),
        ("matrix: {trian.lr: [1]}", ["matrix", "trian.lr"]),
        ("matrix: {train.lr: [fast]}", ["train.lr", "number", "fast"]),
    ],
)
def test_what_is_wrong_is_said(suite_file, text, expected):
    message = refusal(suite_file(MINIMAL + text + "\n"))
    for part in ["suite.yaml", *expected]:
        assert part in message


@pytest.mark.parametrize(
    ("text", "at", "phrase"),
    [
        ("train:\n  epochs: 2\n  lr: fast", "6:3", "number"),
        ("train: {epochs: 2, lr: fast}", "4:20", "number"),
        ("train:\n  bach_size: 3", "5:3", "unknown key"),
        ("train: {optimizer: {betas: [0.9, high]}}", "4:34", "number"),
        ("train: {schedule: {peak_limits: [2, 1]}}", "4:20", "lower limit first"),
        ("matrix:\n  seed: [1, two]", "5:3", "integer"),
        ("matrix: {seed: [" + "1," * 2000 + "1]}", "4:1", "at most 1,000"),
        ("seed: 1e3", "4:1", "integer"),
        ("seed: 010", "4:7", "decimal"),
        ("seed: 1\n# caf\u00e9: \x07", "5:9", "not allowed"),
        ("seed: " + "[" * 60, "4:57", "nested too deeply"),
    ],
)
def test_the_place_has_line_and_column(suite_file, text, at, phrase):
    path = suite_file(MINIMAL + text + "\n")
    message = refusal(path)
    assert message.startswith(f"{path}:{at}: ") and phrase in message


def test_a_byte_that_is_no_text_has_its_place(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_bytes(b"name: x\nsummary: caf\xe9\n")
    assert refusal(path).startswith(f"{path}:2:13: not UTF-8")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_suite(path).name == "minimal"


def test_the_number_of_ranks_is_called_world_size(suite_file):
    expected = "the key 'ranks' is called 'world_size' since version 0.2.0"
    path = suite_file(MINIMAL + "ranks: 2\n")
    assert refusal(path) == f"{path}:4:1: {expected}"
    assert refusal(suite_file(MINIMAL + "matrix: {ranks: [1, 2]}\n")) == f"{path}:4:10: matrix: {expected}"
    assert refusal(suite_file(), "ranks=2") == f"--set ranks=2: {expected}"


def test_missing_keys_are_named(suite_file):
    assert "model.name" in refusal(suite_file("name: x\nmodel: {}\ndataset: {name: shapes}\n"))
    assert "dataset" in refusal(suite_file("name: x\nmodel: {name: clip-tiny}\n"))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text\n"])
def test_a_file_that_is_no_suite_is_refused(suite_file, text):
    assert "suite.yaml" in refusal(suite_file(text))


def test_aliases_cannot_explode(suite_file):
    levels = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    levels += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases" in refusal(suite_file(MINIMAL + "\n".join(levels) + "\n"))


def test_overrides_are_typed_by_the_schema(suite_file):
    path = suite_file()
    (case,) = load_suite(path, ["train.lr=1e-6", "train.epochs=3", "model.weights=null", "dataset.root=/x=y"]).cases
    assert (case.train.lr, case.train.epochs, case.model.weights, case.dataset.root) == (1e-6, 3, None, "/x=y")
    assert "--set train.epochs=ten" in refusal(path, "train.epochs=ten")
    assert "--set train.epoch=3: unknown key 'train.epoch'; did you mean 'epochs'" in refusal(path, "train.epoch=3")
    assert "key.path=value" in refusal(path, "epochs")
    assert "section" in refusal(path, "seed=1", "seed.deep=2")


def test_the_later_override_wins(suite_file):
    assert load_suite(suite_file(), ["seed=1", "seed=2"]).cases[0].seed == 2


def test_matrix_makes_one_case_for_each_combination(suite_file):
    path = suite_file(MINIMAL + "matrix:\n  precision: [float32, bfloat16]\n  train.batch_size: [8, 16]\n")
    suite = load_suite(path)
    assert [case.name for case in suite.cases] == [
        "minimal@precision=float32,train.batch_size=8",
        "minimal@precision=float32,train.batch_size=16",
        "minimal@precision=bfloat16,train.batch_size=8",
        "minimal@precision=bfloat16,train.batch_size=16",
    ]
    assert suite.cases[3].precision == "bfloat16" and suite.cases[3].train.batch_size == 16
    assert [case.name for case in suite.select(["*size=8"]).cases] == [suite.cases[0].name, suite.cases[2].name]
    with pytest.raises(UsageError, match="no such case"):
        suite.select(["nothing"])


def test_an_axis_of_named_choices_sets_several_keys_at_once(suite_file):
    sizes = "{small: {train.batch_size: 8, seed: 1}, large: {train.batch_size: 64}}"
    path = suite_file(MINIMAL + f"matrix:\n  size: {sizes}\n  precision: [float32]\n")

    def cases(*overrides):
        found = load_suite(path, overrides).cases
        return [(case.name.partition("@")[2], case.train.batch_size, case.seed) for case in found]

    assert cases() == [("size=small,precision=float32", 8, 1), ("size=large,precision=float32", 64, 0)]
    # What the command line sets holds in every case; an axis on which nothing else is set ends.
    assert cases("train.batch_size=32") == [
        ("size=small,precision=float32", 32, 1),
        ("size=large,precision=float32", 32, 0),
    ]
    assert cases("train.batch_size=32", "seed=7") == [("precision=float32", 32, 7)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("matrix: {size: {small: {trian.lr: 1}}}", "4:25: matrix: 'trian.lr' is not a key of a suite"),
        ("matrix: {size: {small: {train.lr: fast}}}", "4:25: train.lr: "),
        ("matrix: {size: {small: {}}}", "matrix.size.small"),
        ("matrix: {size: {}}", "matrix.size"),
        ("matrix: {size: {small: 3}}", "matrix.size.small"),
    ],
)
def test_what_is_wrong_with_a_named_choice_is_said(suite_file, text, expected):
    assert expected in refusal(suite_file(MINIMAL + text + "\n"))


def test_an_override_ends_what_the_matrix_varies(suite_file):
    path = suite_file(MINIMAL + "matrix:\n  precision: [float32, bfloat16]\n")
    (case,) = load_suite(path, ["precision=float16"]).cases
    assert case.precision == "float16"


def test_suites_that_ship_are_found_by_name():
    names = {path.stem for path in shipped_suites()}
    assert {"quickstart", "flickr8k_amp", "flickr8k_ddp4", "flickr8k_zeroshot", "flickr8k_smoke"} <= names
    assert {"flickr30k_zeroshot", "coco_zeroshot", "laion_zeroshot"} <= names
    assert find_suite("quickstart").stem == "quickstart"
    with pytest.raises(UsageError, match="clipbench run quickstart"):
        find_suite("nowhere/quickstart.yaml")
    with pytest.raises(UsageError, match="flickr8k_amp"):
        find_suite("no-such-suite")


def test_a_folder_that_is_called_like_a_suite_does_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "other").mkdir()
    assert find_suite("quickstart").name == "quickstart.yaml"
    with pytest.raises(UsageError, match="other: is a folder"):
        load_suite(find_suite("other"))


@pytest.mark.parametrize("path", shipped_suites(), ids=lambda path: path.stem)
def test_every_shipped_suite_loads_under_its_own_name(path: Path):
    suite = load_suite(path)
    assert suite.name == path.stem
    assert suite.summary == shipped_summary(path) != ""


def test_the_published_run_is_spelled_out():
    """Every value that the published run fixes is written in the suite, not left to a default."""
    import yaml

    written = yaml.safe_load(find_suite("flickr8k_amp").read_text(encoding="utf-8"))
    (case,) = load_suite(find_suite("flickr8k_amp")).cases
    assert set(written["train"]["schedule"]) == set(case.to_dict()["train"]["schedule"])
    assert set(written["train"]["optimizer"]) == set(case.to_dict()["train"]["optimizer"])
    assert set(written["train"]["loss"]) == set(case.to_dict()["train"]["loss"])
    assert case.model.text_activation == "gelu_tanh" and not case.model.autocast_text
    assert case.precision == "float16" and case.eval.resize == "bilinear"
