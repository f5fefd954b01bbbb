"""Weights in folders and in the hub's local cache."""

import pytest

from clipbench.api.registry import load_registry
from clipbench.errors import NotReadyError
from clipbench.suites.loading import find_suite, load_suite
from clipbench.suites.plan import make_plan
from clipbench.suites.weight_files import INDEXES, NAMES, cached_model, find_weight_file, hub_cache, hub_name

COMMIT, OTHER = "57c216476eefef5ab752ec549e440a49ae4ae5f3", "1" * 40


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture
def plan(registry, tmp_path, monkeypatch):
    """The plan of quickstart with these weights, ``tmp_path/data`` as data root and ``tmp_path/hub`` as hub's cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def make(weights, *changes):
        changes = [f"model.weights={weights}", f"dataset.root={tmp_path / 'data'}", *changes]
        (case,) = load_suite(find_suite("quickstart"), changes).cases
        return make_plan(case, registry)

    return make


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def cache(folder, commit=COMMIT, name="model.safetensors", main=None):
    """Lay out one snapshot as huggingface_hub does: links into blobs."""
    blob = write(folder / "blobs" / f"blob-{commit}")
    link = folder / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"../../blobs/{blob.name}")
    if main:
        write(folder / "refs" / "main").write_text(main)
    return link


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_stands_for_the_weights_in_it(plan, tmp_path, name):
    file = write(tmp_path / "data" / "models" / "mine" / name)
    write(file.with_name("config.json"))
    write(file.with_name("tf_model.h5"))
    for weights in ("models/mine", file.parent, file):
        assert plan(weights).weights == file
        assert plan(weights).missing == ()


def test_the_order_in_which_they_are_taken(tmp_path):
    for name in reversed(NAMES):
        assert find_weight_file(write(tmp_path / name).parent) == tmp_path / name


def test_a_folder_without_weights_is_missing_and_says_what_was_expected(plan, tmp_path):
    write(tmp_path / "data" / "models" / "config.json")
    (missing,) = plan("models").missing
    assert missing.what == "weights models for clip-tiny" and str(tmp_path / "data" / "models") in missing.looked_in
    assert all(name in missing.source for name in NAMES)
    assert plan("models", "model.weights_missing=random").missing == ()


@pytest.mark.parametrize("index", INDEXES)
def test_weights_in_several_files_are_refused_with_the_way_out(plan, tmp_path, index):
    write(tmp_path / "data" / "models" / index)
    write(tmp_path / "data" / "models" / "model-00001-of-00002.safetensors")
    with pytest.raises(
        NotReadyError, match=rf"models: its weights are split into several files \({index}\).*max_shard"
    ):
        plan("models")
    write(tmp_path / "data" / "models" / "model.safetensors")
    assert plan("models").weights is not None


@pytest.mark.parametrize("weights", ["openai/clip-vit-base-patch16", "models--openai--clip-vit-base-patch16"])
def test_a_model_in_the_hubs_cache(plan, tmp_path, weights):
    folder = tmp_path / "hub" / "models--openai--clip-vit-base-patch16"
    (missing,) = plan(weights).missing
    assert str(folder) in missing.looked_in
    file = cache(folder, main=COMMIT + "\n")
    cache(folder, OTHER)
    for place in (weights, folder, file.parent, file):
        assert plan(place).weights == file  # not the blob: the descriptions lie beside the link
    assert plan("org/other").weights is None


def test_a_folder_of_that_name_in_the_data_root_goes_first(plan, tmp_path):
    cache(tmp_path / "hub" / "models--org--name")
    own = write(tmp_path / "data" / "org" / "name" / "model.safetensors")
    assert plan("org/name").weights == own


def test_which_snapshot(tmp_path):
    folder = tmp_path / "models--a--b"
    (folder / "snapshots").mkdir(parents=True)
    assert find_weight_file(folder) is None
    only = cache(folder)
    assert find_weight_file(folder) == only
    other = cache(folder, OTHER)
    for main in (None, "2" * 40, "../../../etc", "", "\0"):
        if main is not None:
            write(folder / "refs" / "main").write_text(main)
        with pytest.raises(NotReadyError, match=f"several snapshots \\({OTHER}, {COMMIT}\\)"):
            find_weight_file(folder)
    (folder / "refs" / "main").write_text(OTHER)
    assert find_weight_file(folder) == other
    (folder / "blobs" / f"blob-{OTHER}").unlink()  # a download that was cut
    assert find_weight_file(folder) is None


def test_where_the_cache_is(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value, expected in [
        ("", "", tmp_path / ".cache/huggingface/hub"),
        ("XDG_CACHE_HOME", "~/xdg", tmp_path / "xdg/huggingface/hub"),
        ("HF_HOME", "~/home", tmp_path / "home/hub"),
        ("HUGGINGFACE_HUB_CACHE", "/old", "/old"),
        ("HF_HUB_CACHE", "/new", "/new"),
    ]:
        if name:
            monkeypatch.setenv(name, value)
        assert str(hub_cache()) == str(expected)
    assert str(cached_model("org/name")) == "/new/models--org--name"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai/clip-vit-base-patch16", "openai/clip-vit-base-patch16"),
        ("models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("checkpoints/ViT-B-16.pt", None),
        ("w.pth", None),
        ("/abs/olute", None),
        ("../up", None),
        ("a/b/c", None),
        ("models--../x", None),
        ("~/models", None),
        ("org/..", "org/.."),
    ],
)
def test_names_of_the_hub(name, expected):
    if name == "org/..":
        assert cached_model(name).name == "models--org--.."  # one folder's name, never a way out
    else:
        assert hub_name(name) == expected


@pytest.mark.parametrize("name", ["x" * 5000, "a/" + "x" * 5000, "models--" + "x" * 5000, "é\udcff", "\u0007"])
def test_names_that_no_file_can_have_are_missing(plan, name):
    assert find_weight_file(cached_model(name)) is None
