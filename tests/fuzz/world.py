"""What the kinds of trials work with: chance, valid files, an empty folder, words of commands."""

import contextlib
import random
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutations import borrow, change, damaged, encoded

FORMATS = ("table", "json", "markdown", "junit", "github")


@dataclass(frozen=True)
class Trial:
    """What was done, the command that has to survive it, and whether that may say that all is well."""

    what: str
    words: tuple
    may_pass: bool = True


@dataclass(frozen=True)
class World:
    """What a kind of trial works with: its source of chance, the valid files, an empty folder."""

    random: random.Random
    materials: object
    folder: Path

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)  # a pipe or a link of an earlier change
        path.write_bytes(content)
        return path

    def changed(self, source, seal, borrowed=0):
        """Return the bytes of a valid JSON file after a few changes, and what they were.

        ``seal`` takes the digest anew, mostly: as one who forges a file would. Up to ``borrowed`` sections come from
        the good result, mostly: too few to make it a good one.
        """
        data, done = self.materials.data(source), []
        if self.random.random() < 0.1:
            return damaged(self.random, self.materials.texts[source].encode())
        if borrowed and self.random.random() < 0.6:
            done.append(borrow(self.random, data, self.materials.data(self.materials.good), borrowed))
        for _ in range(self.random.choice((1, 1, 1, 2, 3)) - bool(done)):
            with contextlib.suppress(AttributeError, TypeError, OverflowError):
                done.append(change(self.random, data))
        if self.random.random() < 0.8:
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                seal(data)
                done.append("sealed")
        content, way = encoded(self.random, data)
        return content, "; ".join([*done, way])

    def judged(self, *paths):
        """Return the words that judge ``paths`` by a reference or the baseline, in some format."""
        against = () if self.random.random() < 0.5 else self.adopted()
        return ("compare", *paths, *against, *self.form())

    def adopted(self):
        return ("--baseline", "adopted", "--baselines", self.materials.baseline.parent)

    def form(self):
        return self.random.choice(((), *(("--format", form) for form in FORMATS)))
