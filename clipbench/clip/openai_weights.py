"""Published weights, identified by the hashes in their download addresses or names.

OpenAI's: openai/CLIP, clip/clip.py. open_clip's: mlfoundations/open_clip, src/open_clip/pretrained.py.
"""

from pathlib import PurePath

from clipbench.clip.config import BERT_CHINESE_VOCABULARY, OPENAI_VOCABULARY

# Model, file name, sha256.
PUBLISHED = (
    ("RN50", "RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),
    ("RN101", "RN101.pt", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"),
    ("RN50x4", "RN50x4.pt", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"),
    ("RN50x16", "RN50x16.pt", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"),
    ("RN50x64", "RN50x64.pt", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"),
    ("ViT-B/32", "ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
    ("ViT-B/16", "ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),
    ("ViT-L/14", "ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),
    ("ViT-L/14@336px", "ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"),
)
# Of open_clip's, a file's name ends with the first eight digits of its hash.
OPEN_CLIP = (("ViT-B-16 laion400m_e32", "vit_b_16-laion400m_e32-55e67d44.pt", "55e67d44"),)
_NAMED = (
    *((f"OpenAI {model}", f"OpenAI's {model}", file, known) for model, file, known in PUBLISHED),
    *((f"open_clip {model}", f"open_clip's {model}", file, known) for model, file, known in OPEN_CLIP),
)

# What `clipbench fetch` calls the archives that it gets, and the vocabularies.
FETCHED = {
    "ViT-B-16.pt": "clip-vit-b16",
    "ViT-B-32.pt": "clip-vit-b32",
    "ViT-L-14.pt": "clip-vit-l14",
    "ViT-L-14-336px.pt": "clip-vit-l14-336",
    OPENAI_VOCABULARY: "clip-vocabulary",
    BERT_CHINESE_VOCABULARY: "bert-chinese-vocabulary",
}


def archive_name(name: str) -> str | None:
    """Return OpenAI's file for weights called ``name``: ``ViT-B-16.pt`` for that itself and ``ViT-B-16-OpenAI.pth``.

    The second is what a state dict saved from it is called in the published suites. None where it is none of these.
    """
    stem = PurePath(name).name.partition(".")[0].removesuffix("-OpenAI")
    return next((file for _, file, _ in PUBLISHED if file == f"{stem}.pt"), None)


def published_name(sha256: str) -> str | None:
    """Return the model whose published file has this hash, or None; a state dict that was saved again has another."""
    return next((name for name, _, _, known in _NAMED if sha256.startswith(known)), None)


def claims_to_be_published(name: str) -> bool:
    """Return whether a file is called like a published one."""
    return any(name == file for _, _, file, _ in _NAMED)


def published_warning(name: str, sha256: str) -> str | None:
    """Return a warning for a file that has the name of a published one and another hash, or None."""
    for _, whose, file, known in _NAMED:
        if name == file and not sha256.startswith(known):
            return (
                f"weights {name}: called like {whose} but not that file: its sha256 is {sha256}, "
                f"the published one {'is' if len(known) == len(sha256) else 'begins with'} {known}; "
                "a download cut short, or saved again"
            )
    return None
