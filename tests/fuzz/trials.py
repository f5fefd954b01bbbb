"""One trial: a valid file is changed, or others are put beside it; a command is run; what may never happen did not."""

import random
import shutil
import unicodedata

from click.testing import CliRunner

from clipbench.cli import main
from clipbench.errors import ExitCode
from tests.fuzz.kinds import KINDS, SHARES
from tests.fuzz.world import World


class Broken(AssertionError):
    """What may never happen has happened."""


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
