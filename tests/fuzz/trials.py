"""One trial: a valid file is changed, or others are put beside it; a command is run; what may never happen did not."""

import contextlib
import json
import random
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from clipbench.api.config import Case
from clipbench.api.plain import from_plain
from clipbench.cli import main
from clipbench.errors import ClipbenchError, ExitCode
from clipbench.results.document import digest_of, results_digest
from clipbench.runs.folder import unfinished
from clipbench.training import checkpoints
from clipbench.training.checkpointing import saved_run
from tests.fuzz.mutations import TEXTS, borrow, change, damaged, encoded, replaced_by_link, value

FORMATS = ("table", "json", "markdown", "junit", "github")


class Broken(AssertionError):
    """What may never happen has happened."""


@dataclass(frozen=True)
class Trial:
    """What was done, the command that has to survive it, and whether that may say that all is well."""

    what: str
    words: tuple
    may_pass: bool = True


@dataclass(frozen=True)
class World:
    """What a kind of trial works with: its source of chance, the valid files, an empty folder."""

    random: random.Random
    materials: object
    folder: Path

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)  # a pipe or a link of an earlier change
        path.write_bytes(content)
        return path

    def changed(self, source, seal, borrowed=0):
        """Return the bytes of a valid JSON file after a few changes, and what they were.

        ``seal`` takes the digest anew, mostly: as one who forges a file would. Up to ``borrowed`` sections come from
        the good result, mostly: too few to make it a good one.
        """
        data, done = self.materials.data(source), []
        if self.random.random() < 0.1:
            return damaged(self.random, self.materials.texts[source].encode())
        if borrowed and self.random.random() < 0.6:
            done.append(borrow(self.random, data, self.materials.data(self.materials.good), borrowed))
        for _ in range(self.random.choice((1, 1, 1, 2, 3)) - bool(done)):
            with contextlib.suppress(AttributeError, TypeError, OverflowError):
                done.append(change(self.random, data))
        if self.random.random() < 0.8:
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                seal(data)
                done.append("sealed")
        content, way = encoded(self.random, data)
        return content, "; ".join([*done, way])

    def judged(self, *paths):
        """Return the words that judge ``paths`` by a reference or the baseline, in some format."""
        against = () if self.random.random() < 0.5 else self.adopted()
        return ("compare", *paths, *against, *self.form())

    def adopted(self):
        return ("--baseline", "adopted", "--baselines", self.materials.baseline.parent)

    def form(self):
        return self.random.choice(((), *(("--format", form) for form in FORMATS)))


def seal_result(data):
    data["digest"] = digest_of(data)


def seal_baseline(data):
    for result in data["results"]:
        seal_result(result)
    data["results_sha256"] = results_digest(data["results"])


# --- kinds: those whose gate must not pass ------------------------------------------------------------------------


def failing_result(world):
    """A failing result is changed."""
    if world.random.random() < 0.3:
        content, what = world.changed(world.materials.slow, seal_result, borrowed=1)
        words = ("compare", world.write("results/slow.json", content), *world.adopted(), *world.form())
        return Trial(what, words, may_pass=False)
    content, what = world.changed(world.materials.bad, seal_result, borrowed=2)
    return Trial(what, world.judged(world.write("results/bad.json", content)), may_pass=False)


def failing_result_elsewhere(world):
    """A failing result becomes a link, a folder, or something else."""
    path = world.write("results/bad.json", world.materials.bad.read_bytes())
    what = replaced_by_link(world.random, path, [world.materials.bad])
    return Trial(what, world.judged(world.random.choice((path, path.parent))), may_pass=False)


def beside_a_failing_result(world):
    """Something is put beside a failing result."""
    world.write("results/bad.json", world.materials.bad.read_bytes())
    done = [_put_beside(world, number) for number in range(world.random.choice((1, 1, 2, 3)))]
    return Trial("; ".join(done), world.judged(world.folder / "results"), may_pass=False)


def changed_baseline(world):
    """The baseline that a failing result is compared with is changed."""
    content, what = world.changed(world.materials.baseline, seal_baseline)
    baseline = world.write("baselines/changed.json", content)
    which = world.random.choice((("--baseline", baseline), ("--baseline", "adopted", "--baselines", baseline.parent)))
    return Trial(what, ("compare", world.materials.bad, *which, *world.form()), may_pass=False)


