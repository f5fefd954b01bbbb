"""The shipped suites against the published recipe, through `clipbench show`."""

import io
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from clipbench.cli import main


def show(*words):
    done = CliRunner().invoke(main, ["show", *words, "--format", "json"])
    assert done.exit_code == 0, done.output
    (case,) = json.loads(done.stdout)["cases"]
    return case


def test_the_published_learning_rates():
    rates = show("flickr8k_amp")["learning_rate"]
    assert len(rates) == 50
    assert rates[:5] == pytest.approx([1e-6, 1.2222e-6, 1.8889e-6, 3e-6, 2.9928e-6], rel=1e-4)
    assert rates[35:] == pytest.approx([3e-8] * 15) and rates[34] > 3.1e-8


@pytest.mark.parametrize("number", range(3))
def test_every_sequence_of_the_reference_under_set(expected, number):
    published = expected["learning_rate"][number]
    low, high = published["peak_limits"]
    changes = {
        "train.lr": published["lr"],
        "train.batch_size": published["batch_size"],
        "train.epochs": published["epochs"],
        "train.schedule.peak_limits": [low, high],
        "train.schedule.floor_limits": [low / 100, high / 100],
    }
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    assert show("flickr8k_amp", *words)["learning_rate"] == pytest.approx(published["per_epoch"], rel=1e-12)


@pytest.fixture
def full_layout(tmp_path):
    """Flickr8k's layout at its full size, of pictures of one pixel."""
    with io.BytesIO() as drawn:
        Image.new("RGB", (1, 1)).save(drawn, "JPEG")
        pixel = drawn.getvalue()
    pictures = tmp_path / "datasets" / "flickr8k-images"
    pictures.mkdir(parents=True)
    for split, count in (("train", 6000), ("val", 1000)):
        entries = []
        for number in range(count):
            (pictures / f"{split}{number}.jpg").write_bytes(pixel)
            entries.append({"image": f"flickr8k-images\\{split}{number}.jpg", "caption": ["a"] * 5})
        (tmp_path / "datasets" / f"en_{split}.json").write_text(json.dumps(entries))
    return tmp_path


def test_steps_of_the_published_runs(full_layout):
    for suite, epochs in (("flickr8k_amp", 50), ("flickr8k_ddp4", 20)):
        case = show(suite, "--set", f"dataset.root={full_layout}")
        assert (case["train_images"], case["val_images"]) == (6000, 1000)
        assert case["steps_per_epoch"] == 187 and case["steps"] == 187 * epochs


@pytest.mark.parametrize("name", ["clip-rn50", "clip-rn50x4", "clip-rn101"])
def test_models_with_a_resnet_are_not_offered(name):
    done = CliRunner().invoke(main, ["show", "flickr8k_amp", "--set", f"model.name={name}"])
    assert done.exit_code == 2
    assert f"'{name}' is not a model of any installed plugin; did you mean 'clip-" in done.output


def test_show_says_what_is_missing_and_where_it_was_looked_for(tmp_path):
    case = show("flickr8k_amp", "--set", f"dataset.root={tmp_path}")
    missing = {item["what"]: item["looked_in"] for item in case["missing"]}
    assert len(missing) == 4
    assert all(str(tmp_path) in place for place in missing.values())
    text = CliRunner().invoke(main, ["show", "flickr8k_amp", "--set", f"dataset.root={tmp_path}"]).stdout
    assert "36 to 50  3e-08" in text and "ViT-B-16-OpenAI.pth" in text and "gelu_tanh" in text
