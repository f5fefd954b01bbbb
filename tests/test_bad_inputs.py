"""325 bad inputs by hand (tests/support/bad_inputs.py) and hundreds from hypothesis, wherever users can write.

Suites, --set, results, references, annotation files, pictures, weights, vocabularies and command lines. Each must end
in a message and the right exit code: no traceback, nothing written, and nothing that was there changed.
"""

import copy
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click import Context
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from clipbench.api import EpochRecord, Fingerprint, QueryRanks, events
from clipbench.api.result import DatasetUsed, EpochSeconds, WeightsUsed, Window
from clipbench.cli import COMMANDS, main
from clipbench.clip.bpe import BpeTokenizer
from clipbench.errors import ExitCode, NotReadyError
from clipbench.results.measures.recall import recall_metrics
from clipbench.results.measures.timing import measure
from clipbench.results.result import build_result, write_result
from clipbench.runs.process import ProcessEnd
from clipbench.suites.loading import load_suite
from tests.support.bad_inputs import (
    ANNOTATIONS,
    ARGUMENTS,
    BARE_SUITES,
    COUNT,
    HEAD,
    PICTURES,
    REFERENCE,
    REFERENCES,
    RESULT_BYTES,
    RESULTS,
    SETS,
    SUITES,
    UNKNOWN_NAMES,
    VOCABULARIES,
    WEIGHTS,
)

