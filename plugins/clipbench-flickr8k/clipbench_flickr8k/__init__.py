"""Picture-caption pairs for clipbench: ``flickr8k`` (or any data in its layout) and the generated ``shapes``.

Hooks only: what reads or draws pictures is imported when a case needs it, not when plugins are listed.
"""

from __future__ import annotations

from clipbench.api import DatasetSpec, hookimpl


@hookimpl
def clipbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "flickr8k",
            "Flickr8k, or any data in its layout",
            "clipbench_flickr8k.flickr8k:Flickr8k",
            layout="datasets/*.json",
            check="clipbench_flickr8k.checking:check_root",
        ),
        DatasetSpec("shapes", "generated pictures of coloured shapes; no download", "clipbench_flickr8k.shapes:Shapes"),
    ]
