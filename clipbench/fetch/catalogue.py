"""What ``clipbench fetch`` can get: files with address, size, hash and licence, and their place in a data root."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clipbench.api.plain import from_plain
from clipbench.files.yaml_file import read_yaml

SHIPPED = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True)
class Archive:
    """What a zip holds: about so many ``bytes`` and ``files`` once unpacked.

    ``creates`` maps each file or folder that unpacking makes in the data root to its least number of files.
    """

    bytes: int
    files: int
    creates: Mapping[str, int]

    def unpacked_in(self, root: Path) -> bool:
        """Return whether everything that the archive holds lies in ``root``."""
        return all(_count(root / name) >= least for name, least in self.creates.items())


@dataclass(frozen=True)
class File:
    """One file to download: ``size`` in bytes, for display and the disk check alone; ``digest`` as ``sha256:HEX``.

    The digest alone decides whether a file is the right one. ``folder`` is relative to the data root.
    """

    url: str
    size: int
    digest: str
    folder: str = ""
    archive: Archive | None = None

    @property
    def name(self) -> str:
        """The file's name: the last part of its address."""
        return self.url.rpartition("/")[2]

    def place(self, root: Path) -> Path:
        """Return where the file lies in a data root."""
        return root / self.folder / self.name


@dataclass(frozen=True)
class Item:
    """Files that are got together, under one ``name`` and one licence."""

    name: str
    summary: str
    origin: str
    licence: str
    terms: str
    files: tuple[File, ...]


Catalogue = Mapping[str, Item]


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Return the items in a catalogue file, by name; None is the one that ships."""
    return {item.name: item for item in (from_plain(Item, data) for data in read_yaml(path or SHIPPED).data)}


def _count(path: Path) -> int:
    return sum(1 for _ in path.iterdir()) if path.is_dir() else int(path.is_file())