WINDOWS = (Window(10, 2.0, 0.5),)
TIMING = measure(WINDOWS, 2)
RANKS = QueryRanks(1, [0] * 9 + [20], [0] * 45 + [9] * 5, [caption // 5 for caption in range(50)])
RECORD = EpochRecord(
    epoch=1,
    steps=10,
    train_loss=0.5,
    val_loss=0.6,
    learning_rate=1e-6,
    recall=recall_metrics(RANKS.text, RANKS.image),
    throughput=TIMING.throughput,
    data_wait=TIMING.data_wait,
    step_seconds=TIMING.step_seconds,
    windows=WINDOWS,
    peak_memory_bytes=1,
    host_memory_bytes=1,
    seconds=EpochSeconds(3.0, 1.0),
    reasons={},
)
AT = re.compile(r":\d+:\d+: ")


def snapshot(folder):
    """Every path under ``folder`` with what it is and holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[path] = path.readlink()
        elif path.is_file():
            found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[path] = path.stat().st_mode
    return found


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, which nothing may be written to; the caches lie elsewhere."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CLIPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CLIPBENCH_DATA", str(tmp_path / "no-data"))
    return folder


def clipbench(*words, folder=None, may_write=False):
    """Run a command in this process; whatever it says, it must not raise, and must leave ``folder`` as it is."""
    before = snapshot(folder) if folder else {}
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output, done.output[:3000]
    if folder:
        after = snapshot(folder)
        assert {path: after.get(path) for path in before} == before
        assert may_write or after.keys() == before.keys()
    return done


def refused(done, code, phrase):
    assert done.exit_code == code, done.output[-500:]
    assert phrase in done.output, done.output[-500:]


def test_there_are_at_least_200_by_hand():
    assert COUNT == 325 and str(COUNT) in __doc__


# --- suites -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*BARE_SUITES, *SUITES])
def test_suites(here, name):
    text, phrase = BARE_SUITES[name] if name in BARE_SUITES else SUITES[name]
    text = text if isinstance(text, bytes) else text.encode()
    path = here / "bad.yaml"
    path.write_bytes(text if name in BARE_SUITES else HEAD.encode() + text + b"\n")
    done = clipbench("validate", path, folder=here)
    refused(done, ExitCode.USAGE, phrase)
    assert str(path) in done.output
    if name not in ("empty", "a comment", "a list", "a number", "JSON's null", "a web page", "too large"):
        assert AT.search(done.output) or "train.limits" in done.output, done.output


@pytest.mark.parametrize("name", UNKNOWN_NAMES)
def test_suites_that_no_plugin_can_run(here, name):
    text, phrase = UNKNOWN_NAMES[name]
    (here / "bad.yaml").write_text(f"{HEAD}{text}\n")
    refused(clipbench("show", here / "bad.yaml", folder=here), ExitCode.USAGE, phrase)


@pytest.mark.parametrize("change", SETS, ids=lambda text: text[:40])
def test_sets(here, change):
    done = clipbench("show", "quickstart", "--set", change, folder=here)
    refused(done, ExitCode.USAGE, SETS[change])


@given(st.text(max_size=60))
@settings(max_examples=60)
def test_any_text_as_a_set_is_taken_or_refused(text):
    assert clipbench("show", "quickstart", "--set", text).exit_code in (0, 2)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
GOOD_SUITE = (Path(__file__).parents[1] / "suites" / "flickr8k_amp.yaml").read_bytes()


@given(st.integers(0, len(GOOD_SUITE)), st.integers(0, 40), st.binary(max_size=8))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_suite_damaged_anywhere_is_taken_or_refused(tmp_path, start, cut, put):
    path = tmp_path / "damaged.yaml"
    path.write_bytes(GOOD_SUITE[:start] + put + GOOD_SUITE[start + cut :])
    assert clipbench("validate", path).exit_code in (0, 2)


# --- results and references ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good_result(tmp_path_factory):
    """The bytes of a result that a run could have written."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "mine.yaml").write_text(
        "{name: mine, model: {name: clip-tiny}, dataset: {name: shapes}, train: {epochs: 1, batch_size: 2}}"
    )
    device = {"kind": "cpu", "name": "a processor", "count": 1, "world_size": 1, "precision": "float32"}
    environment = {"os": "Linux", "python": "3.11", "cpu": {"name": "a processor", "cores": 2}, "device": device}
    environment |= {"packages": {}, "plugins": {}, "variables": {}}
    train, val = (Fingerprint(split, count, 50, "0" * 64) for split, count in (("train", 20), ("val", 10)))
    recorded = [
        events.EnvironmentRead(environment),
        events.InputsRead(DatasetUsed("shapes", train, val), WeightsUsed("random", None), 0),
        events.LearnerBuilt({}, {}, 10, 10),
        events.EpochFinished(RECORD),
        events.QueriesRanked(RANKS),
    ]
    case = load_suite(folder / "mine.yaml").cases[0]
    made = build_result(case, "mine-0", "2026-01-01T00:00:00Z", recorded, "completed", None)
    return write_result(folder, made).read_bytes()


def bad_result(good, name):
    if name in RESULT_BYTES:
        change, phrase = RESULT_BYTES[name]
        changed = change(good)
    else:
        change, phrase = RESULTS[name]
        changed = json.dumps(change(json.loads(good))).encode()
    assert changed != good
    return changed, phrase


@pytest.mark.parametrize("name", [*RESULTS, *RESULT_BYTES])
def test_results(here, good_result, name):
    content, phrase = bad_result(good_result, name)
    (here / "bad.json").write_bytes(content)
    (here / "good.json").write_bytes(good_result)
    assert clipbench("validate", here / "good.json").exit_code == 0
    for words in (["validate"], ["compare"]):
        done = clipbench(*words, here, folder=here)
        refused(done, ExitCode.NOT_COMPARABLE, "bad.json")
        assert phrase in re.sub(r"\s+", " ", done.output)


@pytest.mark.parametrize("name", REFERENCES)
def test_references(here, name):
    change, phrase = REFERENCES[name]
    (here / "bad.json").write_text(json.dumps(change(copy.deepcopy(REFERENCE))))
    for words in (["validate", here], ["compare", here], ["compare", here, "--references", here]):
        done = clipbench(*words, folder=here)
        refused(done, ExitCode.NOT_COMPARABLE, "bad.json")
        assert phrase in re.sub(r"\s+", " ", done.output)


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_result_changed_anywhere_is_refused(tmp_path, good_result, data):
    document = json.loads(good_result)
    target, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(target[key], dict) and target[key] and data.draw(st.booleans()):
        target = target[key]
        key = data.draw(st.sampled_from(sorted(target)))
    value = data.draw(PLAIN)
    same = json.dumps(value) == json.dumps(target[key])
    target[key] = value
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    for command in ("validate", "compare"):
        code = clipbench(command, path).exit_code
        assert same or code == ExitCode.NOT_COMPARABLE


@given(st.integers(0, 10**6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_result_cut_short_anywhere_is_refused(tmp_path, good_result, length):
    path = tmp_path / "cut.json"
    path.write_bytes(good_result[: length % (len(good_result) - 1)])
    assert clipbench("validate", path).exit_code == ExitCode.NOT_COMPARABLE


# --- data ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(here):
    """A data root with two good pictures, and things beside them that should not be read."""
    pictures = here / "datasets" / "pictures"
    pictures.mkdir(parents=True)
    for path in (pictures / "a.jpg", pictures / "b.jpg"):
        Image.effect_noise((24, 16), 60).save(path)
    (pictures / "dangling.jpg").symlink_to(pictures / "nothing.jpg")
    os.mkfifo(pictures / "pipe.jpg")
    write_annotations(here, "train", "pictures/a.jpg")
    write_annotations(here, "val", "pictures/b.jpg")
    return here


def write_annotations(root, split, *images):
    entries = [{"image": image, "caption": ["some words"]} for image in images]
    (root / "datasets" / f"en_{split}.json").write_text(json.dumps(entries))


def data_suite(root):
    text = "{name: data, model: {name: clip-tiny}, dataset: {name: flickr8k}, train: {batch_size: 2}}"
    (root / "data.yaml").write_text(text)
    return root / "data.yaml", "--set", f"dataset.root={root}"


def test_the_data_root_is_good_before_it_is_spoilt(root):
    done = clipbench("validate", root, "--deep")
    assert done.exit_code == 0 and done.output.count("ok ") == 2


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotations(root, name):
    content, phrase = ANNOTATIONS[name]
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    (root / "datasets" / "en_val.json").write_bytes(content)
    done = clipbench("validate", root, folder=root)
    refused(done, ExitCode.NOT_READY, phrase)
    assert "en_val.json" in done.output and len(done.output) < 2000
    # A run refuses what is wrong, and lists what is not there.
    done = clipbench("show", *data_suite(root), folder=root)
    assert done.exit_code == ExitCode.NOT_READY or "missing: " in done.output


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(root, name):
    content, phrase, header_tells = PICTURES[name]
    path = root / "datasets" / "pictures" / "a.jpg"
    path.write_bytes(content)
    if header_tells:
        refused(clipbench("validate", root, folder=root), ExitCode.NOT_READY, "a.jpg")
    done = clipbench("validate", root, "--deep", folder=root)
    refused(done, ExitCode.NOT_READY, "1 of 1 pictures cannot be used (a.jpg: ")
    assert phrase in done.output


JSON_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["image", "caption"]), inner),
    max_leaves=6,
)


