"""Fetch one known file over HTTP: resumable, checked, and put in its place only when complete. Needs no torch.

What has come so far lies beside the target as ``<name>.part``. It is always a beginning of the file, so a later call
goes on where this one ended: after a cancel, a cut connection or a crash. Only one call at a time fetches a file, also
of several programs: it locks ``<name>.part.lock``.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import selectors
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pspnet_core import __version__
from pspnet_core.atomic import put_in_place, storage_error
from pspnet_core.errors import DownloadError, StorageError
from pspnet_core.file_lock import file_lock
from pspnet_core.remote import RemoteFile, megabytes

__all__ = ["DownloadProgress", "RemoteFile", "download", "megabytes", "part_of"]

_REPORT_S = 0.1
_WAIT_S = 0.15
_CHUNK_BYTES = 1 << 16
_WORTHWHILE_BYTES = 1 << 20  # an attempt that brought this much is not counted as failed
_SPARE_BYTES = 16 << 20  # of the disk, beside the file
_TOLERANCE = 1.1  # of a size that is known approximately
_LENGTH = re.compile(r"[0-9]{1,18}")
_RETRY_LATER = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far it is.

    Attributes:
        done_bytes: Of the file on this disk, those of earlier calls included.
        total_bytes: Of the file; None while the size is unknown.
        attempt: 1, and one more after each cut connection.
    """

    done_bytes: int
    total_bytes: int | None
    attempt: int = 1

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"event": "download", "done": self.done_bytes, "total": self.total_bytes, "attempt": self.attempt}


def part_of(target: Path) -> Path:
    """Where the beginning of ``target`` lies while it is not complete."""
    return target.with_name(target.name + ".part")


def download(
    remote: RemoteFile, target: Path, *, timeout_s: float = 15.0, max_failures: int = 4, pause_s: float = 0.5
) -> Iterator[DownloadProgress]:
    """Fetch ``remote`` to ``target``, which is replaced. Its folder is made.

    Closing the generator cancels: what has come is kept for the next time. After a cut connection it goes on by itself,
    unless nothing had come at all; so it does after an answer that asks for patience (HTTP 503 and the like).

    Args:
        remote: What to fetch.
        target: Where to.
        timeout_s: For the connection, and for the next bytes to come.
        max_failures: Cut connections in a row, each with less than 1 MiB, after which it gives up.
        pause_s: Before the second attempt; doubled before each further one.

    Yields:
        Progress, at most 10 times a second; the last one when the file is in its place. While a body is received that
        says its length, about every 200 ms, also when no bytes come. While a connection is made, or a body comes in
        chunks, up to ``timeout_s`` may pass without one.

    Raises:
        DownloadError: Another call fetches the same file; no connection, an answer that is no such file, a connection
            that is cut again and again (what has come is kept), or a file of another size or checksum than expected (it
            is deleted).
        StorageError: The disk is full (what has come is deleted), or the folder cannot be written.
    """
    transfer = _Transfer(remote, target, timeout_s)
    with _locked(transfer):
        yield from _run(transfer, max_failures, pause_s)


@contextmanager
def _locked(transfer: _Transfer) -> Iterator[None]:
    """Keep everybody else from the part. Raises: DownloadError, StorageError."""
    place = transfer.part.with_name(transfer.part.name + ".lock")
    with ExitStack() as stack:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            is_held = stack.enter_context(file_lock(place))
        except OSError as error:
            raise storage_error(transfer.target, error) from error
        if not is_held:
            raise DownloadError(
                f"{transfer.remote.name} is being downloaded already.",
                f"Another window or program has locked {place}.",
                "Wait until it is done.",
            )
        yield


def _run(transfer: _Transfer, max_failures: int, pause_s: float) -> Iterator[DownloadProgress]:
    transfer.prepare()
    yield from transfer.read_part()
    failures = 0
    while not transfer.is_complete:
        before = transfer.done
        try:
            yield from transfer.fetch()
            continue
        except _CutError as cut:
            failures = 1 if transfer.done - before >= _WORTHWHILE_BYTES else failures + 1
            if not transfer.has_begun or failures > max_failures:
                raise _unreachable(transfer.remote, transfer, str(cut)) from cut
        yield from _pause(pause_s * 2 ** (failures - 1), transfer)
    transfer.finish()
    yield transfer.progress


class _CutError(Exception):
    """The connection failed or ended early; trying again may help."""


