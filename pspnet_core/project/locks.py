"""Who may change an image: one session at a time, also where several machines share the folder.

A lock is a file, made so that one of two rivals gets it on every file system. Its holder counts up a number in it, in
place. Nobody compares clocks: who waits looks whether the number changes while his own clock runs. A holder that died
on this machine is known at once, by the system's own lock on the file. One that was thought dead and is not finds that
the file is not its own any more, and writes nothing then.
"""

from __future__ import annotations

import errno
import functools
import getpass
import json
import os
import platform
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pspnet_core.atomic import make_folder, storage_error
from pspnet_core.errors import StorageError
from pspnet_core.file_lock import is_at, try_lock
from pspnet_core.project.home import Home

BEAT_S = 5.0
"""The holder of a lock is to call :meth:`ItemLocks.beat` so often."""

STALE_S = 20.0
"""A lock whose number did not change for so long may be taken over."""

_SIZE = 512
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
_FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class ItemLockedError(StorageError):
    """An image is being changed elsewhere: nothing was written."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lock.

    Attributes:
        user: Name of the person; empty when it could not be read.
        host: Name of the machine.
        raw: All that is in the file: another value means that the holder lives.
    """

    user: str
    host: str
    raw: bytes

    def __str__(self) -> str:
        return f"{self.user} on {self.host}" if self.user else "another window"


_NOBODY = Holder("", "", b"")


@dataclass(slots=True)
class _Held:
    handle: int
    path: Path
    fields: dict[str, Any]


