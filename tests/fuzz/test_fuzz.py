"""A short slice of the fuzzing; ``python -m tests.fuzz`` does as much as one has time for."""

import pytest

from tests.fuzz.campaign import run_block, shipped
from tests.fuzz.kinds import KINDS
from tests.fuzz.materials import make_materials
from tests.fuzz.trials import Broken, check, check_printed
from tests.fuzz.world import Trial


def test_nothing_breaks_a_command_and_nothing_makes_a_failing_result_pass(tmp_path):
    counts, broken = run_block(tmp_path, seed=0, numbers=range(300))
    assert not broken, "\n".join(broken)
    assert {kind for kind, _ in counts} == set(KINDS)
    # Mutations that are refused at the first look would prove little: some results are judged, and fail.
    assert counts["failing_result", 1] and counts["beside_a_failing_result", 1]


def test_a_gate_that_passes_where_it_must_not_is_noticed(tmp_path):
    materials = make_materials(tmp_path)
    by_baseline = ("--baseline", materials.baseline)
    with shipped(materials):
        for against in ((), by_baseline):
            assert check(Trial("nothing", ("compare", materials.bad, *against), may_pass=False)) == 1
            assert check(Trial("nothing", ("compare", materials.good, *against))) == 0
            with pytest.raises(Broken, match="the gate passed"):
                check(Trial("nothing", ("compare", materials.good, *against), may_pass=False))
        assert check(Trial("nothing", ("compare", materials.slow, *by_baseline), may_pass=False)) == 1


@pytest.mark.parametrize("text", ["\x1b[2J", "a\u202eb", "x\n ::error::y", "x ##[error]y", "\udc80"])
def test_what_a_terminal_would_take_as_a_command_is_noticed(text):
    check_printed("plain words, 中文, \N{CROSS MARK}\n", with_commands=False)
    with pytest.raises(Broken):
        check_printed(text, with_commands=False)
