"""WordPiece against transformers' own, and vocabulary files that are none."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clipbench.clip.captions import clean_caption
from clipbench.clip.wordpiece import WordPieceTokenizer
from clipbench.errors import NotReadyError
from tests.support.chinese import CAPTIONS, SPECIAL, write_vocabulary

WORDS = ("dog", "do", "##g", "café", "Dog")


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("bert") / "vocab.txt", CAPTIONS, WORDS)


@pytest.fixture(scope="module")
def both(vocabulary):
    from transformers import BertTokenizer

    return WordPieceTokenizer(vocabulary, 512), BertTokenizer(vocab=str(vocabulary), do_lower_case=False)


def ids(tokenizer, text):
    row = tokenizer.encode([text])[0].tolist()
    return row[: max(number for number, token in enumerate(row) if token) + 1]


ALPHABET = "".join(CAPTIONS) + "dogDé狗-,。!？\t\u3000\u200b\ufffd猫\U00020000ａ#[]SEP "


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from(ALPHABET), max_size=40))
@example("[SEP] 一个[MASK]女人[PAD]")
@example("dogs 一dog一, cafe\u0301 DOG")
def test_ids_are_those_of_transformers(both, text):
    ours, theirs = both
    assert ids(ours, text) == theirs(text)["input_ids"]


def test_long_texts_keep_their_last_special_token(vocabulary):
    tokenizer = WordPieceTokenizer(vocabulary, 6)
    rows = tokenizer.encode([CAPTIONS[0], "一", "一个女人", "一个女人躺"])
    assert rows.dtype == np.int32 and rows.shape == (4, 6)
    start, end = (SPECIAL.index(token) for token in ("[CLS]", "[SEP]"))
    assert (rows[:, 0] == start).all()
    assert [int((row != 0).sum()) for row in rows] == [6, 3, 6, 6]
    assert [row[row != 0][-1] for row in rows] == [end] * 4
    assert tokenizer.truncated == 2
    assert tokenizer.vocab_size == len(vocabulary.read_text(encoding="utf-8").splitlines())


def test_the_share_of_unknown_tokens(vocabulary):
    tokenizer = WordPieceTokenizer(vocabulary)
    assert tokenizer.unknown_share() == 0
    tokenizer.encode(["一个狗", "猫"])
    assert tokenizer.unknown_share() == 0.5


@pytest.mark.data
def test_all_chinese_captions_of_flickr8k(data_root, tmp_path):
    from transformers import BertTokenizer

    lines = (data_root / "chinese" / "flickr8kzhc.caption.txt").read_text(encoding="utf-8").splitlines()
    texts = [clean_caption(line.partition(" ")[2]) for line in lines][::5]
    path = write_vocabulary(tmp_path / "vocab.txt", texts[::2])
    tokenizer = WordPieceTokenizer(path, 77)
    rows = tokenizer.encode(texts)
    assert tokenizer.truncated == 0 and (rows != 0).sum(axis=1).max() <= 32
    assert 0 < tokenizer.unknown_share() < 0.01
    theirs = BertTokenizer(vocab=str(path), do_lower_case=False)(texts)["input_ids"]
    assert [row[row != 0].tolist() for row in rows] == theirs


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"", "has no [PAD], [UNK], [CLS], [SEP] among its 1 lines"),
        (b"[PAD]\n[CLS]\n[SEP]\na\n", "has no [UNK] among its 4 lines"),
        (b"a\n[PAD]\n[UNK]\n[CLS]\n[SEP]\n", "line 2: [PAD]: captions are padded with token 0"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n", "1 of its 6 lines repeat others"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "cannot be read as text"),
        (None, "no such file"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_named(tmp_path, content, phrase):
    path = tmp_path / "vocab.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotReadyError) as refusal:
        WordPieceTokenizer(path)
    assert str(path) in str(refusal.value) and phrase in str(refusal.value)
    assert "expected the vocabulary of a BERT model" in str(refusal.value)