class ItemLocks:
    """The locks of one session. Threads may share it; every method but :meth:`refused` touches the disk.

    Args:
        folder: The project's own folder; nothing is made in it before the first lock.
        session: Names the session; no other one has the same name.
        home: The same folder, where it is known already.
    """

    def __init__(self, folder: Path, session: str, home: Home | None = None) -> None:
        self._home, self._folder = home or Home(folder), folder / "locks"
        self._session = session
        self._lock = threading.RLock()
        self._held: dict[str, _Held] = {}
        self._refused: dict[str, Holder] = {}
        self._lost: set[str] = set()
        self._writing: Counter[str] = Counter()

    def refused(self, key: str) -> Holder | None:
        """Who had the lock when this session last wanted it in vain; None when it got it, or never wanted it."""
        return self._refused.get(key)  # without the lock: it is held while the disk is waited for

    def acquire(self, key: str, is_fresh: bool = False) -> Holder | None:
        """Have the right to change an item until :meth:`release`.

        Args:
            key: Of the item.
            is_fresh: Whether its masks are read from the disk after this, and nothing of them is known before.

        Returns:
            None when this session has it (also from before), else who has it. A lock that was taken over is not given
            back unless ``is_fresh``: what this session knows of the item is older.

        Raises:
            StorageError: The file could not be made.
        """
        path = self._path(key)
        self._home.prepare()
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                if self._is_ours(held):
                    return None
                self._lose(key)
            if is_fresh:
                self._lost.discard(key)
            try:
                holder = (_read(path) or _NOBODY) if key in self._lost else self._try(key, path)
            except OSError as error:
                raise storage_error(path, error) from error
            if holder is None:
                self._refused.pop(key, None)
            else:
                self._refused[key] = holder
            return holder

    def release(self, key: str) -> None:
        """Let others have it; nothing happens when this session does not have it."""
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                with suppress(OSError):  # what stays is not counted up any more, and is taken over
                    if is_at(held.handle, held.path):
                        held.path.unlink()
                self._forget(key)

    def release_others(self, keys: set[str]) -> None:
        """Release all locks but those of these items."""
        with self._lock:
            for key in self._held.keys() - keys:
                if not self._writing[key]:
                    self.release(key)

    def beat(self) -> list[str]:
        """Show the others that this session lives; the keys of items that were taken over since the last time."""
        lost = []
        with self._lock:
            for key, held in list(self._held.items()):
                try:
                    is_ours = self._is_ours(held)
                    if is_ours:
                        held.fields["beat"] += 1
                        _write(held.handle, held.fields)
                except (OSError, StorageError):
                    continue  # the folder is away for now: whether the lock is still there is seen later
                if not is_ours:
                    lost.append(key)
                    self._lose(key)
        return lost

    def holder(self, key: str) -> Holder | None:
        """Who else has the lock now; None when nobody has, or who had it has died on this machine.

        Raises:
            StorageError: It could not be read.
        """
        path = self._path(key)
        self._home.check()
        try:
            found = None if key in self._held else _read(path)
            return None if found is None or _remove_dead(path) else found
        except OSError as error:
            raise storage_error(path, error) from error

    def take_over(self, key: str, stale: Holder) -> Holder | None:
        """Take a lock away from a holder that does not count up any more; the item has to be read again then.

        Returns:
            None when this session has it now; else who has it: it was counted up meanwhile, or somebody was faster.

        Raises:
            StorageError: The file could not be moved or made.
        """
        path = self._path(key)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.old")
        with self._lock:
            try:
                with suppress(FileNotFoundError):
                    os.rename(path, aside)  # one of two rivals gets it; what it got is looked at only now
                    if aside.read_bytes() != stale.raw:
                        _link(aside, path)
                    aside.unlink()
            except OSError as error:
                raise storage_error(path, error) from error
            return self.acquire(key, is_fresh=True)

    @contextmanager
    def writing(self, key: str) -> Iterator[None]:
        """Goes around writing the masks of an item; takes the lock for that long where this session does not have it.

        Raises:
            ItemLockedError: Somebody else has it, or has taken it over: what is to be written is older than theirs.
            StorageError: The lock could not be made.
        """
        self._home.prepare()
        with self._lock:
            held = self._held.get(key)
            if held is not None and not self._is_ours(held):
                self._lose(key)
            holder = None if key in self._held else self.acquire(key)
            if holder is not None:
                raise _locked(key, holder)
            self._writing[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._writing[key] -= 1
                if held is None:
                    self.release(key)

    # --- inside; the lock is held

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.lock"

    def _try(self, key: str, path: Path) -> Holder | None:
        fields = {"session": self._session, "user": _user(), "host": platform.node(), "machine": _machine(), "beat": 0}
        make_folder(path.parent)
        handle = _create(path, fields)
        if handle is None and _remove_dead(path):
            handle = _create(path, fields)
        if handle is None:
            return _read(path) or _NOBODY  # it went away just now
        self._held[key] = _Held(handle, path, fields)
        return None

    def _is_ours(self, held: _Held) -> bool:
        """Whether nobody has taken it over. Raises: StorageError (the folder is away: nobody knows)."""
        if is_at(held.handle, held.path):
            return True
        self._home.check()
        return False

    def _lose(self, key: str) -> None:
        self._lost.add(key)
        self._forget(key)

    def _forget(self, key: str) -> None:
        os.close(self._held.pop(key).handle)


class StaleWatch:
    """Tells whether a holder still counts up, by this machine's own clock alone.

    Args:
        clock: Seconds, only ever forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._raw: bytes | None = None
        self._since_s = 0.0

    def is_stale(self, holder: Holder) -> bool:
        """Whether it is as it was for at least 20 s; to be asked again and again."""
        if holder.raw != self._raw:
            self._raw, self._since_s = holder.raw, self._clock()
        return self._clock() - self._since_s >= STALE_S


def _create(path: Path, fields: dict[str, Any]) -> int | None:
    """Make a lock file; its descriptor, None when there is one already."""
    if os.name == "nt":  # where a name that is open cannot be taken away, and making a file is safe on a network, too
        try:
            handle = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return None
        _fill(handle, path, fields)
        return handle
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
    is_ours = False
    try:
        _fill(handle, temporary, fields)
        is_ours = _link(temporary, path)
        return handle if is_ours else None
    finally:
        with suppress(OSError):
            temporary.unlink()
        if not is_ours:
            os.close(handle)


def _fill(handle: int, path: Path, fields: dict[str, Any]) -> None:
    fields["has_lock"] = try_lock(handle) and _knows_locks(path)
    _write(handle, fields)


def _link(source: Path, target: Path) -> bool:
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
            os.close(os.open(target, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            return False
        os.replace(source, target)
    return True


def _write(handle: int, fields: dict[str, Any]) -> None:
    data = json.dumps(fields).encode()
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, data.ljust(_SIZE))
    os.fsync(handle)  # on a network others see it only then


def _read(path: Path) -> Holder | None:
    """Who has a lock; None when there is none. Raises: OSError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(raw)
        return Holder(str(fields["user"]), str(fields["host"]), raw)
    except (ValueError, KeyError, TypeError, RecursionError):
        return Holder("", "", raw)  # half written, or by a program to come: it counts as held as long as it changes


def _remove_dead(path: Path) -> bool:
    """Take a lock away whose holder ran on this machine, had the system's lock, and has it no more."""
    try:
        fields = json.loads(path.read_bytes())
        if fields["machine"] != _machine() or not fields["has_lock"]:
            return False
        handle = os.open(path, _FLAGS)
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
    handle = os.open(path, _FLAGS)
    try:
        return not try_lock(handle)
    finally:
        os.close(handle)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"


@functools.cache
def _machine() -> str:
    """Names this run of this machine: another one, or the same after it was started anew, has another name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{platform.node()}-{uuid.getnode():x}"


def _locked(key: str, holder: Holder) -> ItemLockedError:
    return ItemLockedError(
        f"{key} is being changed by {holder}.",
        "Nothing was written, so that no work of theirs is lost.",
        "Close the image there, then open it here again.",
    )
