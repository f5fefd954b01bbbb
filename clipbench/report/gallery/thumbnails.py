"""Small pictures in a page: each is in it once, however often it is shown, as long as there is room."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field

# Where the pictures go in a page that is otherwise complete.
PLACE = "<!-- small pictures -->"
MOST_PAGE_BYTES = 5_000_000


@dataclass
class Thumbnails:
    """The small pictures (JPEG) that a page shows, in the order in which they were first asked for."""

    _keys: dict[bytes, str] = field(default_factory=dict)

    def add(self, jpeg: bytes | None) -> str:
        """Return the key of a picture, "" where there is none."""
        return "" if jpeg is None else self._keys.setdefault(jpeg, f"picture{len(self._keys)}")

    def put_into(self, page: str) -> str:
        """Return ``page`` with the pictures in it that fit: it stays below MOST_PAGE_BYTES, and says what is left out.

        The pictures stand at PLACE, for the page to show them by their keys.
        """
        room = MOST_PAGE_BYTES - len(page.encode()) - 500
        kept = list(self._fitting(room))
        stored = f'<svg class="store" width="0" height="0" aria-hidden="true"><defs>{"".join(kept)}</defs></svg>'
        left_out = len(self._keys) - len(kept)
        if left_out:
            whole = f"{MOST_PAGE_BYTES / 1e6:.0f} MB"
            stored += (
                f"<p><b>{left_out:,} of {len(self._keys):,} pictures are left out:</b> a page stays below {whole}.</p>"
            )
        return page.replace(PLACE, stored, 1)

    def _fitting(self, room: int) -> Iterator[str]:
        for jpeg, key in self._keys.items():
            data = base64.b64encode(jpeg).decode("ascii")
            element = f'<image id="{key}" width="96" height="72" href="data:image/jpeg;base64,{data}"/>'
            room -= len(element)
            if room < 0:
                return
            yield element
