"""What is asked of every plugin: a spec that can be listed, and an import that costs nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from clipbench.api.registry import load_object
from clipbench.conform.checks import Check, expect
from clipbench.conform.subject import Subject
from clipbench.errors import NotReadyError
from clipbench.runs.devices.opening import lacks_package

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
LONGEST_SUMMARY = 100
# Importing any of these takes a tenth of a second to several seconds.
HEAVY = ("torch", "jax", "tensorflow", "transformers", "PIL", "numpy", "scipy", "pandas")


def check_spec(subject: Subject) -> None:
    """Check what ``clipbench list`` shows, and that ``load`` can be imported."""
    spec = subject.spec
    expect(NAME.fullmatch(spec.name), f"the name {spec.name!r} has other characters than a-z, 0-9, '_', '.' and '-'")
    one_line = spec.summary.strip() and "\n" not in spec.summary and len(spec.summary) <= LONGEST_SUMMARY
    expect(one_line, f"the summary is {spec.summary!r}; expected one line of at most {LONGEST_SUMMARY} characters")
    if subject.kind in ("device", "model"):
        engines = [engine.name for engine in subject.registry.engines.specs]
        expect(spec.engine in engines, f"engine {spec.engine!r} is not installed; there is {', '.join(engines)}")
    if subject.kind in ("device", "engine", "model"):
        _ = subject.engine  # a framework that is missing is no fault of the plugin
    try:
        load_object(spec.load)
    except Exception as error:
        if subject.kind == "device" and lacks_package(error, spec.load):
            raise NotReadyError(f"{spec.load} does not import here: {error}") from error
        expect(False, f"load names {spec.load!r}, which raises {type(error).__name__}: {error}")


def check_light_import(subject: Subject) -> str:
    """Check, in a fresh process, that the module which every command imports needs no framework."""
    code = (
        "import importlib, json, sys; before = set(sys.modules); importlib.import_module(sys.argv[1]); "
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, subject.module]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    expect(done.returncode == 0, f"importing {subject.module} failed: {done.stderr.strip()[-300:]}")
    heavy = sorted(set(json.loads(done.stdout.splitlines()[-1])) & set(HEAVY))
    reason = f"importing {subject.module} imports {', '.join(heavy)}; import it in the module that `load` names"
    expect(not heavy, reason)
    return f"{subject.module} imports none of {', '.join(HEAVY)}"


def check_json(what: str, value: object) -> None:
    """Check that ``value`` is a mapping that fits JSON."""
    expect(isinstance(value, Mapping), f"{what} is {value!r}; expected a mapping")
    try:
        json.dumps(dict(value), allow_nan=False)  # type: ignore[call-overload]  # a mapping, as just seen
    except (TypeError, ValueError) as error:
        expect(False, f"{what} does not fit JSON: {error}")


def check_lines(what: str, value: Any) -> None:  # noqa: ANN401
    """Check that ``value`` is a list of lines of text."""
    good = isinstance(value, list | tuple) and all(isinstance(line, str) and "\n" not in line for line in value)
    expect(good, f"{what} is {value!r}; expected a list of lines")


SPEC = Check(
    "spec",
    "A spec's name has letters a-z, digits, `_`, `.` and `-`; its summary is one line; `load` names a callable.",
    check_spec,
)
LIGHT_IMPORT = Check(
    "light-import",
    "Importing the module that the entry point names imports no framework, nor numpy.",
    check_light_import,
)
