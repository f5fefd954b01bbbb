"""The command line as people meet it."""

import json
import os
import subprocess
import sys

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from clipbench import __version__
from clipbench.cli import main
from clipbench.commands.list import KINDS


def invoke(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def test_version():
    assert __version__ in invoke("--version").stdout


def test_help_names_commands_and_exit_codes():
    text = invoke("--help").stdout
    for word in ("run", "compare", "show", "list", "validate", "130 interrupted"):
        assert word in text


def commands(group=main, words=()):
    """Every command with its words, groups included."""
    yield words, group
    for name in group.list_commands(None) if isinstance(group, click.Group) else ():
        yield from commands(group.get_command(None, name), (*words, name))


@pytest.mark.parametrize("words, command", [pytest.param(*found, id=" ".join(found[0])) for found in commands()])
def test_every_help_text_fits_80_columns_and_has_an_example(words, command):
    done = CliRunner().invoke(main, [*words, "--help"], terminal_width=80)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "...\n" not in done.stdout.partition("Commands:")[2]  # as click cuts summaries
    examples = done.stdout.partition("  Example")[2].partition("\n\n")[0].splitlines()
    commands = [line.rpartition(": ")[2].split() for line in examples if "clipbench " in line]
    assert commands and all(tuple(example[1 : 1 + len(words)]) == words for example in commands)


@pytest.mark.parametrize(
    "words, begun, offered",
    [
        ([], "ba", {"baseline"}),
        (["run"], "flickr8k_z", {"flickr8k_zeroshot"}),
        (["doctor"], "quick", {"quickstart"}),
        (["run", "quickstart", "--progress"], "", {"auto", "plain", "none"}),
        (["compare"], "--least", {"--least-recall", "--least-speed"}),
    ],
)
def test_a_shell_completes_commands_options_and_suites(words, begun, offered):
    completions = BashComplete(main, {}, "clipbench", "_CLIPBENCH_COMPLETE").get_completions(words, begun)
    assert {item.value for item in completions if item.type == "plain"} == offered


def test_list_names_everything_in_text_and_json():
    data = json.loads(invoke("list", "--format", "json").stdout)
    assert set(data) == set(KINDS)
    text = invoke("list").stdout
    for rows in data.values():
        for row in rows:
            assert row["name"] in text and row["summary"]
    assert set(json.loads(invoke("list", "devices", "--format", "json").stdout)) == {"devices"}


def test_list_imports_nothing_slow():
    """Reading YAML, schemas and results would take longer than all the rest of it."""
    code = (
        "import sys\nfrom clipbench.cli import main\nmain(['list'], standalone_mode=False)\n"
        "slow = {'yaml', 'jsonschema', 'numpy', 'PIL', 'rich', 'clipbench.api.result', 'clipbench.suites.loading'}\n"
        "sys.exit(', '.join(slow & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_list_of_an_unknown_kind_is_exit_2():
    assert invoke("list", "gadgets").exit_code == 2


@pytest.mark.parametrize("words", [["run", "nowhere.yaml"], ["show", "nowhere.yaml"], ["compare", "nowhere"]])
def test_what_is_not_there_is_exit_2(words):
    done = invoke(*words)
    assert done.exit_code == 2 and "nowhere" in done.output


def test_a_broken_plugin_is_named_in_a_warning_and_the_rest_work(tmp_path):
    info = tmp_path / "bad_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clipbench]\nbroken = no_such_module_of_anyone\n")
    done = subprocess.run(
        [sys.executable, "-m", "clipbench", "list", "datasets"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "flickr8k" in done.stdout
    assert "warning: plugin 'broken' of bad-plugin 1.0" in done.stderr
    assert "no_such_module_of_anyone" in done.stderr and "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m clipbench show flickr8k_amp | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
