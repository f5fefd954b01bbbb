"""One file from a server or a folder: resumed after any cut, hashed while it comes, retried with back-off.

pooch gives a file its name once its hash is right. Its own downloader begins anew after every cut and does not wait
as long as a server asks for; the one here is handed to it.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pooch
import requests
import urllib3

from clipbench.errors import NotReadyError
from clipbench.fetch.catalogue import File
from clipbench.fetch.session import CHUNK, Session
from clipbench.files.disk import writing

ELSEWHERE = "take it from another place with --mirror, or get it by hand (--print shows its address and hash)"
_HTML = (b"<!doctype html", b"<html")
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.ProxyError, "the proxy cannot be reached, or refuses"),
    (requests.Timeout, "the server does not answer"),
    (urllib3.exceptions.TimeoutError, "the server has stopped sending"),
    (urllib3.exceptions.ProtocolError, "the connection was cut"),
)


def part_of(target: Path) -> Path:
    """Return where the bytes of ``target`` are kept until all of them are there."""
    return target.with_name(f".{target.name.lstrip('.')}.part")


def check_file(path: Path, file: File) -> None:
    """Raise NotReadyError if what lies at ``path`` is not ``file``."""
    algorithm, _, expected = file.digest.partition(":")
    digest = pooch.file_hash(str(path), alg=algorithm) if path.is_file() else "unknown, for it is not a file"
    if digest != expected:
        advice = "move it away or delete it, then run the same command again to get the right one"
        raise NotReadyError(f"{path}: not the right file: its {algorithm} is {digest}, expected {expected}; {advice}")


def download(file: File, source: str, target: Path, session: Session) -> None:
    """Get ``file`` from ``source``, an address or a path, as ``target``, which then holds the right bytes or is absent.

    What came is kept for the next time, unless it is wrong. Raises NotReadyError that says what to do next, DiskError
    where the disk refuses, StoppedError.
    """
    pooch.get_logger().setLevel("WARNING")
    downloader = _Downloader(file, target, session)
    with writing(f"the download of {file.name}", target, file.size, "--root"):
        try:
            pooch.retrieve(source, file.digest, target.name, target.parent, downloader=downloader)
        except ValueError as error:  # pooch has read it again
            raise NotReadyError(f"{target}: check the disk, which does not hold what was written: {error}") from error


@dataclass(frozen=True)
class _Body:
    """The rest of a file from byte ``start``; ``total`` is the size of the whole file where it is known."""

    start: int
    total: int | None
    chunks: Iterable[bytes]


class _Broken(Exception):
    """A try failed and another one may succeed, after ``wait`` seconds where the server asks for that."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _Downloader:
    """Fills a partial file; pooch calls it with the name that the whole file is to get for pooch's own check."""

    def __init__(self, file: File, target: Path, session: Session) -> None:
        self._file, self._part, self._session = file, part_of(target), session
        self._algorithm, _, self._expected = file.digest.partition(":")
        self._begin()

    def __call__(self, source: str, output_file: str, _: object) -> None:
        """Download ``source`` to ``output_file``; what an earlier try left is continued."""
        Path(output_file).unlink()  # an empty file of pooch's, which a killed process would leave behind
        with self._part.open("a+b") as out:
            out.seek(0)
            while chunk := out.read(CHUNK):
                self._count(chunk)
            self._receive(source, out)
            if self._spliced and not self._matches():  # another file on the server by now, say
                self._session.progress.notice(f"{self._file.name}: the parts do not make up the file; starting again")
                self._restart(out)
                self._receive(source, out)
            out.flush()
            os.fsync(out.fileno())
        if not self._matches():
            self._part.unlink()
            got = f"{self._done:,} bytes, {self._algorithm} {self._hash.hexdigest()}, expected {self._expected}"
            raise self._failure(source, f"this is another file: {got}; nothing of it was kept; {ELSEWHERE}")
        self._part.replace(output_file)

    def _begin(self) -> None:
        self._hash, self._done, self._spliced = hashlib.new(self._algorithm, usedforsecurity=False), 0, False

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._done += len(chunk)

    def _matches(self) -> bool:
        return self._hash.hexdigest() == self._expected

    def _restart(self, out: IO[bytes]) -> None:
        out.truncate(0)
        self._begin()

    def _receive(self, source: str, out: IO[bytes]) -> None:
        """Try until the source's last byte is there, or too often in vain."""
        failures, furthest = 0, self._done
        while not self._matches():
            try:
                return self._try(source, out)
            except _Broken as error:
                failures = failures + 1 if self._done <= furthest else 1
                furthest = max(furthest, self._done)
                self._wait(source, error, failures)

    def _try(self, source: str, out: IO[bytes]) -> None:
        self._spliced = self._done > 0
        with _open(source, self._done, self._session) as body:
            if body.start != self._done:
                self._restart(out)
                if body.start:
                    raise _Broken("the server sent another part of the file than it was asked for")
            total = self._file.size if body.total is None else body.total
            for chunk in body.chunks:
                if not self._done and chunk.lstrip()[:14].lower().startswith(_HTML):
                    what = "a page of HTML came instead of the file, such as a login page or one of a proxy"
                    raise self._failure(source, f"{what}; look at it in a browser; set HTTPS_PROXY, or {ELSEWHERE}")
                out.write(chunk)
                self._count(chunk)
                self._session.moved(self._file.name, self._done, total)
        if self._done < total and not self._matches():
            raise _Broken(f"the connection ended after {self._done:,} of {total:,} bytes")

    def _wait(self, source: str, error: _Broken, failures: int) -> None:
        """Wait before the next try; NotReadyError where there is none."""
        session, wait, end = self._session, error.wait, ""
        if wait is None:
            wait = min(session.first_wait * 2 ** (failures - 1), session.longest_wait)
        elif wait > session.longest_asked:
            end = f"it asks to wait for {wait:.0f} s"
        if failures >= session.tries:
            end = f"given up after {failures} tries in a row without a new byte"
        if end:
            kept = f"{self._done:,} bytes are kept: run the same command again later"
            raise self._failure(source, f"{error}; {end}; {kept}, check network and HTTPS_PROXY, or {ELSEWHERE}")
        again = f"trying again in {wait:.0f} s (try {failures + 1} of {session.tries})"
        session.progress.notice(f"{self._file.name}: {error}; {again}")
        session.wait(wait)

    def _failure(self, source: str, problem: str) -> NotReadyError:
        return NotReadyError(f"{self._file.name}: {source}: {problem}")


