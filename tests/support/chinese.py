"""Vocabularies, captions and small models for tests of Chinese text."""

from dataclasses import replace

from clipbench.clip.config import CLIP_CN_TINY

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CAPTIONS = ("一个穿着泳装的女人躺在海水里。", "一对恋人在公园河边拥抱。", "马场一个小女孩牵着一匹马在火堆旁边。")
SMALL_CN = replace(
    CLIP_CN_TINY, embed_dim=16, image_size=32, patch_size=16, vision_width=32, text_width=32, vocab_size=64,
    context_length=16, text_positions=24,
)  # fmt: skip


def write_vocabulary(path, texts, extra=()):
    """Write a vocab.txt as BERT has it, of the characters of ``texts``, alone and inside a word; return its path."""
    characters = sorted(set("".join(texts)) - {" "})
    tokens = [*SPECIAL, *characters, *(f"##{one}" for one in characters), *extra]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return path