@given(JSON_DATA)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_as_annotations_is_refused(root, data):
    (root / "datasets" / "en_val.json").write_text(json.dumps(data))
    # None of these names a picture that is there.
    assert clipbench("validate", root).exit_code == ExitCode.NOT_READY


@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"]), st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_picture_damaged_anywhere_is_taken_or_refused(root, form, data):
    path = root / "datasets" / "pictures" / "a.jpg"
    Image.frombytes("RGB", (24, 16), random.Random(0).randbytes(24 * 16 * 3)).save(path, form)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, min(200, len(content) - 1)))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content)[: data.draw(st.integers(1, len(content)))])
    assert clipbench("validate", root, "--deep").exit_code in (0, ExitCode.NOT_READY)


# --- weights and vocabularies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(here, name):
    from clipbench_torch.weights import read_weights

    content, phrase = WEIGHTS[name]
    path = here / "bad.pth"
    path.write_bytes(content)
    before = snapshot(here)
    with pytest.raises(NotReadyError) as caught:
        read_weights(path)
    assert str(path) in str(caught.value) and phrase in str(caught.value)
    assert snapshot(here) == before


@pytest.fixture(scope="module")
def good_weights(tmp_path_factory):
    """Weights in every format, by its name."""
    import torch
    from safetensors.torch import save

    state = {"a": torch.arange(12.0).reshape(3, 4), "b.c": torch.zeros(2)}
    path = tmp_path_factory.mktemp("weights") / "w.pt"
    torch.save(state, path)
    made = {"zip": path.read_bytes(), "safetensors": save(state)}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    made["pickle"] = path.read_bytes()
    return made


@pytest.mark.parametrize("form", ["zip", "safetensors", "pickle"])
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_weights_damaged_anywhere_are_read_or_refused(tmp_path, good_weights, form, data):
    from clipbench_torch.weights import read_weights

    content = bytearray(good_weights[form])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.pth"
    path.write_bytes(bytes(content)[: data.draw(st.integers(1, len(content)))])
    try:
        assert read_weights(path)
    except NotReadyError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_vocabularies(here, name):
    content, phrase = VOCABULARIES[name]
    (here / "bad.gz").write_bytes(content)
    with pytest.raises(NotReadyError) as caught:
        BpeTokenizer(here / "bad.gz")
    assert str(here / "bad.gz") in str(caught.value) and phrase in str(caught.value)


