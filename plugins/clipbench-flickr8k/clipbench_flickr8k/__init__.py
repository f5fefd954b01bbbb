"""Data for clipbench: ``flickr8k``, ``flickr30k``, ``coco``, ``imagefolder``, and the generated ``shapes``.

Hooks only: what reads or draws pictures is imported when a case needs it, not when plugins are listed.
"""

from __future__ import annotations

from clipbench.api import DatasetSpec, hookimpl


@hookimpl
def clipbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "flickr8k",
            "Flickr8k in the layouts that people have, or any data in the published one",
            "clipbench_flickr8k.flickr8k:Flickr8k",
            layouts=(
                "datasets/*.json",
                "Flickr8k.token.txt",
                "Flickr8k_text/Flickr8k.token.txt",
                "captions.txt",
                "dataset_flickr8k.json",
                "flickr8k_*_karpathy.txt",
            ),
            check="clipbench_flickr8k.validating:check_flickr8k",
        ),
        DatasetSpec(
            "flickr30k",
            "Flickr30k by Karpathy's JSON",
            "clipbench_flickr8k.flickr8k:Flickr30k",
            layouts=("dataset_flickr30k.json", "flickr30k_*_karpathy.txt"),
            check="clipbench_flickr8k.validating:check_flickr30k",
        ),
        DatasetSpec(
            "coco",
            "COCO (2014) by Karpathy's JSON",
            "clipbench_flickr8k.flickr8k:Coco",
            layouts=("dataset_coco.json", "coco_*_karpathy.txt"),
            check="clipbench_flickr8k.validating:check_coco",
        ),
        DatasetSpec(
            "imagefolder",
            "pictures in one folder for each class, to classify",
            "clipbench_flickr8k.imagefolder:ImageFolder",
        ),
        DatasetSpec("shapes", "generated pictures of coloured shapes; no download", "clipbench_flickr8k.shapes:Shapes"),
    ]
