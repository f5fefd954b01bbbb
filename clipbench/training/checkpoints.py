"""Checkpoints of a run: folders that are whole or not there, verified before a run is resumed from them."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipbench.api import LearnerState
from clipbench.api.plain import value_at
from clipbench.errors import InvalidFileError, NotReadyError
from clipbench.files.disk import sync_folder, writing
from clipbench.files.hashing import HashedFile, sha256_of
from clipbench.files.json_file import JsonError, read_json
from clipbench.files.safetensors_file import file_bytes, read_tensors, write_tensors

KIND = "clipbench.checkpoint"
SCHEMA_VERSION = 2
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
KEPT = 2
# A name in three stages: being written; replaced by a newer one of its name; being removed. All begin with a dot.
PARTIAL, REPLACED, REMOVED = ".partial", ".replaced", ".removed"
NEXT = "remove that folder, or start the run anew with --restart"


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, verified: ``progress`` as it was given, and tensors that are read when they are needed.

    ``problems`` says which newer checkpoints were passed over, and why.
    """

    folder: Path
    progress: dict[str, Any]
    state: LearnerState
    problems: tuple[str, ...] = ()


def save(root: Path, name: str, state: LearnerState, progress: Mapping[str, Any], score: float | None) -> Path:
    """Write ``root/name``, whole or not at all, in place of any that is there, and prune ``root``; its parent exists.

    Names sort by progress; of two scores the higher is better. One tensor at a time is held in memory. Raises
    DiskError where the disk refuses, with what was saved before as it was; ValueError for what JSON cannot hold.
    """
    folder, partial = root / name, root / f".{name}{PARTIAL}"
    document = _document(values=dict(state.values), progress=dict(progress), score=score)
    with writing("the checkpoint", folder, file_bytes(state.tensors) + len(document)):
        try:
            # Not its parents: where they have vanished, something is wrong with the disk.
            root.mkdir(exist_ok=True)
            _sweep(root)
            partial.mkdir()
            with HashedFile.create(partial / TENSORS) as tensors:
                write_tensors(tensors.write, state.tensors)
            with HashedFile.create(partial / STATE) as text:
                text.write(document)
            with HashedFile.create(partial / MANIFEST) as manifest:
                files = {TENSORS: tensors, STATE: text}
                manifest.write(
                    _document(files={name: {"bytes": f.bytes, "sha256": f.sha256()} for name, f in files.items()})
                )
            sync_folder(partial)
            _put_in_place(partial, folder)
        except BaseException:
            with suppress(OSError):
                shutil.rmtree(partial)
            raise
    prune(root)
    return folder