# --- command lines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "code", "phrase"), ARGUMENTS, ids=lambda value: str(value)[:50])
def test_arguments(here, monkeypatch, words, code, phrase):
    monkeypatch.setattr("clipbench.runs.runner._look_for", lambda checks: ProcessEnd())
    (here / "a-file").write_text("{}")
    (here / "empty-folder").mkdir()
    for name in ("pipe.json", "pipe.yaml"):
        os.mkfifo(here / name)
    refused(clipbench(*words, folder=here), code, phrase)


NOTHING = ("a-file", "empty-folder", "pipe.json", "nowhere", "", ".", "/dev/null", "x" * 5000, "\x1b[2J", "--nonsense")
READERS = sorted(set(COMMANDS) - {"run", "doctor"})  # these two start processes


@pytest.mark.parametrize("command", READERS)
def test_every_command_survives_words_that_name_nothing(here, command):
    (here / "a-file").write_text("{}")
    (here / "empty-folder").mkdir()
    os.mkfifo(here / "pipe.json")
    inner = getattr(main.get_command(Context(main), command), "commands", {})
    for words in ([command], *([command, name] for name in inner)):
        for word in NOTHING:
            assert clipbench(*words, word, folder=here).exit_code in {int(code) for code in ExitCode}


FUZZED = ("run", "show", "list", "validate", "compare")
WORDS = st.sampled_from(
    [
        "quickstart",
        "--set",
        "--seed",
        "--format",
        "json",
        "--case",
        "*",
        "--dry-run",
        "--deep",
        "a-file",
        "--",
        "-x",
        "7",
    ]
)


# What no shell can pass on.
NO_NUL = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


@given(st.sampled_from(FUZZED), st.lists(WORDS | st.text(NO_NUL, max_size=5), max_size=4))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_end_in_an_exit_code(here, command, words):
    # `--help` in place of what would run, should the words come to a whole command.
    done = clipbench(command, *words, *(["--help"] if command == "run" else []), folder=here)
    assert done.exit_code in {int(code) for code in ExitCode}


# --- whole processes ----------------------------------------------------------------------------------------------


def run_in_a_process(here, *words):
    before = snapshot(here)
    done = subprocess.run(
        [sys.executable, "-m", "clipbench", "run", "bad.yaml", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    after = snapshot(here)
    assert {path: after[path] for path in before} == before
    return done


@pytest.mark.parametrize(
    ("key", "name", "phrase"),
    [("weights", "TorchScript with code in its pickle", "no part of weights"), ("vocabulary", "a bomb", "unpacked")],
)
@pytest.mark.slow
def test_a_run_with_a_bad_file_of_the_model_is_exit_5(here, key, name, phrase):
    content = (WEIGHTS if key == "weights" else VOCABULARIES)[name][0]
    (here / "bad.file").write_bytes(content)
    (here / "bad.yaml").write_text(
        f"{{name: bad, model: {{name: clip-tiny, {key}: {here}/bad.file}}, "
        "dataset: {name: shapes, options: {train_images: 32, val_images: 8}}, train: {batch_size: 16, workers: 0}}"
    )
    done = run_in_a_process(here)
    assert done.returncode == ExitCode.NOT_READY and phrase in done.stdout + done.stderr
    assert not Path("run.txt").exists()


@pytest.mark.slow
def test_a_picture_that_breaks_during_a_run_ends_it_by_name_and_with_skip_is_left_out(root):
    images = []
    for number in range(8):
        images.append(f"pictures/{number}.jpg")
        Image.effect_noise((80, 60), 60).save(root / "datasets" / images[-1])
    write_annotations(root, "train", *images)
    cut = root / "datasets" / "pictures" / "3.jpg"
    cut.write_bytes(cut.read_bytes()[:-500])
    (root / "bad.yaml").write_text(
        f"{{name: bad, model: {{name: clip-tiny}}, dataset: {{name: flickr8k, root: {root}}}, "
        "train: {batch_size: 4, workers: 1, schedule: {peak_limits: null, floor_limits: null}}}"
    )
    done = run_in_a_process(root)
    assert done.returncode == ExitCode.CASE_FAILED
    assert re.search(r"3\.jpg: image 3 of en_train\.json cannot be used", done.stdout + done.stderr)
    done = run_in_a_process(root, "--restart", "--set", "dataset.on_bad_image=skip", "--out", "skipped")
    assert done.returncode == ExitCode.PASS, done.stderr
    (path,) = Path("skipped").glob("*.json")
    result = json.loads(path.read_text())
    assert result["bad_images"] == {"skipped": 1, "train": 1, "val": 0}
    assert result["dataset"]["train"]["images"] == 7
    assert any("3.jpg" in warning for warning in result["warnings"])
