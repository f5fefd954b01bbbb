"""Results on disk: refused by name where they are foreign, newer or edited."""

import json

import pytest

from clipbench.api.result import CaseError
from clipbench.errors import InvalidFileError
from clipbench.files.json_file import write_json
from clipbench.results.result import build_result, read_result, result_data, write_result
from clipbench.suites.loading import find_suite, load_suite


def failed_result(message=""):
    case = load_suite(find_suite("quickstart")).cases[0]
    return build_result(case, "mine-1", "2026-01-01T00:00:00Z", [], "failed", CaseError("Error", message, 4))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "not a file of clipbench"),
        ('{"kind": "clipbench.result"}', "missing"),
        ('{"kind": "clipbench.result", "schema_version": 999}', "newer"),
        ('{"kind": "something.else"}', "not a file of clipbench"),
    ],
)
def test_a_foreign_or_newer_result_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(InvalidFileError, match=said) as caught:
        read_result(path)
    assert str(path) in str(caught.value)


def test_a_result_that_was_edited_is_refused(tmp_path):
    made = failed_result("half a pair: \udc80")
    path = write_result(tmp_path, made)
    assert result_data(read_result(path)) == result_data(made)
    # Another order of keys, or other white space, is the same result.
    path.write_text(json.dumps(dict(sorted(json.loads(path.read_text()).items()))))
    assert result_data(read_result(path)) == result_data(made)
    path.write_text(path.read_text().replace('"exit_code": 4', '"exit_code": 0'))
    with pytest.raises(InvalidFileError, match=r"mine-1\.json: edited or damaged"):
        read_result(path)


def test_a_result_without_its_digest_is_refused(tmp_path):
    data = result_data(failed_result())
    write_json(tmp_path / "r.json", {key: value for key, value in data.items() if key != "digest"})
    with pytest.raises(InvalidFileError, match=r"r\.json: not a valid result: digest: missing"):
        read_result(tmp_path / "r.json")
