"""Chinese captions the whole way through, with the torch engine on the CPU."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from clipbench.clip.config import CLIP_CN_TINY, CLIP_TINY
from clipbench.files.hashing import sha256_of
from clipbench.files.json_file import read_json
from clipbench_torch.bert import BertClip
from clipbench_torch.engine import TorchEngine
from clipbench_torch.model import Clip
from tests.plugins.torch.test_bert import spec
from tests.support.chinese import PAIRS, write_published, write_vocabulary

VOCABULARY = "google-bert/bert-base-chinese/vocab.txt"
SUITE = """\
name: cn
model: {name: clip-cn-tiny}
dataset: {name: flickr8k_cn, train: datasets/cn_train.json, val: datasets/cn_val.json}
train: {epochs: 2, batch_size: 2, lr: 5e-4, workers: 0, augment: none, schedule: {peak_limits: null}}
timing: {warmup_steps: 1, window_steps: 1}
"""
TEXTS = [text for pairs in PAIRS.values() for captions in pairs.values() for text in captions]


@pytest.fixture
def clipbench(tmp_path):
    (tmp_path / "s.yaml").write_text(SUITE)

    def run(*words, root):
        return subprocess.run(
            [sys.executable, "-m", "clipbench", *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "CLIPBENCH_DATA": str(root), "HF_HOME": str(tmp_path / "hub"), "CI": "true"},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    return run


@pytest.fixture
def root(tmp_path):
    write_vocabulary(tmp_path / "data" / VOCABULARY, TEXTS)
    return write_published(tmp_path / "data")


def only_result(folder):
    (path,) = (folder / "results").glob("*.json")
    return read_json(path)


@pytest.mark.data
@pytest.mark.slow
def test_two_epochs_on_photographs_with_captions_written_in_chinese(clipbench, data_root, tmp_path):
    root = tmp_path / "data"
    (root / "datasets").mkdir(parents=True)
    (root / "flickr8k-images").symlink_to(data_root / "datasets" / "flickr8k-images")
    captions = {}
    for line in (data_root / "chinese" / "flickr8kzhc.caption.txt").read_text(encoding="utf-8").splitlines():
        captions.setdefault(line.split("#")[0], []).append(line)
    texts = []
    for split in ("train", "val"):
        entries = json.loads((data_root / "datasets" / f"en_{split}.json").read_text(encoding="utf-8"))
        texts += [line for entry in entries for line in captions[entry["image"].replace("\\", "/").rpartition("/")[2]]]
    (root / "flickr8kzhc.caption.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    vocabulary = write_vocabulary(root / VOCABULARY, [line.partition(" ")[2] for line in texts])
    options = ("train.batch_size=8", "train.workers=1", "timing.window_steps=8")
    done = clipbench("run", "s.yaml", "--device", "cpu", *(w for o in options for w in ("--set", o)), root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    result = only_result(tmp_path)
    assert {split: result["dataset"][split]["images"] for split in ("train", "val")} == {"train": 256, "val": 96}
    assert result["dataset"]["val"]["split"] == "part of cn_val" and result["text_truncated"] == 0
    assert [record["steps"] for record in result["epochs"]] == [32, 32]
    assert result["epochs"][1]["train_loss"] < result["epochs"][0]["train_loss"]
    assert len(result["query_ranks"]["image"]) == result["dataset"]["val"]["captions"] == 480
    assert result["vocabulary"] == {"file": "vocab.txt", "sha256": sha256_of(vocabulary)}
    assert result["weights"]["source"] == "random" and result["text_weights"] is None


@pytest.mark.slow
def test_weights_of_two_files_and_what_a_result_records(clipbench, root, tmp_path):
    """Doctor finds both, the result has their hashes, and what is saved is whole weights for a later run."""
    vision, texts = Clip(CLIP_TINY), BertClip(CLIP_CN_TINY)
    lines = (root / VOCABULARY).read_text(encoding="utf-8").splitlines()
    for model in (vision, texts):
        model.initialize(1)
    state = {name: tensor for name, tensor in texts.transformer.state_dict().items()}
    state["embeddings.word_embeddings.weight"] = state["embeddings.word_embeddings.weight"][: len(lines)].clone()
    torch.save(vision.state_dict(), root / "ViT.pth")
    folder = root / "google-bert" / "bert-base-chinese"
    torch.save({f"bert.{name}": tensor for name, tensor in state.items()}, folder / "pytorch_model.bin")
    words = ("--device", "cpu", "--set", "model.weights=ViT.pth", "--set")
    words = (*words, "model.text_weights=google-bert/bert-base-chinese", "--set", "checkpoint.keep=all")
    doctor = clipbench("doctor", "s.yaml", *words, "--format", "json", root=root)
    found = {finding["subject"]: finding for finding in json.loads(doctor.stdout)["findings"]}
    assert found["text weights"]["detail"] == str(folder / "pytorch_model.bin")
    assert found["vocabulary"]["detail"] == str(root / VOCABULARY) and found["weights"]["level"] == "ok"
    done = clipbench("run", "s.yaml", *words, root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    result = only_result(tmp_path)
    assert result["weights"]["sha256"] == sha256_of(root / "ViT.pth")
    assert result["text_weights"] == {
        "source": "pytorch_model.bin",
        "sha256": sha256_of(folder / "pytorch_model.bin"),
        "published": None,
    }
    saved = max((tmp_path / "results" / ".work").rglob("*.safetensors"))
    config = replace(CLIP_CN_TINY, vocab_size=len(lines))
    TorchEngine().check_weights(spec(config), config, saved)


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_vocabulary_of_another_language_is_named_with_the_share(clipbench, root):
    write_vocabulary(root / "english.txt", ["abcdefghijklmnopqrstuvwxyz"])
    done = clipbench("run", "s.yaml", "--device", "cpu", "--set", "model.vocabulary=english.txt", root=root)
    assert done.returncode == 5
    assert "model.vocabulary: it does not know 100% of the tokens in the captions of split 'own cn_val'" in done.stdout
    assert "'一匹马'" in done.stdout


@pytest.mark.parametrize("words", [("run",), ("doctor", "--format", "json")], ids=["run", "doctor"])
def test_a_vocabulary_without_special_tokens(clipbench, root, words):
    (root / VOCABULARY).write_text("一\n二\n", encoding="utf-8")
    done = clipbench(*words, "s.yaml", "--device", "cpu", root=root)
    assert done.returncode == 5
    assert f"{root / VOCABULARY}: has no [PAD], [UNK], [CLS], [SEP] among its 2 lines" in done.stdout


def test_what_is_not_there_is_listed_with_where_it_comes_from(clipbench, tmp_path):
    done = clipbench("run", "flickr8k_cn", "--device", "cpu", root=tmp_path / "empty")
    assert done.returncode == 5
    for part in (
        "WordPiece vocabulary google-bert/bert-base-chinese/vocab.txt",
        "weights google-bert/bert-base-chinese for the texts of clip-cn-vit-b32",
        "hf download ORG/NAME",
        "clipbench fetch flickr8k_cn",
    ):
        assert part in done.stderr, done.stderr


def test_text_weights_for_a_model_of_openai_are_a_mistake_of_the_suite(clipbench, root):
    words = ("--set", "model.name=clip-tiny", "--set", "model.text_weights=google-bert/bert-base-chinese")
    done = clipbench("show", "s.yaml", *words, root=root)
    assert done.returncode == 2
    assert "model.text_weights: 'google-bert/bert-base-chinese': only a model with a BERT" in done.stderr


def test_jax_says_that_it_has_no_such_model(clipbench, root):
    done = clipbench("show", "s.yaml", "--engine", "jax", root=root)
    assert done.returncode == 2
    assert "model.name: 'clip-cn-tiny' belongs to engine 'torch', not to 'jax'" in done.stderr
