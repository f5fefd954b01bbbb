"""Named CLIP variants: sizes that are the same in every framework."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

# "gelu" is the exact one, by the error function, as PyTorch calls it.
Activation = Literal["quick_gelu", "gelu", "gelu_tanh"]
Resize = Literal["bilinear", "bicubic"]
TextTower = Literal["clip", "bert"]

# Vocabulary of OpenAI's CLIP, as users have it in their data folder.
OPENAI_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
# Vocabulary that ships with the package, for models trained from scratch on generated captions.
TINY_VOCABULARY = "clipbench.clip:vocabularies/clip-tiny.txt.gz"
# Vocabulary of bert-base-chinese, in the folder that its model has on the Hugging Face hub.
BERT_CHINESE_VOCABULARY = "google-bert/bert-base-chinese/vocab.txt"


@dataclass(frozen=True)
class TokenizerSpec:
    """How a model's texts become token ids; ``load`` is called with (vocabulary file, context length) for a Tokenizer.

    ``load`` is ``"package.module:attribute"``. ``file`` names the kind of file in messages, ``source`` says what is
    expected in it.
    """

    load: str
    file: str
    source: str


BPE = TokenizerSpec(
    "clipbench.clip.bpe:BpeTokenizer",
    "BPE vocabulary",
    "a byte-level BPE vocabulary in the format of OpenAI's; see model.vocabulary",
)
WORDPIECE = TokenizerSpec(
    "clipbench.clip.wordpiece:WordPieceTokenizer",
    "WordPiece vocabulary",
    "a text file with one token on each line, such as the vocab.txt of a BERT model; see model.vocabulary",
)


@dataclass(frozen=True)
class ClipConfig:
    """Architecture of one CLIP model with a vision transformer.

    Sizes in pixels (``image_size``, ``patch_size``), tokens (``context_length``) or channels (the widths).
    ``vocabulary`` is a file name looked for in the data root, or ``package:path`` for a file inside a package; it is of
    the kind that ``tokenizer`` reads. ``mean`` and ``std`` are per RGB channel, of pixels scaled to 0..1.
    ``text_tower`` is OpenAI's (openai/CLIP), or BERT (Devlin et al. 2019, arXiv:1810.04805) with ``text_positions``
    positions, of which a caption takes at most ``context_length``; None means as many.
    """

    embed_dim: int
    image_size: int
    patch_size: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    text_width: int
    text_layers: int
    text_heads: int
    vocab_size: int = 49408
    context_length: int = 77
    vision_activation: Activation = "quick_gelu"
    text_activation: Activation = "quick_gelu"
    eval_resize: Resize = "bicubic"
    vocabulary: str = OPENAI_VOCABULARY
    tokenizer: TokenizerSpec = BPE
    text_tower: TextTower = "clip"
    text_positions: int | None = None
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


CLIP_VIT_B16 = ClipConfig(
    embed_dim=512, image_size=224, patch_size=16, vision_width=768, vision_layers=12, vision_heads=12,
    text_width=512, text_layers=12, text_heads=8,
)  # fmt: skip
CLIP_VIT_B32 = replace(CLIP_VIT_B16, patch_size=32)
CLIP_VIT_L14 = ClipConfig(
    embed_dim=768, image_size=224, patch_size=14, vision_width=1024, vision_layers=24, vision_heads=16,
    text_width=768, text_layers=12, text_heads=12,
)  # fmt: skip
CLIP_VIT_L14_336 = replace(CLIP_VIT_L14, image_size=336)
# Small enough to learn the generated dataset from scratch on two CPU cores in a minute: one patch for each cell of its
# pictures. The vocabulary's size is the shipped file's; with another file it is that file's.
CLIP_TINY = ClipConfig(
    embed_dim=128, image_size=64, patch_size=32, vision_width=128, vision_layers=2, vision_heads=2,
    text_width=128, text_layers=2, text_heads=2, vocab_size=644, vocabulary=TINY_VOCABULARY, eval_resize="bilinear",
)  # fmt: skip


# bert-base-chinese's sizes for the texts. Published captions of photographs have at most some 30 characters, a token
# each: BERT's 512 positions are all there, for its weights, and captions are cut to as many tokens as OpenAI's.
CLIP_CN_VIT_B32 = replace(
    CLIP_VIT_B32, text_tower="bert", text_width=768, text_layers=12, text_heads=12, text_positions=512,
    text_activation="gelu", vocab_size=21128, vocabulary=BERT_CHINESE_VOCABULARY, tokenizer=WORDPIECE,
)  # fmt: skip
CLIP_CN_TINY = replace(
    CLIP_CN_VIT_B32, embed_dim=128, image_size=64, vision_width=128, vision_layers=2, vision_heads=2,
    text_width=128, text_layers=2, text_heads=2, text_positions=77, eval_resize="bilinear",
)  # fmt: skip


def _plain(config: ClipConfig) -> ClipConfig:
    return replace(config, vision_activation="gelu", text_activation="gelu")


# The models that every engine offers: name, summary and sizes. open_clip's own models have the plain GELU, and so have
# most weights that were trained with it.
VARIANTS: Mapping[str, tuple[str, ClipConfig]] = {
    "clip-vit-b16": ("OpenAI's ViT-B/16, 150 M parameters", CLIP_VIT_B16),
    "clip-vit-b32": ("OpenAI's ViT-B/32, 151 M parameters", CLIP_VIT_B32),
    "clip-vit-l14": ("OpenAI's ViT-L/14, 428 M parameters", CLIP_VIT_L14),
    "clip-vit-l14-336": ("OpenAI's ViT-L/14@336px, 428 M parameters", CLIP_VIT_L14_336),
    "clip-vit-b16-gelu": ("open_clip's ViT-B-16, plain GELU", _plain(CLIP_VIT_B16)),
    "clip-vit-b32-gelu": ("open_clip's ViT-B-32, plain GELU", _plain(CLIP_VIT_B32)),
    "clip-vit-l14-gelu": ("open_clip's ViT-L-14, plain GELU", _plain(CLIP_VIT_L14)),
    "clip-tiny": ("one million parameters, learns in a minute", CLIP_TINY),
}
# The same with BERT for the texts, of the engines that have one: the model of the reference for Chinese captions.
BERT_VARIANTS: Mapping[str, tuple[str, ClipConfig]] = {
    "clip-cn-vit-b32": ("ViT-B/32 with bert-base-chinese for the texts, 191 M parameters", CLIP_CN_VIT_B32),
    "clip-cn-tiny": ("as small as clip-tiny, with a BERT for Chinese texts", CLIP_CN_TINY),
}
