"""One file over a bad line: the right bytes under its name, or nothing there and a message that helps."""

import datetime
import email.utils
import gzip
import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipbench.errors import NotReadyError, StoppedError
from clipbench.fetch.download import download, part_of
from clipbench.files.disk import DiskError
from tests.fetch.conftest import CONTENT, made_file
from tests.support import file_server
from tests.support.file_server import cut, other, redirect, serve, stall, status

TENTHS = [len(CONTENT) * tenth // 10 for tenth in range(10)]
PAGE = b"\n <!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def run(server, session, root):
    """Download a file of the server; returns the path that it has then."""

    def download_it(content=CONTENT, path="/weights.pt", algorithm="sha256"):
        url = server.url + path
        target = root / path.rpartition("/")[2]
        download(made_file(url, content, algorithm), url, target, session)
        return target

    return download_it


def sizes(root):
    """What lies in the folder, with its size; empty files aside."""
    return {path.name: path.stat().st_size for path in root.iterdir() if path.stat().st_size}


def ranges(server):
    return [span for _, span in server.requests]


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_good_server(run, server, shown, root, algorithm):
    assert run(algorithm=algorithm).read_bytes() == CONTENT
    assert sizes(root) == {"weights.pt": len(CONTENT)} and len(list(root.iterdir())) == 1
    assert shown.moves[-1] == ("weights.pt", len(CONTENT), len(CONTENT))
    assert not shown.notices and ranges(server) == [None]


def test_cut_at_every_tenth_it_goes_on_there(run, server, shown):
    server.faults["/weights.pt"] = [cut(at) for at in TENTHS]
    assert run().read_bytes() == CONTENT
    assert ranges(server) == [None, None, *(f"bytes={at}-" for at in TENTHS[1:])]
    assert all("trying again" in notice for notice in shown.notices)


@pytest.mark.parametrize("at", TENTHS)
def test_a_fetch_that_ended_at_any_tenth_is_continued_by_the_next(run, server, root, at):
    server.faults["/weights.pt"] = [cut(at)] * 7
    with pytest.raises(NotReadyError, match=rf"{at:,} bytes are kept: run the same command again"):
        run()
    assert sizes(root) == ({".weights.pt.part": at} if at else {})
    server.faults.clear()
    server.requests.clear()
    assert run().read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={at}-" if at else None]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["cut", "whole, cut", "503", "other part"]), st.floats(0, 1)), max_size=5))
def test_whatever_order_faults_come_in_the_file_is_right(run, server, root, faults):
    makers = {
        "cut": cut,
        "whole, cut": file_server.without_ranges_cut,
        "503": lambda at: status(503),
        "other part": lambda at: other(CONTENT[at:], 206, Content_Range=f"bytes {at}-{len(CONTENT) - 1}/*"),
    }
    server.faults["/weights.pt"] = [makers[kind](int(share * (len(CONTENT) - 1))) for kind, share in faults]
    target = run()
    assert target.read_bytes() == CONTENT and set(sizes(root)) == {"weights.pt"}
    target.unlink()


@pytest.mark.parametrize("wrong", [CONTENT[:-1] + b"x", CONTENT + b"x", b"x", b""], ids=["same", "more", "x", "none"])
def test_wrong_bytes_never_get_the_name(run, server, root, wrong):
    server.files["/weights.pt"] = wrong
    with pytest.raises(NotReadyError, match=r"another file: [\d,]+ bytes, sha256 \w+, expected \w+; nothing") as caught:
        run()
    assert "--mirror" in str(caught.value) and server.url in str(caught.value)
    assert not list(root.iterdir())


@pytest.mark.parametrize("answer", [serve, file_server.without_length()])
def test_a_page_of_html_is_called_that(run, server, root, answer):
    server.files["/weights.pt"] = PAGE
    server.default = answer
    with pytest.raises(NotReadyError, match="a page of HTML came instead of the file"):
        run()
    assert not sizes(root) and len(server.requests) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_refusal_is_final_and_keeps_what_was_there(run, server, root, code):
    part_of(root / "weights.pt").write_bytes(CONTENT[:1000])
    server.faults["/weights.pt"] = [status(code)]
    with pytest.raises(NotReadyError, match=f"the server says {code} .*--mirror.*--print"):
        run()
    assert len(server.requests) == 1 and sizes(root) == {".weights.pt.part": 1000}


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again_ever_later(run, server, shown, code):
    server.faults["/weights.pt"] = [status(code)] * 5
    assert run().read_bytes() == CONTENT
    assert shown.waits == [1, 2, 4, 8, 16]
    server.files["/other.pt"] = b"other"
    server.faults["/other.pt"] = [status(code)] * 6
    with pytest.raises(NotReadyError, match=f"the server says {code} .*; given up after 6 tries in a row"):
        run(b"other", "/other.pt")


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_followed(run, server, shown, code):
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=100)
    asked = ["7", "0", email.utils.format_datetime(then, usegmt=True), "soon"]
    server.faults["/weights.pt"] = [status(code, Retry_After=value) for value in asked]
    assert run().read_bytes() == CONTENT
    first, second, third = shown.waits  # 0 is no wait, and what cannot be read is as if nothing had been asked
    assert first == 7 and 0 < second <= 100 and third == 8


