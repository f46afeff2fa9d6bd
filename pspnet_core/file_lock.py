"""A lock between processes that ends with the process that holds it, however that ends."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What file systems say that have no locks, some of the network among them.
_NO_LOCKS = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS)

_FAR = 1 << 40


@contextmanager
def file_lock(path: Path) -> Iterator[bool]:
    """Hold a lock on ``path`` while the block runs, if nobody else does.

    The system keeps it for as long as the file is open, so a file that a crash has left behind locks nothing. It is
    deleted in the end. Where the file system knows no locks, everybody gets it.

    Args:
        path: The file to lock; it is made, and holds nothing.

    Yields:
        Whether the lock is held; if not, another process or thread has it.

    Raises:
        OSError: The file cannot be made.
    """
    handle = _acquire(path)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            _release(handle, path)


def try_lock(handle: int) -> bool:
    """Lock an open file until it is closed; False when somebody else has it.

    The file itself can be read and written as before, by everybody. Where the file system knows no locks, True.

    Args:
        handle: Descriptor of a file that is open for writing; moved to another position.
    """
    if sys.platform == "win32":
        os.lseek(handle, _FAR, os.SEEK_SET)  # there a lock keeps others from the bytes that it lies on
    return _lock(handle)


def is_at(handle: int, path: Path) -> bool:
    """Whether an open file is still the one that ``path`` names."""
    return _is_at(handle, path)


def _acquire(path: Path) -> int | None:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        is_ours = False
        try:
            if not _lock(handle):
                return None
            is_ours = _is_at(handle, path)
            if is_ours:
                return handle
        finally:
            if not is_ours:  # locked by somebody, or deleted by who had it before
                os.close(handle)


def _release(handle: int, path: Path) -> None:
    if sys.platform == "win32":
        os.close(handle)
        with suppress(OSError):  # somebody else has opened it meanwhile, and deletes it later
            path.unlink()
    else:
        path.unlink(missing_ok=True)  # before others can lock it
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one that ``path`` names."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
