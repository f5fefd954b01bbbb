"""The catalogue that ships."""

import hashlib
import re
from pathlib import Path

import pytest

from clipbench.clip.config import OPENAI_VOCABULARY
from clipbench.clip.openai_weights import PUBLISHED, archive_name
from clipbench.fetch.catalogue import load_catalogue
from clipbench.files.bundled import shipped_suites
from clipbench.suites.loading import load_suite

CATALOGUE = load_catalogue()
FILES = {file.name: file for item in CATALOGUE.values() for file in item.files}


def test_names_and_terms():
    weights = {"clip-vit-b16", "clip-vit-b32", "clip-vit-l14", "clip-vit-l14-336"}
    others = {"flickr8k", "flickr8k-cn", "karpathy-splits", "clip-vocabulary", "bert-chinese-vocabulary"}
    assert set(CATALOGUE) == others | weights
    for item in CATALOGUE.values():
        assert item.summary and item.origin and item.licence and item.terms


def test_every_file_has_a_whole_hash_and_a_safe_address():
    for file in FILES.values():
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.digest)
        assert file.url.startswith("https://") and file.size > 100_000


def test_weights_are_those_that_results_know_as_published():
    published = {name: sha256 for _, name, sha256 in PUBLISHED}
    for name, file in FILES.items():
        if name.endswith(".pt"):
            assert file.digest == f"sha256:{published[name]}" and published[name] in file.url
            assert file.folder == "checkpoints"


def test_every_file_that_a_shipped_suite_names_can_be_had():
    for path in shipped_suites():
        for case in load_suite(path).cases:
            # open_clip's have no whole hash that is known here.
            if case.model.weights and case.suite != "laion_zeroshot":
                assert archive_name(case.model.weights) in FILES
                assert Path(case.model.weights).parent == Path(FILES[archive_name(case.model.weights)].folder)


@pytest.mark.parametrize(
    ("name", "archive"),
    [
        ("checkpoints/ViT-B-16-OpenAI.pth", "ViT-B-16.pt"),
        ("ViT-L-14-336px-OpenAI.safetensors", "ViT-L-14-336px.pt"),
        ("checkpoints/ViT-B-32.pt", "ViT-B-32.pt"),
        ("checkpoints/mine.pth", None),
        ("ViT-B-16-fine-tuned.pth", None),
        ("", None),
    ],
)
def test_the_archive_that_weights_are_saved_from(name, archive):
    assert archive_name(name) == archive


@pytest.mark.data
def test_the_vocabulary_is_the_one_that_people_have(data_root):
    content = (data_root / OPENAI_VOCABULARY).read_bytes()
    file = FILES[OPENAI_VOCABULARY]
    assert (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}") == (file.size, file.digest)
