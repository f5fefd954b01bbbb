"""Plugins that break one promise each fail the check of that promise, and no other; sound ones pass all."""

from importlib.metadata import EntryPoint

import pytest

from clipbench.api.registry import load_registry
from clipbench.conform.checks import make_check
from clipbench.conform.conformance import Request, checks_of
from tests.support import broken_plugins as broken

SOUND = {
    "device": ("good", "cpu"),
    "engine": ("good-engine", "lone"),
    "dataset": ("good-pairs",),
    "evaluation": ("good-fit",),
    "observer": ("good-log",),
}
OFFERED = {
    "device": broken.DEVICES,
    "engine": (*broken.ENGINES, "spec"),
    "dataset": broken.DATASETS,
    "evaluation": broken.EVALUATIONS,
    "observer": broken.OBSERVERS,
    "model": ("config",),
}


@pytest.fixture(scope="module")
def registry():
    registry = load_registry([EntryPoint("broken", "tests.support.broken_plugins", "clipbench")])
    assert not registry.broken
    return registry


def outcomes(registry, folder, kind, name):
    request = Request(kind, name, root=str(folder / "root"), device=f"on-{name}" if kind == "engine" else "good")
    subject = request.subject(registry, folder)
    return {check.name: make_check(check, subject) for check in checks_of(kind).values()}


BROKEN = [(kind, name) for kind, names in OFFERED.items() for name in names if name not in SOUND.get(kind, ())]


def test_there_are_twenty_of_them_and_more():
    assert len(BROKEN) >= 20


@pytest.mark.parametrize(("kind", "name"), BROKEN)
def test_a_broken_promise_is_found_by_its_own_check(registry, tmp_path, kind, name):
    found = outcomes(registry, tmp_path, kind, name)
    failed = {check: outcome.detail for check, outcome in found.items() if outcome.status == "fail"}
    assert list(failed) == [name.removeprefix("observer-").partition(".")[0]], failed
    assert all(failed.values())
    # A device that says it is not there cannot be checked further.
    assert name == "unavailable" or "not ready" not in {outcome.status for outcome in found.values()}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in SOUND.items() for name in names])
def test_sound_plugins_keep_every_promise(registry, tmp_path, kind, name):
    found = outcomes(registry, tmp_path, kind, name)
    assert not {check: outcome for check, outcome in found.items() if outcome.status in ("fail", "not ready")}