@contextmanager
def _open(source: str, offset: int, session: Session) -> Iterator[_Body]:
    """Open an address or a path at byte ``offset``; _Broken where another try may help."""
    try:
        if "://" not in source:
            with Path(source).open("rb") as file:
                file.seek(offset)
                yield _Body(offset, Path(source).stat().st_size, iter(lambda: file.read(CHUNK), b""))
            return
        # As the file lies there: a server may call .gz an encoding, and the file would arrive unpacked.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        with requests.get(source, headers=headers, stream=True, timeout=(session.connect, session.silence)) as response:
            yield _body(source, offset, response)
    except (requests.TooManyRedirects, requests.exceptions.SSLError) as error:
        raise NotReadyError(f"{source}: {error}; {ELSEWHERE}") from error
    except ValueError as error:  # what requests calls an invalid address or proxy
        raise NotReadyError(f"{source}: cannot be opened ({error}); check --mirror and HTTPS_PROXY") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        reasons = [words for kind, words in _REASONS if isinstance(error, kind)]
        raise _Broken([*reasons, "the server cannot be reached"][0]) from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:  # of a mirror's folder
        advice = "put the file there, or leave --mirror and CLIPBENCH_MIRROR out"
        raise NotReadyError(f"{source}: cannot be read ({error.strerror}); {advice}") from error


def _body(source: str, offset: int, response: requests.Response) -> _Body:
    """Return what a response brings; _Broken or NotReadyError where that is not the file."""
    code, status = response.status_code, f"the server says {response.status_code} {response.reason}"
    if code == 416:  # it has no more than what is there, and the hash says whether that is all
        return _Body(offset, offset, ())
    if code in (408, 425, 429) or code >= 500:  # may pass
        wait = None
        with suppress(urllib3.exceptions.InvalidHeader):
            wait = urllib3.Retry().get_retry_after(response.raw)
        raise _Broken(status, wait)
    if code not in (200, 206):
        raise NotReadyError(f"{source}: {status}; {ELSEWHERE}")
    start, total = 0, response.headers.get("Content-Length", "")
    if code == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        start, total = (int(span[1]), span[2]) if span else (-1, "")
    return _Body(start, int(total) if total.isdecimal() else None, response.raw.stream(CHUNK, decode_content=False))
