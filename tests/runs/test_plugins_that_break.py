"""Plugins that raise what they may not, return what they should not, or write into what they are given."""

import json
import os

import pytest
from click.testing import CliRunner

from clipbench.cli import main
from clipbench.results.result import read_result
from tests.support.numpy_runs import ENGINE, clipbench, results
from tests.support.plugin_folder import install_plugin

HOOKS = """
from clipbench.api import DatasetSpec, ObserverSpec, hookimpl

@hookimpl
def clipbench_datasets():
    return [DatasetSpec("odd", "breaks", "odd_parts:Odd")]

@hookimpl
def clipbench_observers():
    return [ObserverSpec("forger", "writes into what it is given", "odd_parts:Forger")]
"""
# A dataset of plain pictures; OPTIONS has what breaks: one member's name and the expression that it comes to.
PARTS = """
import os
import sys
import click
from PIL import Image
from clipbench.api import Fingerprint, Missing, events

class Split:
    skipped = 0
    def __init__(self, options, count):
        self.options, self.count = options, count
        self.fingerprint = Fingerprint("split", count, count, "0" * 64)
    def __len__(self):
        return eval(self.options.get("length", "self.count"))
    def captions(self, index):
        return eval(self.options.get("captions", "[f'picture {index}']"))
    def image(self, index):
        return eval(self.options.get("image", "Image.new('RGB', (40, 40), (20 * (index % 12), 90, 10))"))

class Odd:
    def __init__(self, request):
        self.options = request.options
        eval(self.options.get("made", "None"))
        self.options["written"] = "by the plugin"
    def missing(self):
        return eval(self.options.get("missing", "[]"))
    def sizes(self):
        return eval(self.options.get("sizes", "(24, 12)"))
    def prepare(self):
        return eval(self.options.get("prepare", "None"))
    def train(self):
        return Split(self.options, 24)
    def val(self):
        return eval(self.options.get("val", "Split(self.options, 12)"))
    def warnings(self):
        return eval(self.options.get("warnings", "[]"))

def throw(error):
    raise error

class AbortsAtShutdown:
    def __del__(self):
        os.abort()

kept = []

class Forger:
    def __init__(self, case, run_id, folder):
        case.dataset.options["forged"] = True
    def handle(self, event):
        if isinstance(event, events.EpochFinished) and event.record.recall:
            for name in event.record.recall:
                event.record.recall[name] = 100.0
        if isinstance(event, events.EnvironmentRead):
            event.environment["device"]["name"] = "forged"
        if isinstance(event, events.StepsTrained):
            throw(SystemExit(0))
    def close(self):
        throw(KeyboardInterrupt())
"""


@pytest.fixture
def site(tmp_path):
    """A folder of packages with the plugin."""
    return install_plugin(tmp_path / "site", "odd", odd_hooks=HOOKS, odd_parts=PARTS)


@pytest.fixture
def odd_suite(suite, pictures):
    """A suite on the plugin's dataset with these options."""
    model = {"name": "linear", "vocabulary": str(pictures / "words.txt.gz")}
    return lambda options: suite(dataset={"name": "odd", "options": options}, model=model)


