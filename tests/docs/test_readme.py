"""README.md and README.zh-CN.md say the same: sections, commands, tables and links."""

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
ENGLISH, CHINESE = ((TOP / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
CHINESE = CHINESE.replace(".zh-CN.md", ".md")  # a page that is there in Chinese is linked in Chinese
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#]+)")  # without the anchor, which is a translated heading


def sections(text: str) -> list[str]:
    """Return each section's text, without its code, headings first; the part above the first heading is the first."""
    return re.split(r"^## ", FENCE.sub("", text), flags=re.M)


def code(text: str) -> list[tuple[str, list[str]]]:
    """Return the language and the lines of each block, without remarks in a shell's lines, which are translated."""
    return [
        (language, [re.sub(r"\s+#.*", "", line) if language == "sh" else line for line in body.splitlines()])
        for language, body in FENCE.findall(text)
    ]


def tables(text: str) -> list[list[str]]:
    """Return the first column of each table, without its head."""
    blocks = re.findall(r"^\|.*\n\|---.*\n((?:\|.*\n)+)", text, re.M)
    return [[line.split("|")[1].strip() for line in block.splitlines()] for block in blocks]


def literals(text: str) -> list[str]:
    """Return what stands between backticks, sorted: options, keys, files and values are not translated."""
    return sorted(re.findall(r"`([^`\n]+)`", FENCE.sub("", text)))


def test_both_have_the_same_sections_with_as_many_paragraphs_items_and_links():
    english, chinese = sections(ENGLISH), sections(CHINESE)
    assert len(english) == len(chinese) > 5
    for ours, theirs in zip(english, chinese, strict=True):
        for mark in (r"\n\n(?=[^\n<])", r"^- ", r"^\|"):
            counts = [len(re.findall(mark, text, re.M)) for text in (ours, theirs)]
            assert counts[0] == counts[1], f"{mark!r}: {ours.splitlines()[0]} / {theirs.splitlines()[0]}"
        links = [sorted(link for link in LINK.findall(text) if "README" not in link) for text in (ours, theirs)]
        assert links[0] == links[1]
        assert literals(ours) == literals(theirs)


def test_both_have_the_same_commands_and_outputs():
    english, chinese = code(ENGLISH), code(CHINESE)
    assert [language for language, _ in english] == [language for language, _ in chinese]
    for (language, ours), (_, theirs) in zip(english, chinese, strict=True):
        if ours[0] == "data/":  # a folder's files, each with a remark
            ours, theirs = ([line.split()[0] for line in lines] for lines in (ours, theirs))
        assert ours == theirs, language


def test_both_have_the_same_tables():
    assert tables(ENGLISH) == tables(CHINESE)
    assert len(tables(ENGLISH)) == 6


def test_the_commands_that_ci_runs_are_marked():
    for name in ("quickstart", "tests"):
        assert ENGLISH.count(f"<!-- ci: {name} -->\n```sh\npython3 -m venv") == 1
