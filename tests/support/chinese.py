"""Vocabularies, pairs in several layouts, and small models for tests of Chinese captions."""

import base64
import io
import json
from dataclasses import replace

from PIL import Image

from clipbench.clip.config import CLIP_CN_TINY

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CAPTIONS = ("一个穿着泳装的女人躺在海水里。", "一对恋人在公园河边拥抱。", "马场一个小女孩牵着一匹马在火堆旁边。")
PAIRS = {
    "train": {"11": ["一只狗", "一只黑狗在跑"], "12": ["两个孩子"], "13": ["一个女人", "红色的车"]},
    "valid": {"21": ["一匹马"], "22": ["一个男人", "公园里的男人"]},
}


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


def jpeg(shade):
    """A small picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (30, 24), (10 * shade, 250 - 10 * shade, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_chinese_clip(root, pairs=PAIRS, encode=base64.b64encode, extra=()):
    """Write Chinese-CLIP's format, with further (text, image ids) in every split; return ``root``."""
    for split, images in pairs.items():
        rows = [b"%s\t%s\n" % (image.encode(), encode(jpeg(int(image)))) for image in images]
        (root / f"{split}_imgs.tsv").write_bytes(b"".join(rows))
        texts = [(text, [int(image)]) for image, captions in images.items() for text in captions]
        lines = [
            json.dumps({"text_id": number, "text": text, "image_ids": ids}, ensure_ascii=False)
            for number, (text, ids) in enumerate([*texts, *extra])
        ]
        (root / f"{split}_texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write_published(root, pairs=PAIRS):
    """Write the published layout; return ``root``."""
    folder = root / "datasets" / "flickr8k-images"
    folder.mkdir(parents=True)
    for split, images in pairs.items():
        for image in images:
            (folder / f"{image}.jpg").write_bytes(jpeg(int(image)))
        entries = [{"image": f"flickr8k-images\\{image}.jpg", "caption": texts} for image, texts in images.items()]
        path = root / "datasets" / f"cn_{'val' if split == 'valid' else split}.json"
        path.write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")
    return root
