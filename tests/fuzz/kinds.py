"""The kinds of trials: what is changed or put beside what, and the command that has to survive it."""

import contextlib
import json
import shutil
from collections.abc import Callable

from clipbench.api.config import Case
from clipbench.api.plain import from_plain
from clipbench.errors import ClipbenchError
from clipbench.files.hashing import sha256_of
from clipbench.results.document import digest_of, results_digest
from clipbench.runs.folder import unfinished
from clipbench.training import checkpoints
from clipbench.training.checkpointing import saved_run
from tests.fuzz.mutations import TEXTS, change, damaged, encoded, replaced_by_link, value
from tests.fuzz.world import Trial, World


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
            ("report", path, "--out", world.folder / "board", "--leaderboard"),
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
