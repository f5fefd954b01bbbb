"""The work: files that are there are checked, others downloaded, several at once, and archives unpacked."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import quote

from clipbench.errors import ClipbenchError, ExitCode, NotReadyError, StoppedError, UsageError
from clipbench.fetch.catalogue import File, Item
from clipbench.fetch.download import check_file, download, part_of
from clipbench.fetch.session import Session
from clipbench.fetch.unpack import unpack
from clipbench.files.disk import DiskError, free_bytes, size_text, writing
from clipbench.files.lock import wait_for_lock

GRACE = 2.0  # seconds that downloads have to end after Ctrl-C; one that waits for a server may not notice


@dataclass(frozen=True)
class Job:
    """One file of an item and the data root that it goes to; ``source`` is an address or a path."""

    item: Item
    file: File
    root: Path
    source: str

    @property
    def place(self) -> Path:
        """Where the file lies in the end, and where one that was brought by hand is looked for."""
        return self.file.place(self.root)

    @property
    def target(self) -> Path:
        """Where a download goes: an archive gets a name of its own, so that those brought by hand are told apart."""
        return self.place.with_name(f".{self.file.name}") if self.file.archive else self.place

    def unpacked(self) -> bool:
        """Return whether this is an archive whose files are there already."""
        return self.file.archive is not None and self.file.archive.unpacked_in(self.root)

    def to_download(self) -> bool:
        """Return whether the file has to come from somewhere else."""
        return not (self.unpacked() or self.place.exists() or self.target.exists())

    def kept(self) -> int:
        """Return how many bytes an earlier download left."""
        part = part_of(self.target)
        return part.stat().st_size if part.is_file() else 0


def make_jobs(items: Sequence[tuple[Item, Path]], mirror: str | None) -> list[Job]:
    """Return one job for each file; ``mirror`` is an address or a folder that has the files under their own names."""
    return [Job(item, file, root, _source(file, mirror)) for item, root in items for file in item.files]


def _source(file: File, mirror: str | None) -> str:
    if not mirror:
        return file.url
    if mirror.lower().startswith(("http://", "https://")):
        return f"{mirror.rstrip('/')}/{quote(file.name)}"
    folder = Path(mirror).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"--mirror {mirror}: no such folder; expected a folder, or an http:// or https:// address")
    return str(folder / file.name)


def fetch(jobs: Sequence[Job], session: Session) -> None:
    """Do all jobs, several at once. A job that fails leaves the others to their end, and its error is raised then.

    Raises NotReadyError (DiskError before anything is downloaded where the disk is too small), and StoppedError on
    Ctrl-C; whatever came is kept for the next time.
    """
    errors: list[BaseException] = []
    for root in sorted({job.root for job in jobs}):
        here = [job for job in jobs if job.root == root]
        waiting = f"{root}: another fetch is at work there; waiting for its end"
        with writing("the files", root, sum(job.file.size for job in here), "--root"):
            root.mkdir(parents=True, exist_ok=True)
            with wait_for_lock(root / ".fetch.lock", partial(session.progress.notice, waiting)):
                _require_room(here, root)
                errors += _do_all(here, session)
    if errors:
        unexpected = [error for error in errors if not isinstance(error, ClipbenchError)]
        raise unexpected[0] if unexpected else NotReadyError("\n".join(map(str, errors)))


def _require_room(jobs: Sequence[Job], root: Path) -> None:
    needed = sum(max(job.file.size - job.kept(), 0) for job in jobs if job.to_download())
    needed += sum(job.file.archive.bytes for job in jobs if job.file.archive and not job.unpacked())
    if (free := free_bytes(root)) is not None and needed > free:
        problem = f"{size_text(needed)} are needed for download and unpacking, {size_text(free)} are free there"
        raise DiskError(f"{root}: {problem}; make room there, or give another folder with --root")


def _do_all(jobs: Sequence[Job], session: Session) -> list[BaseException]:
    """Do the jobs in threads; return what went wrong. StoppedError on Ctrl-C."""
    outcomes: SimpleQueue[BaseException | None] = SimpleQueue()
    # Daemons: Ctrl-C does not wait for a server that keeps silent. What is written by then is continued next time.
    threads = [threading.Thread(target=_work, args=(job, session, outcomes), daemon=True) for job in jobs]
    try:
        for thread in threads:
            thread.start()
        return [error for error in [outcomes.get() for _ in jobs] if error]
    except KeyboardInterrupt:
        session.stop.set()
        for thread in threads:
            thread.join(GRACE)
        kept = [
            f"{job.file.name} ({size_text(job.kept())} of {size_text(job.file.size)})" for job in jobs if job.kept()
        ]
        message = f"interrupted; kept unfinished: {', '.join(kept) or 'nothing'}; the same command continues from there"
        raise StoppedError(message, ExitCode.INTERRUPTED) from None


def _work(job: Job, session: Session, outcomes: SimpleQueue[BaseException | None]) -> None:
    try:
        with session.slots:
            session.wait(0)
            _do(job, session)
        outcomes.put(None)
    except BaseException as error:
        outcomes.put(error)


def _do(job: Job, session: Session) -> None:
    """Do one job: what is there already is checked and used, never replaced."""
    file, notice = job.file, session.progress.notice
    if job.unpacked():
        return notice(f"{file.name}: its files are in {job.root} already")
    by_hand = job.place.exists()
    if by_hand:
        check_file(job.place, file)
        notice(f"{job.place}: there already, and the right file")
    else:
        download(file, job.source, job.target, session)
        notice(f"{file.name}: downloaded and checked")
    if file.archive is None:
        return None
    unpack(job.place if by_hand else job.target, job.root, file.archive, session)
    if not by_hand:
        job.target.unlink()
    if not job.unpacked():
        names = ", ".join(file.archive.creates)
        raise NotReadyError(f"{job.root}: {file.name} is unpacked, but was expected to make all of {names}")
    return notice(f"{file.name}: unpacked into {job.root}")
