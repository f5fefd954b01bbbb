"""A fleet from the shell: sick nodes are named with the reason, and what is odd hides nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clipbench.api.result import RankRecord
from tests.support.fleets import run_on, with_a_lost_query, write_fleet
from tests.support.made_results import failed
from tests.support.stored_results import run, stored


def diagnosed(folder, code=0):
    """The diagnosis as data, and its text on one line."""
    text = " ".join(run("diagnose", folder, code=code).split())
    return json.loads(run("diagnose", folder, "--format", "json", code=code)), text


def status_of(data):
    return {node["name"]: node["status"] for node in data["nodes"]}


@pytest.fixture
def folder(tmp_path):
    return write_fleet(tmp_path / "results")


def test_a_healthy_fleet_passes(folder):
    data, text = diagnosed(folder)
    assert set(status_of(data).values()) == {"pass"} and len(data["nodes"]) == 12
    assert "12 pass, 0 fail, 0 unknown: exit code 0, no node is sick" in text
    assert "bits: 12 nodes compared" in text and "would be found, 99 times in 100" in text
    assert data["odd"] == data["drift"] == data["problems"] == []


def test_a_slow_node_fails_alone_and_is_given_to_the_scheduler(folder):
    stored(run_on("node12", slower=0.08), folder)
    data, text = diagnosed(folder, code=1)
    assert [name for name, status in status_of(data).items() if status == "fail"] == ["node12"]
    assert "FAIL node12: 8." in text or "FAIL node12: 7." in text
    assert "slower than the median of its group" in text and "exit code 1, a node is sick" in text
    assert run("diagnose", folder, "--format", "fail", code=1) == "node12\n"
    assert run("diagnose", folder, "--format", "pass", code=1).split() == [f"node{n:02}" for n in range(12)]
    assert run("diagnose", folder, "--least-speed", "20", "--format", "fail") == ""


def test_a_node_whose_losses_have_another_bit_is_corrupt_and_told_where(folder):
    stored(run_on("node12", wrong_step=60), folder)
    data, text = diagnosed(folder, code=1)
    assert "FAIL node12: its loss trace differs from that of 12 of 13 nodes, first in epoch 2, steps 51 to 100" in text
    assert status_of(data)["node12"] == "fail" and list(status_of(data).values()).count("pass") == 12


def test_a_node_whose_ranks_alone_differ_is_corrupt_too(folder):
    stored(with_a_lost_query(run_on("node12")), folder)
    _, text = diagnosed(folder, code=1)
    assert "FAIL node12: its query ranks differ from those of 12 of 13 nodes (node12-m-0)" in text


def test_a_node_that_is_wrong_once_in_two_runs_is_corrupt(folder):
    stored(run_on("node03", run=1, wrong_step=400), folder)
    _, text = diagnosed(folder, code=1)
    assert "FAIL node03: its loss trace differs" in text and "steps 351 to 400 (node03-m-1)" in text


def test_a_device_that_never_repeats_its_bits_makes_nobody_corrupt(tmp_path):
    others = [run_on(f"node{number:02}", wrong_step=number + 1) for number in range(12)]
    data, text = diagnosed(write_fleet(tmp_path / "results", *others, nodes=0))
    assert "bits are not judged, too few nodes agree" in text and "1 of 12 nodes agree" in text
    assert set(status_of(data).values()) == {"pass"}  # by their speed


def test_another_tuning_or_processor_may_have_other_bits(folder):
    device = {**run_on("x").environment["device"], "tuning": {"products": "others"}}
    stored(run_on("node12", wrong_step=1, device=device), folder)
    diagnosed(folder)


def test_a_failed_case_names_its_node_and_a_later_success_heals_it(folder):
    stored(replace(failed(run_on("node12")), started="2026-01-02T00:00:00Z", ended="2026-01-02T00:05:00Z"), folder)
    _, text = diagnosed(folder, code=4)
    assert "FAIL node12: the case failed: it broke (node12-m-0)" in text and "exit code 4" in text
    stored(run_on("node12", run=1, started="2026-01-03T00:00:00Z"), folder)
    diagnosed(folder)


def test_software_that_drifts_is_named_and_its_nodes_are_judged_among_themselves(folder):
    packages = {"torch": "2.5.0"}
    for number in range(12, 14):
        stored(run_on(f"node{number}", slower=0.3, packages=packages), folder)
    data, text = diagnosed(folder)
    assert "drift on Card 1: environment.packages.torch is 2.5.0 on node12, node13; it is 2.4.0 on 12 nodes" in text
    assert "speed is not judged, fewer than 5 nodes with one device and software" in text
    (drift,) = data["drift"]
    assert drift["others"] == {"2.5.0": ["node12", "node13"]}


# --- bad input ------------------------------------------------------------------------------------------------------


def test_half_a_file_is_named_and_the_rest_judged(folder):
    path = Path(stored(run_on("node12", slower=0.08), folder))
    other = Path(stored(run_on("node13"), folder))
    other.write_bytes(other.read_bytes()[: other.stat().st_size // 2])
    data, text = diagnosed(folder, code=3)
    assert "refused file:" in text and other.name in text and "FAIL node12" in text and path.exists()
    assert len(data["nodes"]) == 13


def test_clashing_ids_are_named_and_both_nodes_judged(folder):
    stored(run_on("node12"), folder)
    stored(replace(run_on("node13", slower=0.08), run_id="node12-m-0"), f"{folder}/second")
    data, text = diagnosed(folder, code=3)
    assert "the run node12-m-0 is also in" in text and "FAIL node13" in text
    assert len(data["nodes"]) == 14


def test_machines_of_one_name_are_told_apart(folder):
    for machine in ("a" * 16, "b" * 16):
        stored(run_on("same", machine=machine, slower=0.08 * (machine[0] == "b")), folder)
    data, text = diagnosed(folder, code=1)
    assert f"FAIL same ({'b' * 16})" in text and f"2 machines have the host name same: same ({'a' * 16})" in text
    assert status_of(data)[f"same ({'a' * 16})"] == "pass"
    assert run("diagnose", folder, "--format", "fail", code=1) == "same\n"


def test_a_clock_that_is_a_year_off_is_named_and_its_node_judged(folder):
    stored(run_on("node12", started="2025-01-01T00:00:00Z"), folder)
    data, text = diagnosed(folder)
    assert "a clock that may be wrong, its runs are 365 days before the others: node12" in text
    assert status_of(data)["node12"] == "pass"


def test_results_that_name_no_host_are_counted(folder):
    (old,) = (result for result in [run_on("x")])
    environment = {key: value for key, value in old.environment.items() if key != "host"}
    stored(replace(old, environment=environment), folder)
    data, text = diagnosed(folder)
    assert "not judged, results that do not say on which machine they ran (clipbench 0.1.0), 1 in all: x-m-0" in text
    assert len(data["nodes"]) == 12 and data["results"] == 13


def test_results_of_two_versions_of_clipbench_are_judged_apart_and_the_drift_is_named(folder):
    old = (Path(__file__).parents[1] / "results" / "version_1" / "completed.json").read_text(encoding="utf-8")
    Path(folder, "old.json").write_text(old, encoding="utf-8")
    for number in range(12, 17):
        result = run_on(f"node{number}", slower=0.3)
        stored(replace(result, clipbench=replace(result.clipbench, version="0.2.0")), folder)
    data, text = diagnosed(folder)
    assert "clipbench.version is 0.2.0 on node12, node13, node14, node15, node16; it is 0.1.0 on 12 nodes" in text
    assert "not judged: vm drift on Card 1" in text  # the one with the schema of 0.1.0, alone with its software
    assert status_of(data).pop("vm") == "unknown" and list(status_of(data).values()).count("pass") == 17


def test_runs_on_several_machines_are_counted_and_not_judged(folder):
    result = run_on("node12", slower=0.3)
    ranks = tuple(RankRecord(rank, f"far{rank}", None, None, None) for rank in range(2))
    epochs = tuple(replace(record, per_rank=ranks) for record in result.epochs)
    stored(replace(result, epochs=epochs), folder)
    _, text = diagnosed(folder)
    assert "not judged, runs on several machines at once (clipbench 0.1.0), 1 in all: node12-m-0" in text


def test_nothing_to_judge_is_exit_code_4(tmp_path):
    (tmp_path / "results").mkdir()
    assert "0 pass, 0 fail, 0 unknown: exit code 4" in run("diagnose", str(tmp_path / "results"), code=4)
