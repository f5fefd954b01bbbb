"""Reading everything under some paths: nothing is skipped silently, nothing counts twice."""

import json
from array import array

import pytest

from clipbench.errors import NotReadyError, UsageError
from clipbench.results.collecting.collect import collect
from clipbench.results.result import write_result
from tests.support.made_results import changed, made_result


def write_reference(path, name="figures", **changes):
    data = {
        "kind": "clipbench.reference",
        "schema_version": 1,
        "name": name,
        "summary": "",
        "source": "a source",
        **dict.fromkeys(("date", "device", "precision", "batch_size", "epochs")),
        "metrics": {
            "recall_mean": {"value": 90, "unit": "percent", "direction": "higher", "tolerance": {"absolute": 1}}
        },
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_folders_are_walked_and_hidden_ones_left_out(tmp_path):
    write_result(tmp_path / "deep" / "down", made_result("mine-1"))
    write_result(tmp_path, made_result("mine-2"))
    write_reference(tmp_path / "reference" / "figures.json")
    for name in (".work/run/job.json", ".hidden.json", "deep/.git/x.json", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("not for reading")
    found = collect([tmp_path])
    assert [result.run_id for result in found.results] == ["mine-2", "mine-1"]
    assert list(found.references) == ["figures"]
    assert found.problems == ()


def test_a_path_inside_a_hidden_folder_can_be_named(tmp_path):
    path = write_result(tmp_path / ".hidden", made_result())
    assert len(collect([path]).results) == len(collect([path.parent]).results) == 1


def test_a_file_named_twice_counts_once(tmp_path):
    path = write_result(tmp_path, made_result())
    assert len(collect([path, tmp_path, path.parent / "." / path.name]).results) == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"kind": "clipbench.result"}', '{"kind": 1}', '{"a": NaN}', "[" * 100_000]
)
def test_a_file_that_is_neither_result_nor_reference_is_named(tmp_path, text):
    write_result(tmp_path, made_result())
    (tmp_path / "other.json").write_text(text)
    found = collect([tmp_path])
    assert len(found.results) == len(found.problems) == 1
    assert "other.json" in found.problems[0]


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere.json")
    (problem,) = collect([tmp_path]).problems
    assert "gone.json" in problem


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    assert collect([tmp_path]).problems == (f"{tmp_path}: cannot be read: Permission denied",)


def test_two_references_of_one_name_are_named(tmp_path):
    write_reference(tmp_path / "a.json")
    write_reference(tmp_path / "b.json")
    write_reference(tmp_path / "c.json", summary="other figures")
    found = collect([tmp_path])
    (problem,) = found.problems
    assert "a.json" in problem and "c.json" in problem


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        collect([tmp_path, tmp_path / "nowhere"])


def test_an_empty_folder_has_no_results(tmp_path):
    found = collect([tmp_path])
    assert (found.results, found.problems) == ((), ())


def test_query_ranks_are_kept_as_arrays_and_huge_ones_are_refused(tmp_path):
    made = made_result()
    write_result(tmp_path, made)
    (result,) = collect([tmp_path]).results
    assert isinstance(result.query_ranks.text, array)
    assert list(result.query_ranks.image) == made.query_ranks.image
    write_result(tmp_path, changed(made, "query_ranks.text", [2**40] * 300))
    (problem,) = collect([tmp_path]).problems
    assert "query_ranks.text: expected integers below" in problem


def test_a_result_that_cannot_be_written_is_named_with_its_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotReadyError, match=r"file/made-1\.json: the result cannot be written"):
        write_result(tmp_path / "file", made_result())