def test_a_server_that_asks_for_an_hour_is_left_at_once(run, server, shown, root):
    server.faults["/weights.pt"] = [cut(1000), status(429, Retry_After="3600")]
    with pytest.raises(NotReadyError, match="it asks to wait for 3600 s; 1,000 bytes are kept"):
        run()
    assert shown.waits == [1] and sizes(root) == {".weights.pt.part": 1000}


def test_a_stall_is_a_cut(run, server, shown):
    server.faults["/weights.pt"] = [stall(200_000)]
    assert run().read_bytes() == CONTENT
    assert "the server has stopped sending" in shown.notices[0]
    assert ranges(server)[1] is not None


def test_a_server_that_accepts_and_says_nothing(run, server, shown):
    server.faults["/weights.pt"] = [file_server.slow(10)]
    assert run().read_bytes() == CONTENT
    assert "the server does not answer" in shown.notices[0]


def test_a_redirect_is_followed_and_a_loop_is_not(run, server):
    server.files |= {"/moved.pt": CONTENT, "/loop.pt": CONTENT}
    server.faults["/weights.pt"] = [redirect("/moved.pt")]
    assert run().read_bytes() == CONTENT
    server.faults["/loop.pt"] = [redirect("/loop.pt")] * 100
    with pytest.raises(NotReadyError, match=r"/loop.pt: Exceeded 30 redirects.*--mirror"):
        run(path="/loop.pt")


def test_a_server_without_ranges_gives_the_whole_file_again(run, server):
    server.default = file_server.without_ranges
    server.faults["/weights.pt"] = [cut(TENTHS[5])]
    assert run().read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_server_without_ranges_that_always_cuts_is_given_up(run, server):
    server.default = file_server.without_ranges_cut(TENTHS[5])
    with pytest.raises(NotReadyError, match="given up after 6 tries"):
        run()
    assert len(server.requests) == 6


def test_without_a_length_the_hash_decides(run, server):
    server.default = file_server.without_length()
    server.faults["/weights.pt"] = [file_server.without_length(upto=1000)]
    assert run().read_bytes() == CONTENT


@pytest.mark.parametrize("kept", [b"another edition", CONTENT[:-1] + b"x", CONTENT + b"more"], ids=["a", "b", "c"])
def test_what_was_kept_and_does_not_fit_is_thrown_away(run, server, shown, root, kept):
    part_of(root / "weights.pt").write_bytes(kept)
    assert run().read_bytes() == CONTENT
    assert "starting again" in shown.notices[-1] and ranges(server) == [f"bytes={len(kept)}-", None]


