"""The whole way through on real photographs of Flickr8k, with the torch engine on the CPU."""

import json
import os
import subprocess
import sys

import pytest

from clipbench.files.json_file import read_json
from clipbench.results.result import read_result
from clipbench.results.retrieved import check_retrieved

TINY = """\
name: photographs
model: {name: clip-tiny, vocabulary: bpe_simple_vocab_16e6.txt.gz}
dataset: {name: flickr8k}
train: {epochs: 2, batch_size: 32, lr: 1e-3, schedule: {peak_limits: null, floor_limits: null}}
timing: {warmup_steps: 2, window_steps: 3}
"""


@pytest.fixture
def clipbench(data_root, tmp_path):
    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "clipbench", *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "CLIPBENCH_DATA": str(data_root), "CI": "true"},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    return run


def only_result(folder):
    (path,) = (folder / "results").glob("*.json")
    return read_json(path)


@pytest.mark.slow
def test_two_epochs_of_a_small_model(clipbench, tmp_path):
    (tmp_path / "s.yaml").write_text(TINY)
    done = clipbench("run", "s.yaml", "--device", "cpu", "--set", "train.workers=1")
    assert done.returncode == 0, done.stdout + done.stderr
    result = only_result(tmp_path)
    assert result["dataset"]["train"]["images"] == 256 and result["dataset"]["val"]["images"] == 96
    assert [record["steps"] for record in result["epochs"]] == [8, 8]
    assert result["epochs"][1]["train_loss"] < result["epochs"][0]["train_loss"]
    assert result["epochs"][1]["throughput"] > 0
    assert len(result["query_ranks"]["image"]) == result["dataset"]["val"]["captions"]
    assert result["environment"]["packages"]["torch"]


@pytest.mark.slow
def test_two_ranks_with_all_negatives_train_as_one_does(clipbench, tmp_path):
    (tmp_path / "s.yaml").write_text(TINY + "matrix: {world_size: [1, 2]}\n")
    words = ("--device", "cpu", "--set", "train.workers=1", "--set", "train.loss.negatives=global")
    done = clipbench("run", "s.yaml", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = (read_json(path) for path in sorted((tmp_path / "results").glob("*.json")))
    assert (one["config"]["world_size"], two["config"]["world_size"]) == (1, 2)
    losses = [[record["train_loss"] for record in result["epochs"]] for result in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert one["dataset"] == two["dataset"] and len(one["query_ranks"]["image"]) == len(two["query_ranks"]["image"])
    # Written once, by the first rank, from what both have encoded.
    files = [check_retrieved(read_result(path), path) for path in sorted((tmp_path / "results").glob("*.json"))]
    assert [file.retrieved.images for file in files] == [96, 96] and files[0].picture(95) == files[1].picture(95)
    scores = [file.retrieved.image.own_score for file in files]
    assert scores[1] == pytest.approx(scores[0], abs=0.01)
    assert len(list((tmp_path / "results").glob("*.zip"))) == 2


@pytest.mark.campaign
def test_the_published_model_for_a_few_steps(clipbench, tmp_path, data_root):
    """The weights are optional in the smoke suite; what is not comparable is not compared."""
    done = clipbench(
        "run", "flickr8k_smoke", "--device", "cpu", "--max-steps", 2, "--set", "train.batch_size=8",
        "--set", "timing.warmup_steps=1", "--set", "reference=flickr8k-sdaa-amp",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = only_result(tmp_path)
    assert result["model"]["parameter_count"] == 149_620_737
    if not (data_root / "checkpoints" / "ViT-B-16-OpenAI.pth").exists():
        assert result["weights"]["source"] == "random" and result["weights"]["sha256"] is None
    assert result["environment"]["device"]["precision"] == "bfloat16"
    compared = clipbench("compare", "results", "--format", "json")
    assert compared.returncode == 3
    (comparison,) = json.loads(compared.stdout)["comparisons"]
    assert any("dataset.val.images is 96, the reference has 1000" in reason for reason in comparison["reasons"])


def test_weights_of_another_model_are_named_with_sizes_and_the_result_keeps_the_environment(clipbench, tmp_path):
    import torch

    torch.save({"visual.conv1.weight": torch.zeros(8, 3, 4, 4)}, tmp_path / "other.pth")
    done = clipbench("run", "flickr8k_smoke", "--device", "cpu", "--set", "model.weights=other.pth")
    assert done.returncode == 5
    assert "vision_width 8, patch_size 4, but the model has vision_width 768, patch_size 16" in done.stdout
    result = only_result(tmp_path)
    assert result["status"] == "failed" and result["error"]["exit_code"] == 5
    assert result["environment"]["device"]["kind"] == "cpu" and result["weights"]["source"] == "other.pth"
