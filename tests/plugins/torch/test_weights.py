"""Every format that weights come in, and every file that is refused."""

import pickle
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clipbench.api import ModelSpec
from clipbench.clip.openai_weights import PUBLISHED, published_name, published_warning
from clipbench.errors import NotReadyError
from clipbench.training import checkpoints
from clipbench_torch.engine import TorchEngine
from clipbench_torch.learner import TorchLearner
from clipbench_torch.model import Clip
from clipbench_torch.weights import load_strictly, read_archive, read_weights
from tests.support.torch_jobs import SMALL, make_batch, make_job


@pytest.fixture
def state():
    model = Clip(SMALL)
    model.initialize(3)
    return model.state_dict()


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        assert got[name].dtype == torch.float32
        assert torch.equal(got[name], tensor), name


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_plain_state_dict(state, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    torch.save(state, path)
    assert_same(read_weights(path), state)


def test_state_dict_in_the_format_before_zip(state, tmp_path):
    path = tmp_path / "old.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_same(read_weights(path), state)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_nested_state_dict_with_prefixes(state, tmp_path, key):
    path = tmp_path / "weights.pth"
    torch.save({key: {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3}, path)
    assert_same(read_weights(path), state)


def test_half_precision_becomes_float32(state, tmp_path):
    path = tmp_path / "half.pth"
    torch.save({name: tensor.half() for name, tensor in state.items()}, path)
    assert_same(read_weights(path), {name: tensor.half().float() for name, tensor in state.items()})


def test_safetensors(state, tmp_path):
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    assert_same(read_weights(path), state)


def test_safetensors_without_the_package_says_how_to_get_it(state, tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(NotReadyError, match="pip install safetensors"):
        read_weights(path)


class Part(torch.nn.Module):
    """Holds more than its state: a mask and a list, which are no parameters."""

    def __init__(self):
        super().__init__()
        self.mask = torch.ones(2, 2)
        self.sizes = [1, 2]

    def forward(self, x):
        return x


class Archive(torch.nn.Module):
    """As OpenAI's archives are: parameters in half precision, and three sizes beside them."""

    def __init__(self, state):
        super().__init__()
        for name, tensor in state.items():
            *parents, leaf = name.split(".")
            module = self
            for parent in parents:
                if parent not in module._modules:
                    module.add_module(parent, Part())
                module = module._modules[parent]
            module.register_parameter(leaf, torch.nn.Parameter(tensor.half()))
        for name, size in (("input_resolution", 32), ("context_length", 16), ("vocab_size", 64)):
            self.register_buffer(name, torch.tensor(size))

    def forward(self, x):
        return x


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch retires TorchScript
@pytest.mark.parametrize("made", ["script", "trace"])
def test_torchscript_archive_is_read_without_being_loaded(state, tmp_path, monkeypatch, made):
    archive = Archive(state)
    module = torch.jit.script(archive) if made == "script" else torch.jit.trace(archive, torch.zeros(1))
    path = tmp_path / "ViT.pt"
    module.save(str(path))
    loaded = torch.jit.load(str(path)).state_dict()
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("loaded"))
    got = read_archive(path)
    assert got.keys() == loaded.keys()
    for name, tensor in loaded.items():
        assert got[name].dtype == tensor.dtype and torch.equal(got[name], tensor), name
    assert_same(read_weights(path), {name: tensor.half().float() for name, tensor in state.items()})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_views_into_one_storage_come_out_as_they_were(tmp_path):
    module = Part()
    whole = torch.arange(24.0).reshape(4, 6)
    for name, tensor in (("turned", whole.t()), ("part", whole[1:3, ::2]), ("none", whole[:0]), ("one", whole[3, 5])):
        module.register_buffer(name, tensor)
    torch.jit.script(module).save(str(tmp_path / "m.pt"))
    got = read_archive(tmp_path / "m.pt")
    for name, tensor in module.named_buffers():
        assert torch.equal(got[name], tensor), name


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_byte_changed_in_a_torchscript_archive_is_noticed(state, tmp_path):
    path = tmp_path / "ViT.pt"
    torch.jit.script(Archive(state)).save(str(path))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = max(archive.infolist(), key=lambda info: info.file_size)
    content[info.header_offset + info.file_size // 2 + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(NotReadyError, match="CRC"):
        read_weights(path)


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("run.txt"),)


def write_code(path):
    torch.save({"state_dict": Malicious()}, path)


def write_pickle_with_code(path):
    path.write_bytes(pickle.dumps(Malicious()))


def write_truncated(path):
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])


def write_truncated_safetensors(path):
    header = b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 10)


