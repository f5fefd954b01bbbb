"""`clipbench predict`: probabilities of texts for pictures, and all that can be wrong with either."""

import json
import shutil
from importlib import resources

import numpy as np
import pytest
import torch
from PIL import Image

from clipbench.clip.bpe import BpeTokenizer
from clipbench.clip.config import CLIP_TINY
from tests.support.numpy_runs import COLOURS
from tests.support.weight_folders import CONFIG, save_transformers

TEXTS = ["red beside red", "blue beside blue", "green beside white"]


def asked(texts):
    return [word for text in texts for word in ("--text", text)]


def flat(path, left, right):
    pixels = np.zeros((40, 48, 3), dtype=np.uint8)
    pixels[:, :24], pixels[:, 24:] = COLOURS[left], COLOURS[right]
    Image.fromarray(pixels).save(path)
    return path


def noise(path, size, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
    return path


def test_probabilities_are_those_of_transformers(place, command):
    """Its own model, processing of pictures and softmax, from one file of weights."""
    from transformers import CLIPImageProcessor

    (place / "model").mkdir()
    model = save_transformers(place / "model", CLIP_TINY)
    paths = [
        noise(place / f"{number}.png", size, number) for number, size in enumerate([(90, 70), (64, 64), (65, 130)])
    ]
    texts = ["a red square", "a blue circle left of a green ring", "x"]
    words = ["--model", "clip-tiny", "--weights", "model", "--device", "cpu", "--set", "eval.resize=bicubic"]
    done = command("predict", *paths, *asked(texts), *words, "--format", "json")
    assert done.exit_code == 0, done.output
    size = CLIP_TINY.image_size
    processor = CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}, resample=3)
    pixels = processor([Image.open(path) for path in paths], return_tensors="pt")["pixel_values"]
    package, _, inside = CLIP_TINY.vocabulary.partition(":")
    tokens = BpeTokenizer(resources.files(package).joinpath(inside)).encode(texts)
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(tokens).long(), pixel_values=pixels).logits_per_image
    expected = logits.softmax(dim=-1).numpy()
    predictions = json.loads(done.stdout)["predictions"]
    assert [prediction["picture"] for prediction in predictions] == list(map(str, paths))
    for prediction, row in zip(predictions, expected, strict=True):
        found = {score["text"]: score["probability"] for score in prediction["texts"]}
        assert [found[text] for text in texts] == pytest.approx(row, abs=1e-5)
        assert sum(found.values()) == pytest.approx(1)
        assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("named", ["{run}", "results/{run}.json", "results/.work/{run}", "{checkpoint}"])