def test_what_was_kept_and_is_whole_needs_no_server(run, server, root):
    part_of(root / "weights.pt").write_bytes(CONTENT)
    assert run().read_bytes() == CONTENT and not server.requests


def test_a_gz_file_arrives_as_it_lies_there(run, server):
    """Some servers call .gz an encoding of what is in it."""
    packed = gzip.compress(b"#version: 0.2\n", mtime=0)
    server.files["/vocabulary.txt.gz"] = packed
    server.default = lambda *asked: serve(*asked, Content_Encoding="gzip")
    assert run(packed, "/vocabulary.txt.gz").read_bytes() == packed


def test_nobody_listens(run, server, shown):
    server.stop()
    with pytest.raises(NotReadyError, match=r"the server cannot be reached; given up after 6 tries.*HTTPS_PROXY"):
        run()
    assert len(shown.waits) == 5


@pytest.mark.parametrize("url", ["http://", "http://[::1/x", "http:///weights.pt"])
def test_an_address_that_is_none(session, root, url):
    with pytest.raises(NotReadyError, match=r"cannot be opened .*; check --mirror"):
        download(made_file(url, CONTENT), url, root / "weights.pt", session)


def test_the_proxy_of_the_environment_is_used(server, session, root, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    url = "http://files.example.invalid/weights.pt"
    download(made_file(url, CONTENT), url, root / "weights.pt", session)
    assert server.requests == [(url, None)] and (root / "weights.pt").read_bytes() == CONTENT


def test_a_proxy_that_is_away_is_named(server, session, root, monkeypatch):
    server.stop()
    monkeypatch.setenv("http_proxy", server.url)
    url = "http://files.example.invalid/weights.pt"
    with pytest.raises(NotReadyError, match="the proxy cannot be reached"):
        download(made_file(url, CONTENT), url, root / "weights.pt", session)


def test_a_full_disk_is_said_with_what_to_do(run, root):
    """The limit on the size of files stands for it: the system refuses at the same place."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(DiskError, match=r"cannot be written .*300.0 kB are needed.*another folder with --root"):
            run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sizes(root).keys() == {".weights.pt.part"}
    assert run().read_bytes() == CONTENT


def test_a_disk_that_loses_bytes_is_noticed(run, root, monkeypatch):
    monkeypatch.setattr("clipbench.fetch.download.os.fsync", lambda handle: os.ftruncate(handle, 1000))
    with pytest.raises(NotReadyError, match="check the disk"):
        run()
    assert not sizes(root)


def test_a_local_folder_is_a_source_too(session, tmp_path):
    source, target = tmp_path / "usb" / "weights.pt", tmp_path / "weights.pt"
    source.parent.mkdir()
    file = made_file("http://nowhere.invalid/weights.pt", CONTENT)
    with pytest.raises(NotReadyError, match=r"usb/weights.pt: cannot be read .*; put the file there"):
        download(file, str(source), target, session)
    source.write_bytes(CONTENT[:-1])
    with pytest.raises(NotReadyError, match="another file"):
        download(file, str(source), target, session)
    assert not target.exists()
    source.write_bytes(CONTENT)
    download(file, str(source), target, session)
    assert target.read_bytes() == CONTENT and source.exists()


def test_a_stop_keeps_what_came(run, session, shown, root):
    def moved(name, done, total):
        if done > 100_000:
            session.stop.set()

    shown.moved = moved
    with pytest.raises(StoppedError):
        run()
    kept = sizes(root)[".weights.pt.part"]
    assert 100_000 < kept < len(CONTENT)
    assert (root / ".weights.pt.part").read_bytes() == CONTENT[:kept]


def test_noise_from_a_server_is_an_error_with_advice(run, server):
    noise = random.Random(1)
    server.default = lambda handler, *_: handler.wfile.write(noise.randbytes(300))
    with pytest.raises(NotReadyError, match="given up"):
        run()
