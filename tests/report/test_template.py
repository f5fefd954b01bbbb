"""The page's libraries, which are made once and kept."""

import pytest
import vl_convert

from clipbench.report.page.template import libraries


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: b"", lambda data: b"\xff" + data])
def test_libraries_are_made_once_and_again_where_the_cache_is_damaged(tmp_path, monkeypatch, harm):
    monkeypatch.setenv("CLIPBENCH_CACHE", str(tmp_path))
    made = []
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda code: made.append(code) or f"/* € */ {code}")
    assert libraries() == libraries() and len(made) == 1
    (path,) = tmp_path.iterdir()
    path.write_bytes(harm(path.read_bytes()))
    assert libraries() == libraries() and len(made) == 2


def test_without_a_place_for_a_cache_they_are_made_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLIPBENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda code: code)
    assert "vegaEmbed" in libraries()
