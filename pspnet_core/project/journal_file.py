"""A file that only grows: appended to, synced, cut back where an append failed halfway, held by one session."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from pspnet_core import atomic
from pspnet_core.file_lock import is_at, try_lock

ASIDE = ".aside"
"""Is put behind the name of a journal that does not fit its mask but holds strokes that are nowhere else."""

_MARK_BYTES = 64
"""The end of a journal, which holds the number and the checksum of its last record, is in no other one."""


class JournalFile:
    """One journal file; every method may raise ``OSError`` or ``StorageError``, and can then be called again.

    Args:
        path: Where it lies, or will lie.

    Attributes:
        path: Where it lies; another name is taken when another file has come to lie there.
        size: Bytes that hold whole records.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._stem = path.stem
        self._stream: IO[bytes] | None = None
        self._mark: tuple[int, bytes] | None = None  # number of the file, and what is before ``size`` in it

    def open(self) -> bool:
        """Go on with it; False when it has to be begun anew: it is not there any more, or another file is.

        Raises:
            BlockingIOError: Somebody looks at it just now.
        """
        if self._stream is not None:
            if self._is_there(self._stream):
                return True
            self.close()
        if not self.size:
            return False
        try:
            stream = open(self.path, "r+b", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            return False
        if self._mark_of(stream) != self._mark:  # also where it is shorter: nothing may be written over there
            stream.close()
            self._leave()
            return False
        if not try_lock(stream.fileno()):
            stream.close()
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._stream = stream
        return True

    def create(self, data: bytes) -> None:
        """Begin it with ``data``, in place of what is there."""
        self.close()
        atomic.write_bytes(self.path, data)
        self.adopt(len(data))
        if self._stream is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def adopt(self, size: int) -> None:
        """Go on with a file that was just put in its place."""
        self.close()
        stream = open(self.path, "r+b", buffering=0)  # noqa: SIM115
        self._remember(stream, size)
        if try_lock(stream.fileno()):
            self._stream = stream
        else:  # somebody looks at it just now: see open()
            stream.close()

    def take_over(self, other: Path, size: int, file_size: int) -> bool:
        """Let the journal of a session that has ended become this one; False when it has not, or somebody was faster.

        Args:
            other: Its file.
            size: Bytes of it that hold whole records.
            file_size: Bytes that it had when that was found out.
        """
        if not self._hold(other, file_size):
            return False
        if other.stat().st_size != file_size:  # another session was there meanwhile
            self.close()
            return False
        if other != self.path:
            if os.name == "nt":
                self.close()  # there an open file keeps its name
            try:
                os.replace(other, self.path)
            except FileNotFoundError:
                self.close()
                return False
            atomic.sync_folder(self.path.parent)
            if os.name == "nt" and not self._hold(self.path, file_size):
                return False
        assert self._stream is not None
        self._remember(self._stream, size)
        return True

    def append(self, data: bytes, *, is_synced: bool = True) -> None:
        """Add whole records, and bring them to the disk; where that fails nothing was added."""
        stream = self._stream
        assert stream is not None, "open it first"
        stream.truncate(self.size)  # what an append left behind that failed
        stream.seek(self.size)
        view = memoryview(data)
        while view:
            view = view[stream.write(view) :]
        if is_synced:
            os.fsync(stream.fileno())
        assert self._mark is not None
        self.size += len(data)
        self._mark = self._mark[0], (self._mark[1] + data[-_MARK_BYTES:])[-_MARK_BYTES:]

    def read(self, offset: int, size: int) -> bytes:
        """A part of it."""
        assert self._stream is not None, "open it first"
        self._stream.seek(offset)
        data = self._stream.read(size)
        if len(data) != size:
            raise OSError(f"{len(data)} bytes read where {size} were written")
        return data

    def close(self) -> None:
        """Let go of it until the next :meth:`open`."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _is_there(self, stream: IO[bytes]) -> bool:
        """Whether an open file is the one that lies there, and as long as it was."""
        try:
            return is_at(stream.fileno(), self.path) and os.fstat(stream.fileno()).st_size >= self.size
        except OSError:
            self.close()  # of a drive that is away: it never answers again, its file does
            raise

    def _remember(self, stream: IO[bytes], size: int) -> None:
        self.size = size
        self._mark = self._mark_of(stream)

    def _mark_of(self, stream: IO[bytes]) -> tuple[int, bytes]:
        """Tells a file from others; not the number of the drive, which may have another one when it comes back."""
        start = max(0, self.size - _MARK_BYTES)
        stream.seek(start)
        return os.fstat(stream.fileno()).st_ino, stream.read(self.size - start)

    def _leave(self) -> None:
        """Take a name that nothing has: what lies here stays as it is."""
        count = 2
        while (path := self.path.with_name(f"{self._stem}-{count}{self.path.suffix}")).exists():
            count += 1
        self.path, self.size, self._mark = path, 0, None

    def _hold(self, path: Path, size: int) -> bool:
        """Open and lock a file of that size."""
        self.close()
        try:
            stream = open(path, "r+b", buffering=0)  # noqa: SIM115
        except (FileNotFoundError, PermissionError):  # another person's, perhaps, in a folder that is shared
            return False
        if os.fstat(stream.fileno()).st_size < size or not try_lock(stream.fileno()):
            stream.close()
            return False
        self._stream = stream
        return True


def remove_unless_held(path: Path) -> None:
    """Delete a journal that nobody writes to."""
    if not is_held(path):
        path.unlink(missing_ok=True)


def set_aside_unless_held(path: Path) -> None:
    """Rename a journal that nobody writes to: it is read no more, but kept."""
    if not is_held(path):
        set_aside(path)


def set_aside(path: Path) -> None:
    """As :func:`set_aside_unless_held`, for one that is known to be needed no more; replaces none of before."""
    target, count = path.with_name(path.name + ASIDE), 1
    while target.exists():
        count += 1
        target = path.with_name(f"{path.name}.{count}{ASIDE}")
    with suppress(FileNotFoundError):
        os.replace(path, target)


def is_held(path: Path) -> bool:
    """Whether somebody writes to a journal."""
    try:
        with open(path, "r+b", buffering=0) as stream:
            return not try_lock(stream.fileno())
    except FileNotFoundError:
        return False
