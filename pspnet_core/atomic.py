"""Every write of the program: a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pspnet_core.errors import StorageError

_REPLACE_RETRY_S = 2.0


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` for binary writing; on a clean exit it takes the place of ``path``.

    Parent folders are made. The order is write, flush, fsync, ``os.replace`` (retried for 2 s on Windows, where a virus
    scanner may hold the file), fsync of the folder on POSIX. When the block raises, ``path`` is left as it was.

    Raises:
        StorageError: The disk is full, rights are missing, or the folder vanished.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(NotADirectoryError):  # a file where a folder should be: then there is no temporary file either
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically. Raises: StorageError."""
    with atomic_writer(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON to ``path`` atomically. Raises: StorageError."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def put_in_place(source: Path, target: Path) -> None:
    """Let a file that is complete and synced take the place of ``target``, in the same folder. Raises: StorageError."""
    try:
        _replace(source, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise storage_error(target, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """What an ``OSError`` while writing ``path`` means to a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"The disk is full: {path.name} could not be written.",
            f"{path}: {error.strerror}.",
            "Free some space; the previous file is unchanged and your work is still in memory.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(
            f"{path.name} may not be written.",
            f"{path}: {error.strerror}.",
            "Check the rights of the folder, or open a copy of it.",
        )
    return StorageError(f"{path.name} could not be written.", f"{path}: {error.strerror or error}.")


def _replace(source: Path, target: Path) -> None:
    deadline = time.monotonic() + _REPLACE_RETRY_S
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if os.name != "nt" or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
