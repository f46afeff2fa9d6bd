"""Who may change an image: one session at a time, also where several machines share the folder.

A lock is a file, made so that one of two rivals gets it on every file system. Its holder counts up a number in it, in
place. Nobody compares clocks: who waits looks whether the number changes while his own clock runs. A holder that died
on this machine is known at once, by the system's own lock on the file. One that was thought dead and is not finds that
the file is not its own any more, and writes nothing then, until it is free again and nobody has written meanwhile.
Where the folder itself is away, nothing is known, and nothing is lost.
"""

from __future__ import annotations

import functools
import getpass
import hashlib
import os
import platform
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
from pspnet_core.file_lock import is_at
from pspnet_core.project.home import Home
from pspnet_core.project.lock_file import Holder, adopt, beside, create, link, read, remove_dead, write

BEAT_S = 5.0
"""The holder of a lock is to call :meth:`ItemLocks.beat` so often."""

STALE_S = 20.0
"""A lock whose number did not change for so long may be taken over."""

_LONGEST = 200
"""A longer name gets a short one in its place: 255 bytes is what most file systems know."""

_NOBODY = Holder("", "", b"")


class ItemLockedError(StorageError):
    """An image is being changed elsewhere: nothing was written.

    Attributes:
        key: Of the item.
        holder: Who is changing it.
    """

    def __init__(self, key: str, holder: Holder) -> None:
        super().__init__(
            f"{key} is being changed by {holder}.",
            "Nothing was written, so that no work of theirs is lost.",
            "Close the image there, then open it here again.",
        )
        self.key, self.holder = key, holder


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
        check: Raises StorageError when an item is on disk not as this session knows it. Without it a lock that was
            taken over is not given back.
    """

    def __init__(
        self, folder: Path, session: str, home: Home | None = None, check: Callable[[str], None] | None = None
    ) -> None:
        self._home, self._folder = home or Home(folder), folder / "locks"
        self._session, self._check = session, check
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
            None when this session has it (also from before), else who has it. A lock that was taken over is given back
            when it is free again and nothing was written meanwhile, or when ``is_fresh``.

        Raises:
            MaskChangedError: It was taken over, is free again, and something was written meanwhile.
            StorageError: The file could not be made, or the folder is away.
        """
        path = self._path(key)
        self._home.prepare()
        with self._lock:
            self._refused.pop(key, None)
            try:
                if key in self._held and self._is_ours(key):
                    return None
                if is_fresh:
                    self._lost.discard(key)
                is_older = key in self._lost
                holder = (read(path) or _NOBODY) if is_older and self._check is None else self._try(key, path)
            except OSError as error:
                raise storage_error(path, error) from error
            if holder is not None:
                self._refused[key] = holder
            elif is_older and self._check is not None:
                try:
                    self._check(key)
                except StorageError:
                    self.release(key)
                    raise
                self._lost.discard(key)
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
            for key in list(self._held):
                try:
                    if self._is_ours(key):
                        held = self._held[key]
                        held.fields["beat"] += 1
                        write(held.handle, held.fields)
                    else:
                        lost.append(key)
                except (OSError, StorageError):
                    continue  # the folder is away for now: whether the lock is still there is seen later
        return lost

    def holder(self, key: str) -> Holder | None:
        """Who else has the lock now; None when nobody has, or who had it has died on this machine.

        Raises:
            StorageError: It could not be read, or the folder is away.
        """
        path = self._path(key)
        self._home.check()
        try:
            found = None if key in self._held else read(path)
            is_free = found is None or found.session == self._session or remove_dead(path, _machine())
            return None if is_free else found
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
        aside = beside(path)
        with self._lock:
            try:
                with suppress(FileNotFoundError):
                    os.rename(path, aside)  # one of two rivals gets it; what it got is looked at only now
                    if aside.read_bytes() != stale.raw:
                        link(aside, path)
                    aside.unlink()
            except OSError as error:
                raise storage_error(path, error) from error
            return self.acquire(key, is_fresh=True)

    @contextmanager
    def writing(self, key: str) -> Iterator[None]:
        """Goes around writing the masks of an item; takes the lock for that long where this session does not have it.

        Raises:
            ItemLockedError: Somebody else has it.
            MaskChangedError: Somebody else had it, and what is to be written is older than theirs.
            StorageError: The lock could not be made, or the folder is away.
        """
        with self._lock:
            held = self._held.get(key)
            holder = self.acquire(key)
            if holder is not None:
                raise ItemLockedError(key, holder)
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
        path = self._folder / f"{key}.lock"
        name = path.name.encode()
        return path if len(name) <= _LONGEST else path.with_name(f"{hashlib.sha256(name).hexdigest()}.lock")

    def _fields(self, beat: int = 0) -> dict[str, Any]:
        who = {"session": self._session, "user": _user(), "host": platform.node()}
        return who | {"machine": _machine(), "beat": beat}

    def _try(self, key: str, path: Path) -> Holder | None:
        fields = self._fields()
        make_folder(path.parent)
        handle = create(path, fields)
        if handle is None and remove_dead(path, _machine()):
            handle = create(path, fields)
        if handle is None:
            handle = adopt(path, fields)
        if handle is None:
            return read(path) or _NOBODY  # it went away just now
        self._held[key] = _Held(handle, path, fields)
        return None

    def _is_ours(self, key: str) -> bool:
        """Whether a lock that was held still is; otherwise it is lost. Raises: OSError, StorageError (nobody knows)."""
        held = self._held[key]
        with suppress(OSError):  # of a file that was open when its drive went away
            if is_at(held.handle, held.path):
                return True
        self._home.check()
        found = read(held.path)
        if found is not None and found.session == self._session:  # the drive is back
            fields = self._fields(held.fields["beat"] + 1)
            handle = adopt(held.path, fields)
            if handle is not None:
                self._forget(key)
                self._held[key] = _Held(handle, held.path, fields)
                return True
        self._lost.add(key)
        self._forget(key)
        return False

    def _forget(self, key: str) -> None:
        with suppress(OSError):  # it is closed then, too
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


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"


@functools.cache
def _machine() -> str:
    """Names this machine, also after it was started anew; what is a copy of it has another name, or is given one."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError, UnicodeDecodeError):
            return f"{platform.node()}-{Path(path).read_text(encoding='ascii').strip()}"
    return f"{platform.node()}-{uuid.getnode():x}"
