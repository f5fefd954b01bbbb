"""The caption clean-up of the published benchmark, which comes before the tokenizer's own."""

import re

MAX_WORDS = 77

_DELETED_AND_SPACED = str.maketrans({**dict.fromkeys(",.'!?\"()*#:;~"), "-": " ", "/": " "})
_WHITE_SPACE_RUN = re.compile(r"\s{2,}")


def clean_caption(text: str) -> str:
    """Return ``text`` as the published benchmark hands it to the tokenizer.

    Lower-case, most punctuation deleted, hyphens and slashes to spaces, ``<person>`` unwrapped, at most 77 words.
    White space folds only in runs of two or more, so a single tab stays and does not part two words.
    Source: the Flickr8k recipe of the published CLIP benchmark.
    """
    text = text.lower().translate(_DELETED_AND_SPACED).replace("<person>", "person")
    text = _WHITE_SPACE_RUN.sub(" ", text).rstrip("\n").strip(" ")
    return " ".join(text.split(" ")[:MAX_WORDS])
