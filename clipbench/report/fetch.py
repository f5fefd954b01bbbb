"""What ``clipbench fetch`` shows: the catalogue, terms, addresses, and how the downloads go."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from clipbench.api import Missing
from clipbench.fetch.catalogue import Catalogue, Item
from clipbench.fetch.fetching import Job
from clipbench.files.disk import size_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

# A plain log stays readable: one line in so many seconds for each file.
PLAIN_SECONDS = 10.0
WIDTH = 78


def catalogue_text(catalogue: Catalogue) -> str:
    """Return what can be fetched: size, licence, origin and, for each file, its hash and address."""
    return "\n\n".join("\n".join(_item_lines(item)) for item in catalogue.values())


def _item_lines(item: Item) -> list[str]:
    size = size_text(sum(file.size for file in item.files))
    lines = [item.name, f"  {item.summary}", f"  size: {size}; licence: {item.licence}", f"  origin: {item.origin}"]
    for file in item.files:
        goes_to = "unpacked into the data root" if file.archive else (file.folder or "the data root")
        lines += [f"  {file.name} ({size_text(file.size)}, {goes_to})", f"    {file.digest}", f"    {file.url}"]
    return lines


def terms_text(jobs: Sequence[Job]) -> str:
    """Return what is about to be downloaded, from where, and under which terms."""
    items: dict[str, Item] = {job.item.name: job.item for job in jobs}
    lines = []
    for item in items.values():
        size = size_text(sum(job.file.size for job in jobs if job.item.name == item.name))
        lines.append(f"{item.name}: {item.summary} ({size} to download)")
        lines += [f"  from {job.source}" for job in jobs if job.item.name == item.name]
        lines += [f"  to   {root}" for root in dict.fromkeys(job.root for job in jobs if job.item.name == item.name)]
        lines.append(f"  licence: {item.licence}")
        lines += textwrap.wrap(item.terms, WIDTH, initial_indent="  terms: ", subsequent_indent="    ")
    return "\n".join([*lines, f"to download in all: {size_text(sum(job.file.size for job in jobs))}"])


def addresses_text(jobs: Sequence[Job]) -> str:
    """Return address, size and hash of each file, as ``aria2c --input-file`` reads it: what follows # is for people."""
    return "\n".join(line for job in jobs for line in _address_lines(job))


def _address_lines(job: Job) -> list[str]:
    algorithm, _, digest = job.file.digest.partition(":")
    return [
        f"# {job.item.name}: {job.file.name}, {size_text(job.file.size)}, {algorithm} {digest}, to {job.place}",
        job.source,
        f"  out={job.file.name}",
        f"  checksum={algorithm.replace('sha256', 'sha-256')}={digest}",
    ]


def missing_text(missing: Iterable[Missing]) -> str:
    """Return what a suite still lacks and fetch cannot get."""
    lines = [f"{one.what}: looked for in {one.looked_in}; {one.source}" for one in missing]
    return "still missing, and not to be had by fetch:\n" + "\n".join(f"  {line}" for line in lines)


def make_fetch_progress() -> PlainFetchProgress:
    """Return a live display on a terminal, plain lines elsewhere."""
    live = sys.stdout.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb"
    return LiveFetchProgress() if live else PlainFetchProgress()


class PlainFetchProgress:
    """One line for each thing that happens, and one in ten seconds for each file under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[str, tuple[float, int]] = {}  # when a file was last shown, and how far it was then

    def __enter__(self) -> PlainFetchProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def moved(self, name: str, done: int, total: int) -> None:
        """Show how far a file is, if its last line is ten seconds old."""
        now = time.monotonic()
        since, before = self._shown.setdefault(name, (now, done))
        if now - since >= PLAIN_SECONDS:
            self._shown[name] = now, done
            speed = (done - before) / (now - since)
            left = f", {_clock((total - done) / speed)} left" if speed > 0 else ""
            share = f"{done / total:.0%} of {size_text(total)}" if total else size_text(done)
            self.notice(f"{name}: {share}, {size_text(round(speed))} per s{left}")

    def notice(self, text: str) -> None:
        """Show one line."""
        with self._lock:
            print(text, flush=True)


class LiveFetchProgress(PlainFetchProgress):
    """A bar for each file, with speed and time left."""

    def __init__(self, console: Console | None = None) -> None:
        from rich import progress as bars

        super().__init__()
        columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.DownloadColumn())
        times = (bars.TransferSpeedColumn(), bars.TimeRemainingColumn())
        self._bars = bars.Progress(*columns, *times, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> LiveFetchProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def moved(self, name: str, done: int, total: int) -> None:
        """Move a file's bar."""
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=total, completed=done)
        self._bars.update(self._tasks[name], total=total, completed=done, visible=done < total)

    def notice(self, text: str) -> None:
        """Show one line above the bars."""
        self._bars.console.print(text, soft_wrap=True, highlight=False, markup=False)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
