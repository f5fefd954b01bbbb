"""Checkpoints: what is saved comes back, a damaged one is never believed, and no moment to be killed loses one."""

import errno
import itertools
import json
import os
import shutil
import struct
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from clipbench.api import LearnerState, TensorRef
from clipbench.errors import ExitCode, InvalidFileError, NotReadyError
from clipbench.files import hashing as hashed_file
from clipbench.files.disk import DiskError, free_bytes, size_text, writing
from clipbench.files.safetensors_file import DTYPES, file_bytes, read_tensors, write_tensors
from clipbench.training import checkpoints
from clipbench.training.checkpoints import MANIFEST, STATE, TENSORS, best, latest, load
from tests.support import saving
from tests.support.saving import save, state_of, step_of

VERSION_1 = Path(__file__).parents[1] / "results" / "version_1"

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
ARRAYS = npst.arrays(
    st.sampled_from(sorted(set(DTYPES.values()) - {DTYPES["BF16"]}, key=str)),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


def refs(arrays):
    return {name: TensorRef(array.dtype, array.shape, lambda array=array: array) for name, array in arrays.items()}


def write(path, arrays):
    with path.open("wb") as file:
        write_tensors(file.write, refs(arrays))
    return path


def names(root):
    return sorted(path.name for path in root.iterdir())


# --- the file of tensors ------------------------------------------------------------------------------------------


@given(st.dictionaries(NAMES.filter(lambda name: name != "__metadata__"), ARRAYS, max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tensors_come_back_as_they_were_in_the_order_given(tmp_path, arrays):
    arrays = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    path = write(tmp_path / "t", arrays)
    assert path.stat().st_size == file_bytes(refs(arrays))
    read = read_tensors(path)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        got = read[name].read()
        assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert got.flags.aligned and got.flags.c_contiguous and not got.flags.writeable


def test_the_packages_own_reader_and_writer_understand_the_same_files(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    arrays = {f"of.{name}": np.ones((3, 2), dtype) for name, dtype in DTYPES.items() if name != "BF16"}
    arrays |= {"scalar": np.float32(3), "none": np.zeros((0, 4), np.float32), "odd": np.arange(3, dtype=np.uint8)}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    read = numpy_files.load_file(write(tmp_path / "ours", arrays))
    assert read.keys() == arrays.keys()
    numpy_files.save_file(arrays, tmp_path / "theirs", metadata={"format": "np"})
    ours = read_tensors(tmp_path / "theirs")
    assert ours.keys() == arrays.keys()
    for name, array in arrays.items():
        for got in (read[name], ours[name].read()):
            np.testing.assert_array_equal(got, array, strict=True)


def test_one_tensor_at_a_time_is_held(tmp_path):
    alive, most = [], []

    class Array(np.ndarray):
        """numpy's own cannot be watched."""

    def read():
        array = np.ones(1000, np.float32).view(Array)
        alive.append(weakref.ref(array))
        most.append(sum(watched() is not None for watched in alive))
        return array

    ref = TensorRef(np.dtype(np.float32), (1000,), read)
    checkpoints.save(tmp_path, "step-1", LearnerState({f"t{number}": ref for number in range(9)}, {}), {}, None)
    assert most == [1] * 9


def header(**entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


BROKEN = {
    "cut short at 0 bytes": b"",
    "cut short at 5 bytes": b"\x01\x02\x03\x04\x05",
    "cut short at 9 bytes": struct.pack("<Q", 2) + b"{",
    "the tensors take 8 bytes, the file has 7": header(a=entry()) + bytes(7),
    "the tensors take 8 bytes, the file has 9": header(a=entry()) + bytes(9),
    "Expecting": struct.pack("<Q", 2) + b"{a",
    "no JSON object": struct.pack("<Q", 2) + b"[]",
    "is given twice": struct.pack("<Q", 15) + b'{"a":{},"a":{}}',
    "nested too deeply": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "can't decode": struct.pack("<Q", 2) + b"\xff\xfe",
    "expected dtype, shape and data_offsets": header(a={"dtype": "F32"}),
    "type 'F8_E4M3' is not known": header(a=entry("F8_E4M3")) + bytes(8),
    "lists of whole numbers": header(a=entry(shape=(-2,))) + bytes(8),
    "lists of whole numbers ": header(a=entry(offsets=(0, 8.0))) + bytes(8),
    "lists of whole numbers  ": header(a=entry(shape=(True, 2))) + bytes(8),
    "the first not larger": header(a=entry(offsets=(8, 0))) + bytes(8),
    "the first not larger ": header(a=entry(offsets=(0, 8, 8))) + bytes(8),
    "12 bytes do not hold": header(a=entry(offsets=(0, 12))) + bytes(12),
    "b: its bytes begin at 4, not 8": header(a=entry(), b=entry(offsets=(4, 12))) + bytes(12),
    "a: its bytes begin at 4, not 0": header(a=entry(offsets=(4, 12))) + bytes(12),
    "do not hold": header(a=entry(shape=(2**40, 2**40))) + bytes(8),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_file_of_tensors_is_named_with_its_fault(reason, tmp_path):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(BROKEN[reason])
    with pytest.raises(InvalidFileError) as refusal:
        read_tensors(path)
    assert str(path) in str(refusal.value)
    assert reason.strip() in str(refusal.value)


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_any_bytes_changed_is_read_or_refused(tmp_path, data):
    path = write(tmp_path / "t", {"a": np.arange(6, dtype=np.int32), "b": np.ones((2, 2), np.float16)})
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read = read_tensors(path)
    except InvalidFileError:
        return
    assert all(ref.read().shape == ref.shape for ref in read.values())


def test_a_tensor_that_is_not_as_announced_is_refused_and_nothing_is_lost(tmp_path):
    save(tmp_path, 1)
    state = state_of(2)
    wrong = {**state.tensors, "of.float16": replace(state.tensors["of.float16"], shape=(5,))}
    with pytest.raises(ValueError, match=r"tensor of\.float16: float16 \(2000, 3\) was read"):
        checkpoints.save(tmp_path, "step-2", LearnerState(wrong, {}), {}, None)
    assert names(tmp_path) == ["step-00000001"]


# --- checkpoints --------------------------------------------------------------------------------------------------


def test_what_is_saved_comes_back(tmp_path):
    progress = {"history": [0.1 + 0.2, 5e-324, 1e300, -0.0], "name": "é", "step": 3}
    state = LearnerState(state_of(3).tensors, {"scaler": {"scale": 65536.0}, "steps": 3, "none": None})
    folder = checkpoints.save(tmp_path / "kept", "step-3", state, progress, 0.25)
    assert names(folder) == sorted([TENSORS, STATE, MANIFEST])
    assert (folder / TENSORS).stat().st_size == file_bytes(state.tensors)
    for found in (latest(tmp_path / "kept"), load(folder)):
        assert (found.folder, found.progress, found.problems) == (folder, progress, ())
        assert found.state.values == state.values
        assert repr(found.progress["history"]) == repr(progress["history"])
        assert list(found.state.tensors) == list(state.tensors)


def test_nothing_is_not_a_checkpoint(tmp_path):
    assert latest(tmp_path / "nowhere") is None
    assert best(tmp_path / "nowhere") is None
    assert latest(tmp_path) is None
    (tmp_path / "notes.txt").write_text("mine")
    assert latest(tmp_path) is None


@pytest.mark.parametrize(
    ("scores", "kept", "top"),
    [
        ([None, None, None, None], [3, 4], None),
        ([0.1, 0.3, 0.2, 0.1], [2, 3, 4], 2),
        ([0.1, 0.2, 0.2, 0.1, 0.1, None], [2, 5, 6], 2),
        ([0.1, 0.2, 0.3], [2, 3], 3),
        ([0.0, None, None, -1.0], [1, 3, 4], 1),
        ([0.4], [1], 1),
    ],
)
def test_the_last_two_and_the_first_of_the_best_are_kept(tmp_path, scores, kept, top):
    for step, score in enumerate(scores, start=1):
        checkpoints.save(tmp_path, f"step-{step}", state_of(step), {}, score)
    assert names(tmp_path) == [f"step-{step}" for step in kept]
    assert best(tmp_path) == (tmp_path / f"step-{top}" if top else None)


def test_a_checkpoint_of_the_same_name_takes_the_others_place(tmp_path):
    save(tmp_path, 1)
    for score in (None, 0.5):
        checkpoints.save(tmp_path, "step-00000002", state_of(2), {"step": 2, "score": score}, score)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]
    assert latest(tmp_path).progress["score"] == 0.5
    assert best(tmp_path).name == "step-00000002"


def test_leftovers_of_interrupted_saves_are_swept_and_what_was_being_replaced_comes_back(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    for leftover in (".step-00000003.partial", ".step-00000000.removed", ".step-00000001.replaced"):
        shutil.copytree(tmp_path / "step-00000001", tmp_path / leftover)
    (tmp_path / "step-00000002").rename(tmp_path / ".step-00000002.replaced")
    (tmp_path / "notes").mkdir()
    (tmp_path / ".hidden").mkdir()
    assert step_of(latest(tmp_path)) == 2
    assert checkpoints.folders(tmp_path)[-1] == tmp_path / ".step-00000002.replaced"
    checkpoints.prune(tmp_path)
    assert names(tmp_path) == [".hidden", "notes", "step-00000001", "step-00000002"]


def test_numbers_that_json_lacks_are_refused_before_anything_is_written(tmp_path):
    for progress, score in (({"loss": float("nan")}, None), ({}, float("inf"))):
        with pytest.raises(ValueError, match="JSON"):
            checkpoints.save(tmp_path, "step-1", state_of(1), progress, score)
    assert names(tmp_path) == []


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


DAMAGE = {
    f"{TENSORS}: damaged: its sha256": lambda folder: flip(folder / TENSORS),
    f"{TENSORS}: damaged: its sha256 is not": lambda folder: flip(folder / TENSORS, 20),
    f"{STATE}: damaged: its sha256": lambda folder: flip(folder / STATE, 30),
    "bytes long, its manifest says": lambda folder: os.truncate(folder / TENSORS, 1000),
    f"{TENSORS}: missing": lambda folder: (folder / TENSORS).unlink(),
    f"{STATE}: missing": lambda folder: (folder / STATE).unlink(),
    f"{MANIFEST}: cannot be read": lambda folder: (folder / MANIFEST).unlink(),
    f"{MANIFEST}: not valid JSON": lambda folder: os.truncate(folder / MANIFEST, 50),
    f"{MANIFEST}: not of a checkpoint": lambda folder: (folder / MANIFEST).write_text("[]"),
    "(schema_version 3, this one reads 2)": lambda folder: edit(folder / MANIFEST, schema_version=3),
    f"expected {TENSORS} and {STATE}": lambda folder: edit(folder / MANIFEST, files={}),
    "expected 'bytes' and 'sha256'": lambda folder: edit(folder / MANIFEST, files={TENSORS: {}, STATE: {}}),
}


@pytest.mark.parametrize("reason", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_passed_over(reason, tmp_path):
    save(tmp_path, 1)
    folder = save(tmp_path, 2)
    DAMAGE[reason](folder)
    with pytest.raises(InvalidFileError) as refusal:
        load(folder)
    assert str(folder) in str(refusal.value)
    assert reason in str(refusal.value)
    found = latest(tmp_path)
    assert step_of(found) == 1
    assert found.problems == (str(refusal.value),)
    DAMAGE[reason](tmp_path / "step-00000001")
    with pytest.raises(InvalidFileError, match="no checkpoint is whole") as refusal:
        latest(tmp_path)
    assert "step-00000001" in str(refusal.value)
    assert "--restart" in str(refusal.value)


def test_a_checkpoint_of_version_1_is_refused_with_what_to_do(tmp_path):
    shutil.copytree(VERSION_1 / "checkpoint", tmp_path / "step-00000012")
    with pytest.raises(InvalidFileError) as refusal:
        latest(tmp_path)
    message = str(refusal.value)
    assert "written by another version of clipbench (schema_version 1, this one reads 2)" in message
    assert "finish the run with the version that wrote it, or start it anew with --restart" in message


def test_a_cut_checkpoint_does_not_count_among_those_that_are_kept(tmp_path):
    for step in (1, 2):
        save(tmp_path, step)
    os.truncate(tmp_path / "step-00000002" / TENSORS, 1000)
    save(tmp_path, 3)
    assert names(tmp_path) == ["step-00000001", "step-00000003"]


def test_pruning_leaves_what_is_verified_mapped(tmp_path):
    save(tmp_path, 1)
    found = latest(tmp_path)
    for step in range(2, 7):
        save(tmp_path, step)
    assert not found.folder.exists()
    assert step_of(found) == 1


# --- killed -------------------------------------------------------------------------------------------------------


def ask(what, *words, before=()):
    done = subprocess.run(
        [*before, sys.executable, saving.__file__, what, *map(str, words)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_killed_at_any_moment_a_saver_leaves_a_whole_checkpoint(tmp_path):
    found = ask("killed_at_random", tmp_path)
    assert found == sorted(found)
    assert found[-1] > found[0]
    assert len(names(tmp_path)) <= 6  # those kept, and leftovers of the last one killed


def test_killed_before_any_call_that_the_disk_sees_a_saver_loses_nothing(tmp_path):
    gained = ask("killed_at_every_call", tmp_path)
    assert gained[-1] == 1  # the one that was not killed
    assert len(gained) > 50
    assert set(gained) == {0, 1}


# --- refused by the disk ------------------------------------------------------------------------------------------


def assert_refused(answer, root, *parts):
    assert answer["exit_code"] == ExitCode.NOT_READY
    assert answer["latest"] == 1
    for part in (
        f"{root}/step-00000002",
        "the checkpoint cannot be written",
        "4.5 MB are needed",
        "free there",
        *parts,
    ):
        assert part in answer["message"]


def test_a_limit_on_file_size_leaves_the_last_checkpoint_whole(tmp_path):
    assert_refused(ask("refused", tmp_path, 1_000_000), tmp_path, "File too large", "ulimit -f")


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path):
    """On a tmpfs of one megabyte, where this user may mount one of its own."""
    small = ["unshare", "--mount", "--map-root-user", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"']
    if shutil.which("unshare") is None or subprocess.run([*small, tmp_path, "true"], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    answer = ask("refused", tmp_path, 0, before=[*small, str(tmp_path)])
    assert_refused(answer, tmp_path, "No space left on device", "make room")


def test_a_read_only_disk_leaves_the_last_checkpoint_whole(tmp_path):
    """On a mount of the folder onto itself that may not be written to."""
    sealed = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"',
    ]
    save(tmp_path, 1)
    if shutil.which("unshare") is None or subprocess.run([*sealed, tmp_path, "true"], capture_output=True).returncode:
        pytest.skip("mounting read-only is not permitted here")
    answer = ask("refused", tmp_path, 0, before=[*sealed, str(tmp_path)])
    assert answer["exit_code"] == ExitCode.NOT_READY
    for part in (str(tmp_path), "Read-only file system", "mount it for writing"):
        assert part in answer["message"]
    assert step_of(latest(tmp_path)) == 1


def test_no_permission(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    save(tmp_path, 1)
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(DiskError, match=r"Permission denied.*get write permission"):
            save(tmp_path, 2)
        assert step_of(latest(tmp_path)) == 1
    finally:
        tmp_path.chmod(0o755)


def test_a_folder_that_has_vanished_is_not_made_anew(tmp_path):
    save(tmp_path / "run", 1)
    with pytest.raises(DiskError, match="the folder no longer exists") as refusal:
        save(tmp_path / "gone" / "run", 2)
    assert refusal.value.exit_code == ExitCode.NOT_READY
    assert names(tmp_path) == ["run"]


def test_a_folder_that_vanishes_while_a_checkpoint_is_written(tmp_path):
    state = state_of(1)
    names_left = list(state.tensors)

    def vanish():
        shutil.rmtree(tmp_path / "run")
        return np.full((2000, 3), 1, names_left[-1].removeprefix("of."))

    tensors = {**state.tensors, names_left[-1]: replace(state.tensors[names_left[-1]], read=vanish)}
    with pytest.raises(DiskError, match="the folder no longer exists"):
        checkpoints.save(tmp_path / "run", "step-1", LearnerState(tensors, {}), {}, None)


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(DiskError, match="a file stands where a folder should be"):
        save(tmp_path / "run", 1)
    assert (tmp_path / "run").read_text() == "mine"
    assert latest(tmp_path / "run") is None


@pytest.mark.parametrize(("call", "early"), [("fsync", False), ("fsync", True), ("write", True), ("rename", False)])
def test_an_error_of_the_disk_at_any_call_loses_nothing(tmp_path, monkeypatch, call, early):
    """At the first, second, ... such call, until a save makes fewer of them."""
    if early:  # pieces sent to the disk while others are written, as in large files
        monkeypatch.setattr(hashed_file, "PIECE", 1000)
        monkeypatch.setattr(hashed_file, "EARLY", 10_000)
    save(tmp_path, 1)
    for number in itertools.count(1):
        failing = FailingCall(getattr(os, call), number)
        with monkeypatch.context() as patched:
            patched.setattr(os, call, failing)
            if failing.refuses(lambda: checkpoints.save(tmp_path, "step-00000001", state_of(1), {"step": 1}, None)):
                assert step_of(latest(tmp_path)) == 1
                continue
        break
    assert number > 2  # otherwise nothing has failed
    assert names(tmp_path) == ["step-00000001"]


class FailingCall:
    """A call to the system that fails at the given time that it is made."""

    def __init__(self, call, number):
        self.call, self.number, self.calls = call, number, 0

    def __call__(self, *words, **named):
        self.calls += 1
        if self.calls == self.number:
            raise OSError(errno.EIO, "Input/output error")
        return self.call(*words, **named)

    def refuses(self, work):
        try:
            work()
        except DiskError as error:
            assert "Input/output error" in str(error) and "the disk fails" in str(error)
            return True
        return False


def test_errors_of_the_disk_name_path_need_and_room(tmp_path):
    with pytest.raises(NotReadyError) as refusal, writing("the result", tmp_path / "no" / "r.json", 2500):
        (tmp_path / "no" / "r.json").write_text("{}")
    said = str(refusal.value)
    assert said.startswith(f"{tmp_path / 'no' / 'r.json'}: the result cannot be written (No such file or directory); ")
    assert "2.5 kB are needed" in said
    assert size_text(free_bytes(tmp_path / "no")).split()[1] + " are free there" in said


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_796_000_000, "1.8 GB"), (5 * 10**15, "5000.0 TB")],
)
def test_sizes_are_written_as_disks_are_sold(size, text):
    assert size_text(size) == text