class _Transfer:
    """The state of one download: the part that is here, and its running checksum."""

    def __init__(self, remote: RemoteFile, target: Path, timeout_s: float) -> None:
        self.remote, self.target, self.part = remote, target, part_of(target)
        self.done = 0
        self.total = remote.num_bytes
        self.attempt = 0
        self.is_complete = False
        self.has_begun = False  # the server has answered once
        self._timeout_s = timeout_s
        self._sha256 = hashlib.sha256()
        self._reported_s = 0.0

    @property
    def progress(self) -> DownloadProgress:
        return DownloadProgress(self.done, self.total, max(1, self.attempt))

    def prepare(self) -> None:
        """Fail when the file cannot fit. Raises: StorageError."""
        try:
            size = self.part.stat().st_size if self.part.exists() else 0
            if self.total is not None and size > self.total:
                self.part.unlink()
                size = 0
        except OSError as error:
            raise storage_error(self.target, error) from error
        wanted = self.total or self.remote.about_bytes
        if wanted is not None:
            self._check_space(wanted - size)

    def read_part(self) -> Iterator[DownloadProgress]:
        """Take up what an earlier call has left. Raises: StorageError."""
        yield self.progress
        if not self.part.exists():
            return
        try:
            with open(self.part, "rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES * 16):
                    self._sha256.update(chunk)
                    self.done += len(chunk)
                    yield from self._report()
        except OSError as error:
            raise storage_error(self.part, error) from error
        self.is_complete = self.done > 0 and self.done == self.total

    def fetch(self) -> Iterator[DownloadProgress]:
        """One connection: fetch what is missing. Raises: _CutError, DownloadError, StorageError."""
        self.attempt += 1
        response = self._request()
        self.has_begun = True
        if response is None:
            self.is_complete = True
            return
        with response:
            self._agree_on_size(response)
            try:
                with open(self.part, "ab", buffering=0) as stream:
                    yield from self._receive(response, stream)
            except OSError as error:
                raise self._unwritable(error) from error
        if self.total is not None and self.done < self.total:
            raise _CutError(f"The connection ended after {self.done} of {self.total} bytes.")
        self.is_complete = True

    def finish(self) -> None:
        """Check the whole, and put it in its place. Raises: DownloadError, StorageError."""
        found = self._sha256.hexdigest()
        if not found.startswith(self.remote.sha256):
            self._forget()
            raise DownloadError(
                f"{self.remote.name} is not the file that was expected; it was deleted.",
                f"{self.remote.url} gave {self.done} bytes with the SHA-256 {found}; "
                f"expected {self.remote.sha256}{'…' if len(self.remote.sha256) < 64 else ''}.",
                "Try again. If it happens again, the file at this address has changed or something on the way changes "
                "it: get the file from elsewhere, and point to it.",
            )
        try:
            with open(self.part, "rb+") as stream:
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        put_in_place(self.part, self.target)
        self.total = self.done

    def _request(self) -> http.client.HTTPResponse | None:
        """The answer to the wish for what is missing; None when nothing is. Raises: _CutError, DownloadError."""
        headers = {"User-Agent": f"pspnet-studio/{__version__}", "Accept-Encoding": "identity"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
        request = urllib.request.Request(self.remote.url, headers=headers)
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            error.close()
            self._after_refusal(error)
            return None
        except (OSError, http.client.HTTPException) as error:
            raise _CutError(_reason(error)) from error
        content_range = response.headers.get("Content-Range") or ""
        if response.status == 200:
            self._forget()  # it ignores the wish for the rest: from the start
        elif response.status != 206 or not content_range.startswith(f"bytes {self.done}-"):
            response.close()
            raise self._refused(f"The server answered: {response.status} {content_range}.")
        return response

    def _after_refusal(self, error: urllib.error.HTTPError) -> None:
        """Returns when nothing is missing. Raises: _CutError when trying again may help, DownloadError."""
        answer = f"The server answered: {error.code} {error.reason}."
        if error.code == 416 and self.done:
            if (error.headers.get("Content-Range") or "") == f"bytes */{self.done}":
                return
            self._forget()  # what is here is longer than the file there
        elif error.code not in _RETRY_LATER:
            raise self._refused(answer) from error
        self.has_begun = True
        raise _CutError(answer) from error

    def _agree_on_size(self, response: http.client.HTTPResponse) -> None:
        length = response.headers.get("Content-Length")
        total = self.done + int(length) if length and _LENGTH.fullmatch(length) else None
        if self.remote.num_bytes is not None and total not in (None, self.remote.num_bytes):
            raise self._refused(f"The file there has {total} bytes; expected {self.remote.num_bytes}.")
        if self.remote.num_bytes is None and total is not None:
            if self._most is not None and total > self._most:
                raise self._refused(f"The file there has {total} bytes; expected about {self.remote.about_bytes}.")
            self._check_space(total - self.done)
        self.total = self.remote.num_bytes or total

    @property
    def _most(self) -> int | None:
        """How large the file may be where only its approximate size is known."""
        return None if self.remote.about_bytes is None else int(self.remote.about_bytes * _TOLERANCE)

    def _check_space(self, missing: int) -> None:
        """Fail when ``missing`` bytes do not fit. Raises: StorageError."""
        try:
            free = shutil.disk_usage(self.target.parent).free
        except OSError as error:
            raise storage_error(self.target, error) from error
        if missing + _SPARE_BYTES > free:
            raise StorageError(
                f"There is not enough space for {self.remote.name}.",
                f"{self.target.parent} has {megabytes(free)} left; {megabytes(missing)} are still to come, and "
                f"{megabytes(_SPARE_BYTES)} should stay free.",
                "Free some space, and try again.",
            )

    def _receive(self, response: http.client.HTTPResponse, stream: IO[bytes]) -> Iterator[DownloadProgress]:
        """Append what comes to the part, until it is complete or the connection ends."""
        deadline_s = time.monotonic() + self._timeout_s
        for chunk in _chunks(response):
            if chunk:
                self._check_room(len(chunk))
                _append(stream, chunk)
                self._sha256.update(chunk)
                self.done += len(chunk)
                deadline_s = time.monotonic() + self._timeout_s
            elif time.monotonic() > deadline_s:
                raise _CutError(f"Nothing came for {self._timeout_s:.0f} s.")
            yield from self._report()
            if self.done == self.total:
                return

    def _check_room(self, more: int) -> None:
        """A body without an end must not fill the disk. Raises: DownloadError."""
        limit = self.total or self._most
        if limit and self.done + more > limit:
            self._forget()
            raise self._refused(f"More than {limit} bytes came.")

    def _report(self) -> Iterator[DownloadProgress]:
        now_s = time.monotonic()
        if now_s - self._reported_s >= _REPORT_S:
            self._reported_s = now_s
            yield self.progress

    def _forget(self) -> None:
        """Begin at the start again."""
        try:
            self.part.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(self.part, error) from error
        self.done, self._sha256 = 0, hashlib.sha256()

    def _refused(self, detail: str) -> DownloadError:
        return DownloadError(
            f"{self.remote.name} could not be downloaded.",
            f"{self.remote.url}: {detail}",
            "Get the file from elsewhere, and point to it; or try again later.",
        )

    def _unwritable(self, error: OSError) -> StorageError:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return storage_error(self.part, error)
        self._forget()
        return StorageError(
            f"The disk is full: {self.remote.name} could not be downloaded.",
            f"{self.target.parent}: {error.strerror}. What had come was deleted.",
            f"Free some space ({self.remote.size_text}), and try again.",
        )


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes; empty bytes after each 150 ms in which nothing did. Raises: _CutError."""
    # The first read takes what came with the headers, the second what is left of an encrypted record that they were
    # in: the selector sees neither. A body in chunks has bytes between them that are read ahead.
    unseen = 2
    waits = response.headers.get("Transfer-Encoding") is None
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(response, selectors.EVENT_READ)
            while True:
                if waits and unseen <= 0 and not selector.select(_WAIT_S):
                    yield b""
                    continue
                unseen -= 1
                if not (chunk := response.read1(_CHUNK_BYTES)):
                    return
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(_reason(error)) from error


def _append(stream: IO[bytes], data: bytes) -> None:
    """Write all of ``data`` to an unbuffered file."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _pause(seconds: float, transfer: _Transfer) -> Iterator[DownloadProgress]:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(_WAIT_S, left_s))
        yield transfer.progress


def _reason(error: Exception) -> str:
    """What a failed connection says, in one line."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "The server did not answer in time."
    text = (isinstance(inner, OSError) and inner.strerror) or str(inner) or type(inner).__name__
    return f"{text}."


def _unreachable(remote: RemoteFile, transfer: _Transfer, reason: str) -> DownloadError:
    if not transfer.done:
        return DownloadError(
            f"{remote.name} could not be downloaded.",
            f"{remote.url}: {reason}",
            "Check the connection to the internet and try again; or get the file from elsewhere, and point to it.",
        )
    return DownloadError(
        f"{remote.name} could not be downloaded completely.",
        f"{remote.url}: {reason} {megabytes(transfer.done)} are kept in {transfer.part}.",
        "Try again: it goes on where it ended.",
    )
