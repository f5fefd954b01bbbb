"""The section of the page, filled; its small pictures follow when the rest of the page is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clipbench.api.result import Result
from clipbench.errors import InvalidFileError
from clipbench.report.gallery.drawing import HEIGHT, WIDTH, histogram_drawing, matrix_png
from clipbench.report.gallery.showing import SIDES, Pictured, changed, pictured
from clipbench.report.gallery.thumbnails import PLACE, Thumbnails
from clipbench.report.html import html_environment, marked, template_text

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True)
class Gallery:
    """The section as HTML, "" where there is nothing to show; ``problems`` name each file that was refused."""

    section: Markup | str = ""
    problems: tuple[str, ...] = ()
    thumbnails: Thumbnails = field(default_factory=Thumbnails)

    def complete(self, page: str) -> str:
        """Return the page that the section is in with the small pictures that fit into it."""
        return self.thumbnails.put_into(page) if self.section else page


def gallery(runs: Sequence[tuple[str, Result]], places: Mapping[str, Sequence[str]]) -> Gallery:
    """Return what the ``runs`` (label, result) have retrieved; ``places`` has the paths of each's files by its run id.

    A result without any is left out; one whose file is not beside it is named.
    """
    thumbnails, shown, absent, problems = Thumbnails(), list[Pictured](), list[tuple[str, str]](), list[str]()
    for label, result in runs:
        try:
            one, why = pictured(label, result, list(map(Path, places.get(result.run_id, ()))), thumbnails)
        except InvalidFileError as error:
            problems.append(str(error))
            continue
        if one is not None:
            shown.append(one)
        elif why:
            absent.append((label, why))
    try:
        section = _section(shown, absent, thumbnails) if shown or absent else ""
    except InvalidFileError as error:  # a picture that is none: its file has the hash of the result, so all is doubtful
        return Gallery(problems=(*problems, str(error)))
    return Gallery(section, tuple(problems), thumbnails)


def _section(shown: Sequence[Pictured], absent: Sequence[tuple[str, str]], thumbnails: Thumbnails) -> Markup:
    runs = [
        {
            "label": one.label,
            "data": one.reader.retrieved,
            "shelves": one.shelves(),
            "histogram": histogram_drawing(one.reader.retrieved.histogram),
            "matrix": matrix_png(one.reader.retrieved.matrix),
        }
        for one in shown
    ]
    template = html_environment().get_template("gallery/gallery.html")
    return marked(
        template.render(
            runs=runs,
            changes=list(changed(shown)),
            absent=absent,
            terms=list(dict.fromkeys(one.reader.retrieved.terms for one in shown if one.reader.retrieved.terms)),
            sides=SIDES,
            plot=(WIDTH, HEIGHT),
            style=marked(template_text("gallery/gallery.css")),
            place=marked(PLACE),
        )
    )