def latest(root: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint in ``root``, or None where there is none.

    Damaged ones are passed over, and named in ``problems``. Raises InvalidFileError where all are damaged.
    """
    problems: list[str] = []
    for folder in reversed(folders(root)):
        try:
            return replace(load(folder), problems=tuple(problems))
        except (InvalidFileError, NotReadyError) as error:
            problems.append(str(error))
    if problems:
        raise InvalidFileError(f"{root}: no checkpoint is whole; {NEXT}\n  " + "\n  ".join(problems))
    return None


def load(folder: Path) -> Checkpoint:
    """Return the checkpoint in ``folder``, every byte verified against its manifest.

    Raises InvalidFileError that names the file and what is wrong with it, NotReadyError where it may not be read.
    """
    for path, sha256 in _files(folder):
        try:
            actual = sha256_of(path)
        except OSError as error:
            raise NotReadyError(f"{path}: cannot be read ({error.strerror}); {NEXT}") from error
        if actual != sha256:
            raise InvalidFileError(f"{path}: damaged: its sha256 is not the one in {MANIFEST}; {NEXT}")
    document = read_state(folder)
    return Checkpoint(folder, document["progress"], LearnerState(read_tensors(folder / TENSORS), document["values"]))


def folders(root: Path) -> list[Path]:
    """Return the checkpoints in ``root``, whole or not, by progress; none where it is not there.

    One that was being replaced counts where its successor did not arrive.
    """
    try:
        paths = [path for path in root.iterdir() if path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise NotReadyError(f"{root}: cannot be read ({error.strerror}); {NEXT}") from error
    found = {path.stem[1:]: path for path in paths if path.name[0] == "." and path.suffix == REPLACED}
    found |= {path.name: path for path in paths if path.name[0] != "."}
    return [found[name] for name in sorted(found)]


def best(root: Path) -> Path | None:
    """Return the folder with the best score, the first such; None where none has a score."""
    scores = {folder: score for folder in folders(root) if _whole(folder) and (score := _score(folder)) is not None}
    return max(scores, key=lambda folder: scores[folder], default=None)


def prune(root: Path) -> None:
    """Keep the newest two and the best; remove the others, and what interrupted saves have left behind."""
    with writing("the removal of old checkpoints", root, 0):
        _sweep(root)
        whole = [folder for folder in folders(root) if _whole(folder)]
        kept = {*whole[-KEPT:], best(root)}
        for folder in folders(root):
            # A damaged one is of no use once a newer one is whole; what is no checkpoint is not touched.
            if folder not in kept and (folder / MANIFEST).is_file() and whole and folder < whole[-1]:
                _remove(folder)


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename ``partial`` to ``folder``; at any moment one of them, or what was there, is whole and found."""
    replaced = folder.with_name(f".{folder.name}{REPLACED}")
    if folder.exists():
        folder.rename(replaced)
    try:
        partial.rename(folder)
    except BaseException:
        if replaced.exists():
            replaced.rename(folder)
        raise
    sync_folder(folder.parent)
    if replaced.exists():
        _remove(replaced)


def _sweep(root: Path) -> None:
    """Put back what was being replaced when its successor did not arrive, and remove all other leftovers."""
    for path in sorted(root.iterdir()):
        if path.name[0] != "." or not path.is_dir():
            continue
        folder = root / path.stem[1:]
        if path.suffix == REPLACED and not folder.exists():
            path.rename(folder)
        elif path.suffix == REPLACED:
            _remove(path)
        elif path.suffix in (PARTIAL, REMOVED):
            shutil.rmtree(path)


def _remove(folder: Path) -> None:
    """Remove a checkpoint so that half of one never bears its name."""
    doomed = folder.with_name(f".{folder.name.removeprefix('.')}{REMOVED}")
    if doomed.exists():
        shutil.rmtree(doomed)
    folder.rename(doomed)
    shutil.rmtree(doomed)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file, there in its full length, with its sha256 as the manifest has it."""
    manifest = folder / MANIFEST
    files = _checked_json(manifest).get("files")
    if not isinstance(files, dict) or set(files) != {TENSORS, STATE}:
        raise InvalidFileError(f"{manifest}: expected {TENSORS} and {STATE} under 'files'; {NEXT}")
    for name, entry in files.items():
        path, size, sha256 = folder / name, value_at(entry, "bytes"), value_at(entry, "sha256")
        if not isinstance(size, int) or not isinstance(sha256, str):
            raise InvalidFileError(f"{manifest}: {name}: expected 'bytes' and 'sha256'; {NEXT}")
        if not path.is_file():
            raise InvalidFileError(f"{path}: missing; {NEXT}")
        if (actual := path.stat().st_size) != size:
            raise InvalidFileError(f"{path}: {actual:,} bytes long, its manifest says {size:,}; {NEXT}")
        yield path, sha256


def read_state(folder: Path) -> dict[str, Any]:
    """Return ``values``, ``progress`` and ``score`` of a checkpoint, not verified against its manifest.

    Raises InvalidFileError for a file that is not of a checkpoint, or of another version.
    """
    path = folder / STATE
    document = _checked_json(path)
    for key in ("values", "progress"):
        if not isinstance(document.get(key), dict):
            raise InvalidFileError(f"{path}: expected an object under '{key}'; {NEXT}")
    return document


def _checked_json(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except JsonError as error:
        raise InvalidFileError(f"{path}: {error}; {NEXT}") from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise InvalidFileError(f"{path}: not of a checkpoint: expected the key 'kind' with {KIND}; {NEXT}")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise InvalidFileError(
            f"{path}: written by another version of clipbench (schema_version {data.get('schema_version')!r}, this one "
            f"reads {SCHEMA_VERSION}); finish the run with the version that wrote it, or start it anew with --restart"
        )
    return data


def _whole(folder: Path) -> bool:
    """Return whether all files are there in their full length; their content is verified when it is read."""
    try:
        return bool(list(_files(folder)))
    except (InvalidFileError, OSError):
        return False


def _score(folder: Path) -> float | None:
    try:
        score = read_state(folder).get("score")
    except InvalidFileError:
        return None
    return float(score) if isinstance(score, int | float) else None


def _document(**entries: object) -> memoryview:
    """Return the bytes of a JSON file of a checkpoint."""
    data = {"kind": KIND, "schema_version": SCHEMA_VERSION, **entries}
    return memoryview((json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