@pytest.fixture
def run(site, odd_suite, tmp_path):
    """`clipbench run`, on the dataset with these options."""
    path = f"{site}{os.pathsep}{ENGINE}"
    return lambda options, *words: clipbench("run", odd_suite(options), *words, cwd=tmp_path, PYTHONPATH=path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"made": "sys.exit(0)"}, "dataset 'odd' of plugin 'odd' of odd 1.0: odd_parts:Odd raised SystemExit: 0"),
        ({"missing": "sys.exit(0)"}, "missing() raised SystemExit: 0"),
        ({"missing": "throw(click.exceptions.Exit(0))"}, "missing() raised Exit"),
        ({"missing": "throw(GeneratorExit())"}, "missing() raised GeneratorExit"),
        ({"missing": "None"}, "what missing() returned is None; expected list[Missing]"),
        ({"missing": "['a text']"}, "what missing() returned is ['a text']; expected list[Missing]"),
        ({"sizes": "24"}, "what sizes() returned is 24; expected tuple[int, int]"),
        ({"sizes": "(24, 0)"}, "sizes() returned 24 training and 0 validation images; expected one or more"),
        ({"warnings": "'a text'"}, "what warnings() returned is 'a text'; expected list[str]"),
    ],
)
def test_before_a_run_it_is_exit_4_and_says_which_plugin(site, odd_suite, monkeypatch, options, said):
    for folder in (site, ENGINE):
        monkeypatch.syspath_prepend(folder)
    done = CliRunner().invoke(main, ["show", str(odd_suite(options))])
    assert done.exit_code == 4, done.output
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_run_of_which_nothing_was_done_is_no_success(run, tmp_path):
    done = run({"missing": "sys.exit(0)"})
    assert done.returncode == 4 and "missing() raised SystemExit: 0" in done.stderr
    assert not results(tmp_path)


def test_a_run_that_is_done_does_not_fail_while_the_interpreter_shuts_down(run, tmp_path):
    done = run({"prepare": "None if kept else kept.append(AbortsAtShutdown())"})
    assert done.returncode == 0, done.stderr
    assert results(tmp_path)[0].completed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prepare": "sys.exit(0)"}, "prepare() raised SystemExit: 0"),
        ({"captions": "'one text'"}, "split val: captions(0) is 'one text'; expected collections.abc.Sequence[str]"),
        ({"image": "sys.exit(0) if index == 9 else Image.new('RGB', (40, 40))"}, "0"),
    ],
)
def test_during_a_run_the_case_fails(run, tmp_path, options, said):
    done = run(options)
    assert done.returncode == 4, done.stdout + done.stderr
    (result,) = results(tmp_path)
    assert result.status == "failed" and said in result.error.message, result.error


def test_an_observer_gets_copies_and_cannot_end_the_run(run, tmp_path):
    done = run({}, "--observe", "forger")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("*.json")
    result = read_result(path)
    assert result.device_name == "abacus of wood"
    assert all(value < 100 for record in result.epochs for value in [record.recall["recall_mean"]])
    assert result.config["dataset"]["options"] == {}
    assert "warning: observer 'forger' raised SystemExit: 0; it gets no further events" in done.stderr


@pytest.mark.parametrize("raised", ["SystemExit(0)", "GeneratorExit()", "BaseException('no')"])
def test_a_plugin_that_raises_anything_when_imported_is_left_out_and_named(tmp_path, monkeypatch, raised):
    monkeypatch.syspath_prepend(install_plugin(tmp_path / "site", "bad", bad_hooks=f"raise {raised}"))
    done = CliRunner().invoke(main, ["list", "devices"])
    assert done.exit_code == 0 and "sdaa" in done.stdout
    assert f"plugin 'bad' of bad 1.0 could not be loaded and is left out: {raised.partition('(')[0]}" in done.stderr


def test_a_spec_that_leads_nowhere_is_a_problem_of_its_plugin(tmp_path, monkeypatch):
    hooks = "from clipbench.api import *\n@hookimpl\ndef clipbench_datasets():\n    return [DatasetSpec({})]\n"
    for fields, said in (
        ("'odd', 'a summary', 'nocolon'", "load='nocolon': expected 'package.module:attribute'"),
        ("None, 'a summary', 'a:b'", "name is None; expected str"),
        ("'odd', 'a summary', 'a:b', 'glob'", "layouts is 'glob'; expected tuple[str, ...]"),
    ):
        name = f"bad_{len(said)}"
        monkeypatch.syspath_prepend(install_plugin(tmp_path / name, name, **{f"{name}_hooks": hooks.format(fields)}))
        done = CliRunner().invoke(main, ["list", "datasets", "--format", "json"])
        assert done.exit_code == 0 and said in done.stderr, done.stderr
        assert "odd" not in [row["name"] for row in json.loads(done.stdout)["datasets"]]
