"""Every write of the program: a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pspnet_core.errors import StorageError

OWN_FOLDER = ".pspnet-studio"
"""Where a project in a folder of images keeps what is its own. What it lies in is never made by a write."""

_REPLACE_RETRY_S = 2.0
_RANDOM_BYTES = 4  # in the name of a temporary file


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` for binary writing; on a clean exit it takes the place of ``path``.

    Parent folders are made. The order is write, flush, fsync, ``os.replace`` (retried for 2 s on Windows, where a virus
    scanner may hold the file), fsync of the folder on POSIX. When the block raises, ``path`` is left as it was.

    Raises:
        StorageError: The disk is full, rights are missing, or the folder vanished.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(_RANDOM_BYTES)}.tmp")
    try:
        make_folder(path.parent)
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _replace(temporary, path)
        sync_folder(path.parent)
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
        sync_folder(target.parent)
    except OSError as error:
        raise storage_error(target, error) from error


def check_place(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """Whether a file can be written, before the work that leads to it begins; nothing is made yet.

    Args:
        path: Of the file.
        inputs: What the work reads; none of it may be written over.

    Returns:
        ``path`` as an absolute one.

    Raises:
        StorageError: A folder is there already, nothing may be written into the folder where it is to lie, or it is one
            of ``inputs``, under whatever name.
    """
    path = Path(os.path.abspath(path))
    if path.is_dir():
        raise StorageError(f"{path} is a folder.", "Expected a file name.", "Give the name of a file in it.")
    if path.exists() and any(other.exists() and path.samefile(other) for other in inputs):
        raise StorageError(
            f"{path} is to be read and would be overwritten.", "Nothing was written.", "Choose another file."
        )
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir():
        raise StorageError(f"{path} cannot be written.", f"{folder} is not a folder.", "Choose another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise storage_error(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return path


def unfinished(path: Path) -> set[Path]:
    """Temporary files of writers of ``path``: they are at work, or were killed before they could tidy up."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{{2 * _RANDOM_BYTES}}}\.tmp")
    try:
        return {path.with_name(name) for name in os.listdir(path.parent) if pattern.fullmatch(name)}
    except OSError:  # there is no such folder, or it may not be looked into
        return set()


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


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a power cut does not take them away again.

    Raises:
        OSError: It cannot be made; ``FileNotFoundError`` where it would belong to a project whose folder is not there:
            that is on a drive that is away for now, and nothing may take its place.
    """
    if folder.is_dir():
        return
    if folder.parent != folder and folder.name != OWN_FOLDER:  # a drive that is not there has nothing above it
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


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


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can do that. Raises: OSError."""
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
