import gzip
import html
import itertools
import json
import re

import ftfy
import numpy as np
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from clipbench.clip import pretokenize as words
from clipbench.clip.bpe import BpeTokenizer
from clipbench.clip.pretokenize import clean_text, split_words
from clipbench.clip.vocabulary import read_merges
from clipbench.errors import NotReadyError
from tests.support.make_vocabulary import train_vocabulary, write_vocabulary

OPENAI = "bpe_simple_vocab_16e6.txt.gz"

TEXTS = [
    "the lower the newer, the wider the widest: it's lower than the café's 12 naïve dogs",
    "two dogs' ſhips aren't there; they're newer & wider <here> — 日本",
]


class Simple:
    """Byte-pair encoding written out plainly, by regex and by merging the best pair until none is left."""

    pattern = regex.compile(
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE
    )

    def __init__(self, path):
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")[1:]
        pairs = [tuple(line.split()) for line in lines if line][: 49152 - 256 - 2]
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [byte for byte in range(256) if byte not in printable]
        self.char = {byte: chr(byte) for byte in printable} | {b: chr(256 + k) for k, b in enumerate(others)}
        single = [self.char[byte] for byte in printable + others]
        names = [*single, *(c + "</w>" for c in single), *map("".join, pairs), "<|startoftext|>", "<|endoftext|>"]
        self.ids = {name: number for number, name in enumerate(names)}

    def clean(self, text):
        text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
        return regex.sub(r"\s+", " ", text).strip().lower()

    def merged(self, word):
        if word in ("<|startoftext|>", "<|endoftext|>"):
            return [word]
        parts = [self.char[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        while True:
            candidates = [pair for pair in itertools.pairwise(parts) if pair in self.ranks]
            if not candidates:
                return parts
            best = min(candidates, key=self.ranks.__getitem__)
            at = 0
            while at < len(parts) - 1:
                if (parts[at], parts[at + 1]) == best:
                    parts[at : at + 2] = ["".join(best)]
                at += 1

    def encode(self, text):
        words = self.pattern.findall(self.clean(text))
        return [self.ids[part] for word in words for part in self.merged(word)]


def ids_of(tokenizer, text):
    """The ids of one text between start and end token."""
    row = tokenizer.encode([text])[0].tolist()
    assert row[0] == tokenizer.start_token
    length = len(row) - row[::-1].index(tokenizer.end_token)
    assert not any(row[length:])
    return row[1 : length - 1]


@pytest.fixture(scope="module")
def small_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "small.txt.gz"
    write_vocabulary(path, train_vocabulary(TEXTS, 50))
    return path


@pytest.fixture(scope="module")
def small(small_path):
    return BpeTokenizer(small_path, context_length=512), Simple(small_path)


@pytest.fixture(scope="module")
def openai(data_root):
    return BpeTokenizer(data_root / OPENAI)


@pytest.fixture(scope="module")
def captions(data_root):
    files = [data_root / "captions" / name for name in ("en_train.json", "en_val.json")]
    return [text for file in files for entry in json.loads(file.read_text("utf-8")) for text in entry["caption"]]


def test_ids_equal_the_reference(openai, expected):
    for text, ids in expected["token_ids"]:
        row = openai.encode([text])[0]
        assert row[: len(ids)].tolist() == ids
        assert not row[len(ids) :].any()


def test_openai_vocabulary(openai):
    assert (openai.vocab_size, openai.start_token, openai.end_token) == (49408, 49406, 49407)
    assert ids_of(openai, "a photo of a cat") == [320, 1125, 539, 320, 2368]


def test_all_captions_equal_transformers(openai, captions, data_root, tmp_path):
    lines = gzip.decompress((data_root / OPENAI).read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "vocab.json").write_text(json.dumps(Simple(data_root / OPENAI).ids), encoding="utf-8")
    # transformers leaves out ftfy and unescaping, so it is given cleaned text.
    theirs = CLIPTokenizer(vocab=str(tmp_path / "vocab.json"), merges=str(tmp_path / "merges.txt"))
    assert len(captions) == 35_000
    expected_ids = theirs([clean_text(text) for text in captions], truncation=True, max_length=77)["input_ids"]
    rows = openai.encode(captions)
    assert rows.shape == (35_000, 77)
    assert rows.dtype == np.int32
    for row, ids in zip(rows.tolist(), expected_ids, strict=True):
        assert row == ids + [0] * (77 - len(ids))


AWKWARD = [
    "<|startoftext|> <|ENDOFTEXT|>!<|endoftext|> a<|endoftext|>b '<|endoftext|>",
    "<|ſtartoftext|> it'ſ IT'S we'LL 's''t'",
    "\u0345 a\u0345b !\u0345! 1\u03451 \u1fb3 ι\u0345",
    "&amp;lt;b&amp;gt; &lt;|endoftext|&gt; &amp;amp;amp; &#32; &#8232;",
    "caf\u00c3\u00a9 “quoted” ﬁﬅ ＡＢ \u2028 \x85 \x1c\x1d \x0b\x00 \ufeff \u200b",
    "İstanbul ẞ Ǆ K Å",
    "½ ² Ⅷ ① 一二 ٣ 12",
    "\ud800 lone",
    "👩‍👩‍👧 🇩🇪 e\u0301",
]


# The newest letters are letters to one Unicode table and not yet to another.
ASSIGNED = st.characters(exclude_categories=("Cs", "Cn"), max_codepoint=0x1FFFF)


@given(st.one_of(st.text(ASSIGNED, max_size=40), st.text("ab<|>startofextnd 's&;#1!\u017f\u0345é\t\n", max_size=60)))
@settings(max_examples=1500)
def test_small_vocabulary_equals_plain_encoding(small, text):
    ours, plain = small
    assert ids_of(ours, text) == plain.encode(text)


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text_equals_plain_encoding(small, text):
    ours, plain = small
    assert ids_of(ours, text) == plain.encode(text)


def test_openai_vocabulary_equals_plain_encoding(openai, captions, data_root):
    plain = Simple(data_root / OPENAI)
    rng = np.random.default_rng(0)
    letters = list("etaoinshrdlucmfwypvbgkqjxz" + "éüñßжक日ıſ'.-!1 ")
    made_up = ["".join(rng.choice(letters, size=25)) for _ in range(1500)]
    for text in [*AWKWARD, *made_up, *captions[::50]]:
        assert ids_of(openai, text) == plain.encode(text)


@given(st.text(st.characters(max_codepoint=127)))
@example("a & b &lt; <c> \\u00e9")
@settings(max_examples=500)
def test_the_short_cut_for_ascii_changes_nothing(text):
    whole_way = html.unescape(html.unescape(ftfy.fix_text(text)))
    assert clean_text(text) == re.sub(r"\s+", " ", whole_way).strip().lower()


@given(st.text("abz \u017f'1"))
@settings(max_examples=500)
def test_the_short_cut_for_letters_and_spaces_changes_nothing(text):
    cleaned = clean_text(text)
    assert split_words(cleaned) == [word for word, _ in words._SPLIT.pre_tokenize_str(cleaned)]


def test_too_long_is_cut_with_the_end_token_last(small_path):
    tokenizer = BpeTokenizer(small_path, context_length=6)
    rows = tokenizer.encode(["1 2 3 4", "1 2 3 4 5", "1 2 3 4 5 6", ""])
    one, two, three, four = ids_of(tokenizer, "1 2 3 4")
    full = [tokenizer.start_token, one, two, three, four, tokenizer.end_token]
    assert rows[:3].tolist() == [full] * 3
    assert rows[3].tolist() == [tokenizer.start_token, tokenizer.end_token, 0, 0, 0, 0]
    assert tokenizer.truncated == 2


def test_one_text_in_place_of_many_is_an_error(small):
    with pytest.raises(TypeError, match="sequence of texts"):
        small[0].encode("a dog")


def test_no_texts(small):
    assert small[0].encode([]).shape == (0, 512)


def test_a_trained_vocabulary_uses_all_its_merges(small_path, small):
    merges = read_merges(small_path)
    assert len(merges) == 50
    assert small[0].vocab_size == 256 + 256 + 50 + 2
    assert len(ids_of(small[0], "the lower")) == 2
    assert ids_of(small[0], "the ₿") == small[1].encode("the ₿")


def test_training_and_writing_repeat_exactly(small_path, tmp_path):
    again = tmp_path / "again.txt.gz"
    write_vocabulary(again, train_vocabulary(TEXTS, 50))
    assert again.read_bytes() == small_path.read_bytes()


def test_training_takes_the_most_frequent_pair_and_stops_when_nothing_is_left():
    assert train_vocabulary(["ab ab ab cd"], 1) == [("a", "b</w>")]
    assert set(train_vocabulary(["ab ab ab cd"], 100)) == {("a", "b</w>"), ("c", "d</w>")}


def test_only_the_first_merges_of_a_long_file_are_used(openai, data_root):
    merges = read_merges(data_root / OPENAI)
    assert len(merges) == 48_894
    assert merges[0] == ("i", "n")


def _gzip(text):
    """Without the time, of which the names of the tests would consist too."""
    return gzip.compress(text, mtime=0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file"),
        (b"#version\ni n\n", "which is gzip text"),
        (_gzip(b"#version\ni n\n" * 50)[:30], "which is gzip text"),
        (_gzip(b"#version\n\xff n\n"), "which is gzip text"),
        (_gzip(b"#version\ni n\nin\n"), "line 3: 'in' is not a merge"),
        (_gzip(b"#version\ni n\nin g x\n"), "line 3: 'in g x' is not a merge"),
        (_gzip(b"#version\nin g\n"), "line 2: 'in g' is not a merge"),
        (_gzip(b"#version\n"), "holds no merges"),
        (_gzip(b""), "holds no merges"),
    ],
)
def test_a_bad_vocabulary_names_file_and_problem(tmp_path, content, problem):
    path = tmp_path / "vocabulary.txt.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotReadyError) as caught:
        BpeTokenizer(path)
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)
