"""The file of a lock: made by one of two rivals, counted up in place, known as dead on its machine."""

from __future__ import annotations

import errno
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pspnet_core.file_lock import is_at, try_lock

FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_SIZE = 512
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lock.

    Attributes:
        user: Name of the person; empty when it could not be read.
        host: Name of the machine.
        raw: All that is in the file: another value means that the holder lives.
        session: That has it; empty when it could not be read.
    """

    user: str
    host: str
    raw: bytes
    session: str = ""

    def __str__(self) -> str:
        return f"{self.user} on {self.host}" if self.user else "another window"


def create(path: Path, fields: dict[str, Any]) -> int | None:
    """Make a lock file; its descriptor, None when there is one already."""
    if os.name == "nt":  # where a name that is open cannot be taken away, and making a file is safe on a network, too
        try:
            handle = os.open(path, FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return None
        fill(handle, path, fields)
        return handle
    temporary = beside(path)
    handle = os.open(temporary, FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
    is_ours = False
    try:
        fill(handle, temporary, fields)
        is_ours = link(temporary, path)
        return handle if is_ours else None
    finally:
        with suppress(OSError):
            temporary.unlink()
        if not is_ours:
            os.close(handle)


def beside(path: Path) -> Path:
    """A name in the folder of a lock that nobody else has, and that is short however long the lock's own is."""
    return path.with_name(f".{secrets.token_hex(8)}.tmp")


def adopt(path: Path, fields: dict[str, Any]) -> int | None:
    """Open a lock file again that ``fields["session"]`` has made; None when it is not there, or another's."""
    try:
        handle = os.open(path, FLAGS)
    except FileNotFoundError:
        return None
    is_ours = False
    try:
        found = read(path)
        is_ours = found is not None and found.session == fields["session"] and is_at(handle, path)
        if is_ours:
            fill(handle, path, fields)
        return handle if is_ours else None
    finally:
        if not is_ours:
            os.close(handle)


def fill(handle: int, path: Path, fields: dict[str, Any]) -> None:
    """Write a lock file for the first time, and hold it with the system's own lock, where there is one."""
    fields["has_lock"] = try_lock(handle) and _knows_locks(path)
    write(handle, fields)


def link(source: Path, target: Path) -> bool:
    """Let a file have another name, if nothing has it; False when something has."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No links here: the name is reserved by a file of its own, which this one then takes the place of.
        try:
            os.close(os.open(target, FLAGS | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            return False
        os.replace(source, target)
    return True


def write(handle: int, fields: dict[str, Any]) -> None:
    """Write into a lock file, in place. Raises: OSError."""
    data = json.dumps(fields).encode()
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, data.ljust(_SIZE))
    os.fsync(handle)  # on a network others see it only then


def read(path: Path) -> Holder | None:
    """Who has a lock; None when there is none. Raises: OSError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(raw)
        return Holder(str(fields["user"]), str(fields["host"]), raw, str(fields["session"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Holder("", "", raw)  # half written, or by a program to come: it counts as held as long as it changes


def remove_dead(path: Path, machine: str) -> bool:
    """Take a lock away whose holder ran on this ``machine``, had the system's lock, and has it no more.

    It ended, or the machine was started anew since: the system keeps no lock beyond either.
    """
    try:
        fields = json.loads(path.read_bytes())
        if fields["machine"] != machine or not fields["has_lock"]:
            return False
        handle = os.open(path, FLAGS)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    try:
        if not (try_lock(handle) and is_at(handle, path)):  # of two rivals one has the lock, the other the old file
            return False
        with suppress(OSError):
            path.unlink()
        return True
    finally:
        os.close(handle)


def _knows_locks(path: Path) -> bool:
    """Whether the file system keeps a lock: the file is locked, so a second one must fail."""
    handle = os.open(path, FLAGS)
    try:
        return not try_lock(handle)
    finally:
        os.close(handle)