def _put_beside(world, number):
    """Put one file beside a failing result; return what it is. It is never a newer run: the newest one counts."""
    random, materials = world.random, world.materials
    name = random.choice((f"a{number}.json", f"z{number}.json", f"{number}.JSON", f"inner{number}/x.json", ".x.json"))
    source = random.choice((materials.good, materials.older, materials.baseline, materials.reference))
    way = random.choice(("copy", "copy", "changed", "link", "bad's id", "generous reference", "own baseline", "bytes"))
    content, data = materials.texts[source].encode(), materials.data(source)
    if way == "changed":
        seal = seal_baseline if source == materials.baseline else seal_result
        content, more = world.changed(source, seal if source != materials.reference else lambda data: None)
        if b'"2026-01-0' not in content and source in (materials.good, materials.older):
            return "nothing"  # it may have become the newest run
        way += f" ({more})"
    elif way == "link":
        path = world.write(f"results/{name}", content)
        return f"{replaced_by_link(random, path, [materials.good, materials.baseline])} as {name}"
    elif way == "bad's id":
        data = materials.data(materials.good) | {"run_id": materials.data(materials.bad)["run_id"]}
        seal_result(data)
        content = json.dumps(data).encode()
    elif way == "generous reference":
        data = materials.data(materials.reference)
        data["metrics"]["recall_mean"]["tolerance"] = {"absolute": 90}
        data["name"] = random.choice(("quickstart", "Quickstart", "other"))
        content = json.dumps(data).encode()
    elif way == "own baseline":
        data = materials.data(materials.baseline)
        data["results"] = [materials.data(random.choice((materials.bad, materials.good)))]
        data["name"] = random.choice((data["name"], "other"))
        seal_baseline(data)
        content = json.dumps(data).encode()
    elif way == "bytes":
        content = random.choice((b"", b"{}", b"[]", b"null", b"\xff", b'{"kind": "clipbench.result"}'))
    world.write(f"results/{name}", content)
    return f"{way} of {source.name} as {name}"


# --- kinds: those that must only be survived ----------------------------------------------------------------------


def any_result(world):
    """A result is changed, and any command reads it."""
    source = world.random.choice((world.materials.good, world.materials.bad))
    content, what = world.changed(source, seal_result)
    path = world.write("results/one.json", content)
    if world.random.random() < 0.3:
        world.write("results/two.json", world.materials.older.read_bytes())
        path = path.parent
    form = world.random.choice(((), ("--format", "json")))
    words = world.random.choice(
        (
            world.judged(path),
            ("trend", path, *form),
            ("trend", path, "--metric", world.random.choice(("samples_per_second", "val_loss", *TEXTS)), *form),
            ("validate", path, *form),
            ("runs", world.folder / "results", *form),
            ("baseline", "set", path, "--reason", "x", "--baselines", world.folder / "b"),
            ("compare", world.materials.good, "--baseline", path, *world.form()),
            ("report", path, "--out", world.folder / "page"),
        )
    )
    return Trial(what, words)


def reference(world):
    """A reference is changed."""
    content, what = world.changed(world.materials.reference, lambda data: None)
    path = world.write("results/quickstart.json", content)
    words = world.random.choice(
        (
            ("validate", path),
            ("compare", world.materials.good, path, *world.form()),
            ("compare", world.materials.good, "--references", path.parent, *world.form()),
            ("report", world.materials.good, path, "--out", world.folder / "page"),
        )
    )
    return Trial(what, words)


def baseline(world):
    """An adopted baseline is changed."""
    content, what = world.changed(world.materials.baseline, seal_baseline)
    path = world.write("baselines/changed.json", content)
    name = world.materials.baseline.stem
    words = world.random.choice(
        (
            ("validate", path),
            ("compare", world.materials.good, "--baseline", "adopted", "--baselines", path.parent, *world.form()),
            ("baseline", "list", "--baselines", path.parent),
            ("baseline", "show", name, "--baselines", path.parent),
            ("baseline", "show", name, "--baselines", path.parent, "--format", "json"),
            ("baseline", "set", world.materials.good, "--reason", "x", "--baselines", path.parent),
        )
    )
    return Trial(what, words)


def suite(world):
    """A suite is changed."""
    lines, done = world.materials.suite.read_text(encoding="utf-8").splitlines(), []
    for _ in range(world.random.choice((1, 1, 2))):
        at = world.random.randrange(len(lines))
        name, colon, _ = lines[at].partition(":")
        written = json.dumps(value(world.random))
        more = (written, "!!python/name:os.system x", "&a [*a]", f"{{matrix: {written}}}", "010", ".nan", "")
        lines[at] = world.random.choice(
            (f"{name}{colon} {world.random.choice(more)}", lines[at] * 2, "", f"  {lines[at]}", f"{written}: 1")
        )
        if world.random.random() < 0.3:
            lines.append(f"matrix: {{seed: {written}, model.name: [{written}]}}")
        done.append(f"line {at + 1} is now {lines[at][:60]!r}")
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    if world.random.random() < 0.2:
        content, how = damaged(world.random, content)
        done.append(how)
    path = world.write("changed.yaml", content)
    form = world.random.choice(((), ("--format", "json")))
    words = world.random.choice((("validate", path), ("show", path, *form), ("fetch", path, "--print")))
    return Trial("; ".join(done), words)