REFUSED = {
    "no such file": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "web page": lambda path: path.write_text("\n<!DOCTYPE html><html>Sign in</html>"),
    "git lfs pull": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "would run code": write_code,
    "not a file that torch.save wrote": write_pickle_with_code,
    "cut short": write_truncated,
    "cut short ": write_truncated_safetensors,
    "expected a state dict": lambda path: path.write_bytes(b"just some bytes"),
    "no state dict in it, but a dictionary with epoch": lambda path: torch.save({"epoch": 1}, path),
    "no state dict in it, but a list": lambda path: torch.save([torch.zeros(1)], path),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refusals_name_the_file_and_the_reason(reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    REFUSED[reason](path)
    with pytest.raises(NotReadyError) as refusal:
        read_weights(path)
    assert str(path) in str(refusal.value)
    assert reason.strip() in str(refusal.value)
    assert not Path("run.txt").exists()


def test_strict_loading_copies_every_tensor(state):
    model = Clip(SMALL)
    load_strictly(model.state_dict(), state, Path("w.pth"))
    assert_same(model.state_dict(), state)


def test_strict_loading_names_what_does_not_fit(state):
    state["extra.weight"] = torch.zeros(1)
    del state["visual.proj"]
    state["text_projection"] = torch.zeros(3, 4)
    with pytest.raises(NotReadyError) as refusal:
        load_strictly(Clip(SMALL).state_dict(), state, Path("w.pth"))
    for part in ("w.pth", "1 missing: visual.proj (", "1 unexpected: extra.weight (1,)", "(3, 4)", "(32, 16)"):
        assert part in str(refusal.value)


def test_strict_loading_lists_a_few_of_many(state):
    renamed = {f"vision_model.{name}": tensor for name, tensor in state.items()}
    with pytest.raises(NotReadyError, match=rf"{len(state)} missing: .*and {len(state) - 5} more"):
        load_strictly(Clip(SMALL).state_dict(), renamed, Path("w.pth"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_strict_loading_refuses_what_is_not_finite(state, value):
    state["text_projection"][1, 2] = value
    with pytest.raises(NotReadyError, match="1 not finite: text_projection"):
        load_strictly(Clip(SMALL).state_dict(), state, Path("w.pth"))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda tensor: tensor.to(torch.complex64), "complex64"),
        (lambda tensor: tensor.to(torch.int64), "int64"),
        (lambda tensor: tensor.to_sparse(), "float32 sparse_coo"),
        (lambda tensor: tensor.to("meta"), "float32"),
    ],
)
def test_strict_loading_refuses_what_are_no_real_numbers(state, change, words):
    """A complex tensor would be copied without its imaginary part."""
    state["text_projection"] = change(state["text_projection"])
    with pytest.raises(NotReadyError, match=f"1 of another type than real numbers: text_projection is {words}"):
        load_strictly(Clip(SMALL).state_dict(), state, Path("w.pth"))


def test_a_deflated_archive_is_refused_and_the_way_out_works(state, tmp_path):
    path, packed = tmp_path / "w.pth", tmp_path / "deflated.pth"
    torch.save(state, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(
        NotReadyError, match=r"deflated\.pth: its tensors are compressed .*`unzip`.*`zip -0 -r NEW\.pth"
    ):
        read_weights(packed)
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(tmp_path / "NEW.pth", "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert_same(read_weights(tmp_path / "NEW.pth"), state)


def test_weights_are_checked_without_building_the_model(state, tmp_path, monkeypatch):
    """The same refusals as when they are loaded, from a model whose tensors hold nothing."""
    spec = ModelSpec("small", "torch", "", SMALL, "clipbench_torch.model:Clip")
    monkeypatch.setattr(Clip, "initialize", lambda *_: pytest.fail("built"))
    path = tmp_path / "w.pth"
    torch.save(state, path)
    TorchEngine().check_weights(spec, SMALL, path)
    for change, words in (
        ({"visual.proj": None}, "1 missing: visual.proj"),
        ({"ln_final.bias": torch.full_like(state["ln_final.bias"], float("nan"))}, "1 not finite: ln_final.bias"),
        ({"ln_final.bias": torch.zeros(3)}, "1 of another shape: ln_final.bias is (3,)"),
    ):
        changed = {name: tensor for name, tensor in {**state, **change}.items() if tensor is not None}
        torch.save(changed, path)
        with pytest.raises(NotReadyError) as refusal:
            TorchEngine().check_weights(spec, SMALL, path)
        assert words in str(refusal.value)


def test_another_architecture_is_named_by_its_first_tensors(state):
    other = Clip(replace(SMALL, vision_width=2 * SMALL.vision_width, vision_heads=2 * SMALL.vision_heads)).state_dict()
    with pytest.raises(NotReadyError, match=r"of another shape: visual\.\S+ is \(.*, the model's is \("):
        load_strictly(Clip(SMALL).state_dict(), other, Path("w.pth"))


def test_published_weights_are_known_by_their_hash():
    assert published_name("5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f") == "OpenAI ViT-B/16"
    assert published_name("0" * 64) is None
    for model, file, sha256 in PUBLISHED:
        assert published_warning(file, sha256) is None and len(sha256) == 64
        assert model in published_warning(file, "0" * 64)
    assert published_warning("ViT-B-16-OpenAI.pth", "0" * 64) is None
    # open_clip writes the first digits of the hash into the name.
    name, laion = "vit_b_16-laion400m_e32-55e67d44.pt", "55e67d44" + "0" * 56
    assert published_name(laion) == "open_clip ViT-B-16 laion400m_e32" and published_warning(name, laion) is None
    assert "open_clip's ViT-B-16 laion400m_e32" in published_warning(name, "0" * 64)


def test_a_checkpoint_of_a_run_serves_as_weights(tmp_path):
    learner = TorchLearner(make_job(seed=3))
    learner.train_step(*make_batch(), lr=1e-3)
    folder = checkpoints.save(tmp_path / "kept", "step-00000001", learner.state(), {}, None)
    assert_same(read_weights(folder / checkpoints.TENSORS), learner._model.state_dict())