def test_what_a_run_has_learnt_is_named_in_four_ways(named, run, learnt, tmp_path, command):
    (checkpoint,) = (learnt / "results" / ".work" / run / "checkpoints").iterdir()
    picture = flat(tmp_path / "a.png", "blue", "blue")
    where = named.format(run=run, checkpoint=checkpoint)
    done = command("predict", picture, *asked(TEXTS), "--run", where, "--format", "json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["predictions"][0]["texts"][0]["text"] == "blue beside blue"
    assert data["model"]["weights"].endswith(checkpoint.name) and data["model"]["device"] == "abacus"


def test_a_table_for_each_picture_has_a_row_for_each_text(run, tmp_path, command):
    for name in ("one.png", "two.png"):
        flat(tmp_path / name, "red", "red")
    done = command("predict", tmp_path, *asked(TEXTS), "--run", run, "--top", "2", "--device", "paper")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("red beside red") == 2 and "on paper" in " ".join(done.stdout.split())
    assert len([line for line in done.stdout.splitlines() if "%" in line]) == 4


def test_one_unreadable_picture_among_a_hundred_is_named_and_the_rest_done(run, tmp_path, command):
    for number in range(100):
        flat(tmp_path / f"{number:02}.png", "green", "white")
    (tmp_path / "42.png").write_bytes(b"<html>not found</html>")
    (tmp_path / "notes.md").write_text("no picture")
    done = command("predict", tmp_path, *asked(TEXTS), "--run", run, "--format", "json")
    assert done.exit_code == 3
    assert f"{tmp_path}/42.png: a web page, not a picture; download it again" in done.stderr
    assert "1 file is not called like a picture: left out" in done.stderr
    data = json.loads(done.stdout)
    assert len(data["predictions"]) == 99 and len(data["problems"]) == 1
    assert {prediction["texts"][0]["text"] for prediction in data["predictions"]} == {"green beside white"}


def test_pictures_none_of_which_can_be_read_are_named(run, tmp_path, command):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    done = command("predict", tmp_path / "a.jpg", tmp_path / "empty", *asked(TEXTS), "--run", run, "--format", "json")
    assert done.exit_code == 3 and json.loads(done.stdout)["predictions"] == []
    assert "a.jpg: an empty file" in done.stderr and "empty: no pictures in this folder" in done.stderr


def test_texts_of_a_file_are_taken_line_by_line(run, tmp_path, command):
    (tmp_path / "texts.txt").write_bytes(b"\xef\xbb\xbfred beside red\r\n\n  blue beside blue \nred beside red\n")
    long = "red " * 200
    words = ["--texts", tmp_path / "texts.txt", "--text", long, "--run", run]
    done = command("predict", flat(tmp_path / "a.png", "red", "red"), *words, "--format", "json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["texts"] == [long.strip(), "red beside red", "blue beside blue"]
    assert (data["cut"], data["blank"], data["repeated"]) == (1, 1, 1)
    for said in ("1 text is longer than the model's context and was cut", "1 text is blank", "1 text is given again"):
        assert said in done.stderr


def test_weights_of_another_model_are_refused(place, command):
    (place / "model").mkdir()
    save_transformers(place / "model", CONFIG)
    words = ["--model", "clip-tiny", "--weights", "model", "--device", "cpu"]
    done = command("predict", noise(place / "a.png", (64, 64), 1), "--text", "x", *words)
    assert done.exit_code == 5 and not done.stdout
    assert "weights that fit model clip-tiny" in done.stderr


def test_weights_that_are_not_there_are_missing_with_what_gets_them(place, command, monkeypatch):
    monkeypatch.delenv("CLIPBENCH_DATA", raising=False)
    done = command("predict", noise(place / "a.png", (64, 64), 1), "--text", "x", "--device", "cpu")
    assert done.exit_code == 5 and not done.stdout
    assert "weights ViT-B-16.pt for clip-vit-b16" in done.stderr and "clipbench fetch clip-" in done.stderr


def test_names_of_others_are_only_shown(run, tmp_path, command):
    picture = flat(tmp_path / "[red]\x1b[2J.png", "red", "red")
    done = command("predict", picture, "--text", "[bold]\x1b]0;x\x07", "--run", run)
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout
    assert "[red]" in done.stdout and "[bold]" in done.stdout


@pytest.mark.parametrize(
    "words, said",
    [
        (["a.png"], "no texts; give one with --text"),
        (["a.png", "--text", "  "], "no texts; all that were given are blank"),
        (["a.png", "--texts", "blank.txt"], "no texts; all that were given are blank"),
        (["a.png", "--texts", "latin.txt"], "latin.txt: not UTF-8"),
        (["a.png", "--texts", "nowhere.txt"], "nowhere.txt: cannot be read (No such file"),
        (["b.png", "--text", "x"], "b.png: no such file or folder; expected pictures"),
        (["/dev/null", "--text", "x"], "/dev/null: not a regular file; expected pictures"),
        (["empty", "--text", "x"], "empty: no pictures in this folder; looked for files called *.bmp, *.gif"),
        (["a.png", "--text", "x", "--model", "clip-tiny"], "there are no published weights for it"),
        (["a.png", "--text", "x", "--model", "clip-tyni", "--weights", "w"], "did you mean 'clip-tiny'?"),
        (["a.png", "--text", "x", "--suite", "quickstart"], "the model starts from random weights"),
        (["a.png", "--text", "x", "--suite", "two.yaml"], "has several cases; choose one with --case"),
        (["a.png", "--text", "x", "--suite", "quickstart", "--run", "r"], "--run: has its own model and weights"),
        (["a.png", "--text", "x", "--run", "quickstart-1"], "no checkpoint in results/.work/quickstart-1/checkpoints"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(words, said, place, command):
    noise(place / "a.png", (64, 64), 1)
    (place / "empty").mkdir()
    (place / "blank.txt").write_text("\n \n\t\n")
    (place / "latin.txt").write_bytes("é".encode("latin-1"))
    model = {"name": "clip-tiny", "weights": "w"}
    suite = {"name": "two", "model": model, "dataset": {"name": "shapes"}, "matrix": {"seed": [0, 1]}}
    (place / "two.yaml").write_text(json.dumps(suite))
    done = command("predict", *words)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert said in done.stderr


def test_a_checkpoint_belongs_to_its_engine(run, tmp_path, command):
    words = ["--text", "x", "--run", run, "--engine", "torch", "--set", "model.name=clip-tiny"]
    done = command("predict", flat(tmp_path / "a.png", "red", "red"), *words)
    assert done.exit_code == 2
    assert "--engine torch: the run's checkpoint is one of engine numpy" in done.stderr


def test_a_damaged_checkpoint_is_refused(run, learnt, tmp_path, command):
    shutil.copytree(learnt / "results", tmp_path / "results")
    (checkpoint,) = (tmp_path / "results" / ".work" / run / "checkpoints").iterdir()
    tensors = bytearray((checkpoint / "tensors.safetensors").read_bytes())
    tensors[-1] ^= 1
    (checkpoint / "tensors.safetensors").write_bytes(tensors)
    words = ["--text", "x", "--run", run, "--results", tmp_path / "results"]
    done = command("predict", flat(tmp_path / "a.png", "red", "red"), *words)
    assert done.exit_code == 3 and "tensors.safetensors: damaged" in done.stderr