def run_folder(world):
    """A file of an unfinished run or of its checkpoints is changed, replaced or removed; then it is resumed."""
    out = world.folder / "out"
    shutil.copytree(world.materials.run, out)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    done = []
    for path in world.random.sample(files, world.random.choice((1, 1, 2))):
        way = world.random.choice(("JSON", "JSON", "bytes", "link", "remove"))
        if way == "JSON" and path.suffix == ".json":
            data = json.loads(path.read_text(encoding="utf-8"))
            for _ in range(world.random.choice((1, 2))):
                done.append(change(world.random, data))
                if not data:
                    break
            content, how = encoded(world.random, data)
            path.write_bytes(content)
            done.append(f"{how} in {path.name}")
        elif way == "link":
            done.append(replaced_by_link(world.random, path, files))
        elif way == "remove":
            path.unlink()
            done.append(f"no {path.name}")
        else:
            content, how = damaged(world.random, path.read_bytes())
            path.write_bytes(content)
            done.append(f"{how} in {path.name}")
    _seal_checkpoints(world, out)
    _resume(world, out)
    form = world.random.choice(((), ("--format", "json")))
    return Trial("; ".join(done), ("runs", out, *form))


def _seal_checkpoints(world, out):
    """Write manifests that fit what is there now, mostly: damage by the disk is found by them, forgery is not."""
    if world.random.random() < 0.3:
        return
    from clipbench.files.hashing import sha256_of

    for manifest in out.rglob(checkpoints.MANIFEST):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if manifest.is_symlink() or not manifest.is_file():
                continue
            document = json.loads(manifest.read_text(encoding="utf-8"))
            for name, entry in document["files"].items():
                path = manifest.with_name(name)
                if path.is_file():
                    entry |= {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            manifest.write_text(json.dumps(document), encoding="utf-8")


def _resume(world, out):
    """Look for the run to resume and read its checkpoint, as ``clipbench run`` does."""
    case = from_plain(Case, world.materials.data(world.materials.bad)["config"])
    with contextlib.suppress(ClipbenchError):
        folder, _ = unfinished(out, case)
        if folder is None:
            return
        folder.tuning()
        found = checkpoints.latest(folder.checkpoints)
        if found is not None:
            for tensor in found.state.tensors.values():
                tensor.read()
            saved_run(found)


KINDS: dict[str, Callable[[World], Trial]] = {
    kind.__name__: kind
    for kind in (
        failing_result, failing_result_elsewhere, beside_a_failing_result, changed_baseline, any_result, reference,
        baseline, suite, run_folder,
    )
}  # fmt: skip
# How many of a hundred trials are of each kind.
SHARES = (25, 3, 20, 12, 20, 5, 5, 5, 5)


# --- running ------------------------------------------------------------------------------------------------------


def run_trial(materials, folder, seed, number, kinds=tuple(KINDS)):
    """Run trial ``number`` of ``seed`` in ``folder``; return its kind and exit code, raise Broken with all about it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chance = random.Random(f"{seed}:{number}")
    shares = [share for name, share in zip(KINDS, SHARES, strict=True) if name in kinds]
    kind = chance.choices([name for name in KINDS if name in kinds], shares)[0]
    trial = None
    try:
        trial = KINDS[kind](World(chance, materials, folder))
        code = check(trial)
    except Exception as error:
        words = " ".join(map(str, trial.words)) if trial else "(before any command)"
        raise Broken(
            f"{kind} --seed {seed} --only {number}: {type(error).__name__}: {error}\n"
            f"  {trial.what if trial else ''}\n  clipbench {words}"
        ) from error
    return kind, code


def check(trial):
    """Run the command of a trial; return its exit code, raise Broken where it did what it may never do."""
    done = CliRunner().invoke(main, [str(word) for word in trial.words], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise Broken(f"{type(done.exception).__name__}: {done.exception}") from done.exception
    code = done.exit_code
    if code not in {int(known) for known in ExitCode} or code == ExitCode.BUG:
        raise Broken(f"exit code {code}:\n{done.output[-2000:]}")
    if code == ExitCode.GATE_FAILED and trial.words[0] != "compare" and trial.words[:2] != ("baseline", "set"):
        raise Broken("exit code 1, and no gate was asked for")
    if code == ExitCode.PASS and not trial.may_pass:
        raise Broken("the gate passed")
    if code and not done.output.strip():
        raise Broken(f"exit code {code} without a word")
    check_printed(done.output, "github" in trial.words)
    return code


def check_printed(text, with_commands):
    """Raise Broken for what a terminal, a log or an eye would not take as text."""
    if "Traceback (most recent call last)" in text:
        raise Broken("a traceback")
    odd = {char for char in set(text) if not char.isprintable() and char != "\n" and unicodedata.category(char) != "Zs"}
    if odd:
        raise Broken(f"printed {sorted(odd)!r}")
    lines = [line.strip() for line in text.splitlines()]
    allowed = ("::error title=", "::warning title=", "::notice title=") if with_commands else ("no command",)
    if commands := [line for line in lines if line.startswith("::") and not line.startswith(allowed)]:
        raise Broken(f"a workflow command: {commands[0][:80]!r}")
    if "##[" in text:
        raise Broken("a workflow command: ##[")
