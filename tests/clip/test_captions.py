import pytest

from clipbench.clip.captions import clean_caption


def test_equals_the_reference(expected):
    for text, cleaned in expected["caption_cleanup"]:
        assert clean_caption(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Two dogs, one brown/one black-and-white.", "two dogs one brown one black and white"),
        ("a, . ' ! ? \" ( ) * # : ; ~b", "a b"),
        ("A <person> waves", "a person waves"),
        ("a single\ttab  stays\t\there", "a single\ttab stays here"),
        (" \tinner ends\n\n", "inner ends"),
        ("ends in space and newline \n", "ends in space and newline"),
        ("", ""),
    ],
)
def test_rules(text, cleaned):
    assert clean_caption(text) == cleaned


def test_keeps_the_first_77_words():
    words = [f"w{number}" for number in range(90)]
    assert clean_caption(" ".join(words)) == " ".join(words[:77])


def test_a_tab_does_not_part_words():
    assert clean_caption(" ".join(["a\tb"] * 78)).count("a\tb") == 77
