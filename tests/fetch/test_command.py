"""``clipbench fetch`` as people meet it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from clipbench.api.plain import to_plain
from clipbench.cli import main
from clipbench.fetch import catalogue
from tests.fetch.conftest import CONTENT, made_file, made_item
from tests.support.file_server import cut, status


@pytest.fixture
def fetch(catalogue_file, tmp_path, monkeypatch):
    """Run the command on the made catalogue, with the data root in ``tmp_path``/data."""
    monkeypatch.setattr(catalogue, "SHIPPED", catalogue_file)
    monkeypatch.setenv("CLIPBENCH_DATA", str(tmp_path / "data"))
    return lambda *words, **more: CliRunner().invoke(main, ["fetch", *map(str, words)], **more)


def test_the_shipped_list():
    done = CliRunner().invoke(main, ["fetch", "--list"])
    for word in ("flickr8k", "1.1 GB", "non-commercial", "md5:f18a1e29", "clip-vit-l14-336", "MIT License", "350.8 MB"):
        assert word in done.stdout


def test_terms_are_shown_and_without_a_yes_nothing_is_asked_of_a_server(fetch, server, tmp_path):
    done = fetch("weights")
    assert done.exit_code == 5 and "terms: Do as you like." in done.stdout and "licence: none" in done.stdout
    assert f"from {server.url}/weights.pt" in done.stdout and "(300.0 kB to download)" in done.stdout
    assert "add --accept-terms" in done.stderr
    assert not server.requests and not (tmp_path / "data").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 5), ("\n", 5)])
def test_at_a_terminal_it_asks(fetch, server, monkeypatch, answer, code):
    # Click's runner puts its own standard input there, which is no terminal.
    monkeypatch.setattr("clipbench.commands.fetch._at_terminal", lambda: True)
    done = fetch("weights", input=answer)
    assert done.exit_code == code and "Do you accept these terms?" in done.stdout
    assert len(server.requests) == (code == 0)


def test_accepted_it_fetches_and_says_so(fetch, tmp_path):
    done = fetch("weights", "flickr8k", "--accept-terms")
    assert done.exit_code == 0, done.output
    assert "weights.pt: downloaded and checked" in done.stdout and done.stdout.endswith("everything is there\n")
    assert (tmp_path / "data" / "checkpoints" / "weights.pt").read_bytes() == CONTENT
    again = fetch("weights", "flickr8k")
    assert again.exit_code == 0 and "terms" not in again.stdout


def test_a_failure_is_a_message_and_exit_5(fetch, server):
    server.faults["/weights.pt"] = [cut(1000), status(403)]
    done = fetch("weights", "--accept-terms")
    assert done.exit_code == 5 and "Traceback" not in done.output
    assert done.stderr.startswith(f"clipbench: {server.url}/weights.pt: the server says 403 Forbidden")
    assert "the connection was cut; trying again in 1 s (try 2 of 6)" in done.stdout


@pytest.mark.parametrize(
    "words", [[], ["no-such-thing"], ["weights", "--mirror", "/no/such"], ["weights", "--nothing"]]
)
def test_usage_is_exit_2(fetch, words):
    assert fetch(*words).exit_code == 2


def test_print_is_what_aria2_reads(fetch, server, flickr8k):
    done = fetch("weights", "flickr8k", "--print")
    assert done.exit_code == 0 and not server.requests
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    addresses, names, checks = lines[::3], lines[1::3], lines[2::3]
    assert addresses[0] == f"{server.url}/weights.pt" and names[0] == "  out=weights.pt"
    assert checks[0].startswith("  checksum=sha-256=")
    assert checks[1] == f"  checksum=md5={flickr8k.files[0].digest.removeprefix('md5:')}"
    assert "300.0 kB" in done.stdout


def test_print_with_a_mirror_and_of_nothing(fetch, tmp_path):
    (tmp_path / "mirror").mkdir()
    done = fetch("weights", "--print", "--mirror", tmp_path / "mirror")
    assert f"\n{tmp_path}/mirror/weights.pt\n" in done.stdout
    fetch("weights", "--accept-terms")
    assert "# nothing to download" in fetch("weights", "--print").stdout


def test_the_mirror_of_the_environment(fetch, server, tmp_path, monkeypatch):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "weights.pt").write_bytes(CONTENT)
    monkeypatch.setenv("CLIPBENCH_MIRROR", str(tmp_path / "mirror"))
    assert fetch("weights", "--accept-terms").exit_code == 0 and not server.requests


def test_root_goes_before_the_environment(fetch, tmp_path):
    assert fetch("weights", "--accept-terms", "--root", tmp_path / "here").exit_code == 0
    assert (tmp_path / "here" / "checkpoints" / "weights.pt").exists() and not (tmp_path / "data").exists()


@pytest.fixture
def suite(server, tmp_path, monkeypatch, catalogue_file):
    """A suite that needs a vocabulary and OpenAI's weights, and a catalogue that has both."""
    vocabulary, weights = b"made vocabulary", b"made weights"
    server.files |= {"/bpe_simple_vocab_16e6.txt.gz": vocabulary, "/ViT-B-16.pt": weights}
    items = [
        made_item("clip-vocabulary", made_file(f"{server.url}/bpe_simple_vocab_16e6.txt.gz", vocabulary)),
        made_item("clip-vit-b16", made_file(f"{server.url}/ViT-B-16.pt", weights, folder="checkpoints")),
    ]
    catalogue_file.write_text(json.dumps(to_plain(items)))
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\nmodel: {name: clip-vit-b16, weights: checkpoints/ViT-B-16-OpenAI.pth}\ndataset: {name: shapes}\n"
    )
    return path


def test_a_suite_gets_what_it_needs_and_only_that(fetch, suite, server, tmp_path):
    done = fetch(suite, "--accept-terms")
    assert done.exit_code == 0, done.output
    root = tmp_path / "data"
    assert (root / "bpe_simple_vocab_16e6.txt.gz").exists() and (root / "checkpoints" / "ViT-B-16.pt").exists()
    again = fetch(suite)
    assert again.exit_code == 0 and again.stdout.count("there already, and the right file") == 2
    assert len(server.requests) == 2
    (root / "checkpoints" / "ViT-B-16.pt").write_bytes(b"cut sho")
    assert "ViT-B-16.pt: not the right file" in fetch(suite).stderr


def test_a_suite_that_needs_no_files(fetch):
    done = fetch("quickstart")
    assert done.exit_code == 0 and "nothing to fetch" in done.stdout


def test_what_cannot_be_had_is_told_after_the_rest_was_fetched(fetch, suite, tmp_path):
    suite.write_text(suite.read_text().replace("checkpoints/ViT-B-16-OpenAI.pth", "mine.pth"))
    done = fetch(suite, "--accept-terms")
    assert done.exit_code == 5 and (tmp_path / "data" / "bpe_simple_vocab_16e6.txt.gz").exists()
    assert "still missing" in done.stderr and "weights mine.pth for clip-vit-b16: looked for in" in done.stderr


def test_help_and_list_import_no_http_library():
    probe = (
        "import sys\nfrom clipbench.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "assert not {'pooch', 'requests', 'urllib3'} & set(sys.modules)"
    )
    for words in (["--help"], ["fetch", "--help"], ["list"]):
        subprocess.run([sys.executable, "-c", probe, *words], check=True, capture_output=True, timeout=60)
