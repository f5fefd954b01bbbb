"""Files of clipbench: told apart, checked by schema and digest; those of version 1 are brought to version 2.

The files in ``version_1`` were written by clipbench 0.1.0.
"""

import json
from pathlib import Path

import pytest

from clipbench.errors import InvalidFileError
from clipbench.files import schemas
from clipbench.results.baselines import read_baseline, write_baseline
from clipbench.results.document import digest_of, read_document
from clipbench.results.references import parse_reference, unmet_conditions
from clipbench.results.result import read_result, result_data, write_result

OLD = Path(__file__).parent / "version_1"


def old(name):
    return json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["completed", "failed", "interrupted"])
def test_a_result_of_version_1_is_read(name):
    before, result = old(name), read_result(OLD / f"{name}.json")
    assert (result.run_id, result.status, result.seed) == (before["run_id"], before["status"], before["seed"])
    assert result.world_size == before["config"]["ranks"] == 1
    assert "ranks" not in result.config and "ranks" not in result.environment["device"]
    assert [record.train_loss for record in result.epochs] == [record["train_loss"] for record in before["epochs"]]
    assert [list(window) for record in result.epochs for window in record.windows] == [
        window for record in before["epochs"] for window in record["windows"]
    ]
    if before["ranks"] is not None:
        assert list(result.query_ranks.text) == before["ranks"]["text"]
        assert result.value("recall_mean") == before["metrics"]["last"]["values"]["recall_mean"]["value"]
    if before["error"] is not None:
        assert result.error.message == before["error"]["message"]


def test_a_result_of_version_1_is_written_as_version_2(tmp_path):
    path = write_result(tmp_path, read_result(OLD / "completed.json"))
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["schema_version"] == 2 and written["config"]["world_size"] == 1 and "ranks" not in written
    assert read_result(path) == read_result(OLD / "completed.json")


def test_a_baseline_of_version_1_is_read_and_written_again(tmp_path):
    before, baseline = old("baseline"), read_baseline(OLD / "baseline.json")
    assert (baseline.name, baseline.reason, list(baseline.history)) == (
        before["name"],
        before["reason"],
        before["history"],
    )
    assert baseline.results[0].world_size == 1
    write_baseline(baseline, tmp_path / "again.json")
    again = read_baseline(tmp_path / "again.json")
    assert again == baseline and json.loads((tmp_path / "again.json").read_text())["schema_version"] == 2


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("completed", lambda data: data["epochs"][0].update(train_loss=0.1), "edited or damaged"),
        ("baseline", lambda data: data["results"][0].update(seed=9), "not those that were adopted"),
        ("completed", lambda data: data.update(ranks=[]), "not a valid result: query_ranks"),
        ("completed", lambda data: data.update(config=3), "not a valid result: config"),
        ("completed", lambda data: data.update(schema_version=3), "newer than this clipbench reads"),
        ("completed", lambda data: data.update(schema_version=2), "not a valid result"),
        ("completed", lambda data: data.update(schema_version="1"), "not a valid result"),
        ("completed", lambda data: data.update(schema_version=[1]), "not a valid result"),
        ("completed", lambda data: data.update(schema_version=True), "not a valid result"),
        ("baseline", lambda data: data.update(results=[3]), "not a valid baseline: results.0"),
    ],
)
def test_a_changed_file_of_version_1_is_refused(name, change, reason, tmp_path):
    data = old(name)
    change(data)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(InvalidFileError, match=reason):
        read_document(path)


def test_an_edited_result_is_refused_and_a_whole_one_is_not(tmp_path):
    data = result_data(read_result(OLD / "completed.json"))
    assert not list(schemas.problems("result", data)) and data["digest"] == digest_of(data)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert read_result(path).completed
    data["seed"] += 1
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(InvalidFileError, match="edited or damaged"):
        read_result(path)


def test_a_reference_that_names_ranks_means_the_world_size():
    result = read_result(OLD / "completed.json")
    document = json.loads((Path(__file__).parents[2] / "results" / "reference" / "quickstart.json").read_text())
    for size, unmet in ((1, []), (4, [("config.world_size", "1", "4")])):
        reference = parse_reference({**document, "conditions": {"config.ranks": size}}, Path("mine.json"))
        assert unmet_conditions(reference.conditions, result) == unmet
