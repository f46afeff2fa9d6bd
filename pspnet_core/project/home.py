"""The project's own folder, which may be away for a while: nothing takes its place then.

A network drive or a USB stick comes and goes. A folder that was made anew where it was would get strokes and masks that
nobody finds again, and what is written by its old name could land in another folder. So a project knows its folder by
what the system calls it, and whoever writes asks here first; what cannot be written is kept, and tried again.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import NamedTuple

from pspnet_core.atomic import make_folder, storage_error
from pspnet_core.errors import StorageError
from pspnet_core.project.places import OWN_FOLDER


class HomeAwayError(StorageError):
    """The folder of the project is not there, or another one is in its place: nothing was written."""


class _Identity(NamedTuple):
    device: int
    inode: int


class Home:
    """The own folder of one project. Threads may share it; every method looks at the disk.

    Args:
        folder: The project's own folder; it may not exist yet.
        uuid: Of the project: a drive that comes back may have another number. Empty when it is not known.

    Attributes:
        folder: The project's own folder.
    """

    def __init__(self, folder: Path, uuid: str = "") -> None:
        self.folder, self._uuid = folder, uuid
        self._lock = threading.RLock()
        self._root = folder.parent if folder.name == OWN_FOLDER else None  # else it lies in the user's data folder
        self._known = _identity(folder)
        self._known_root = None if self._root is None else _identity(self._root)

    def check(self) -> None:
        """Raises: HomeAwayError (it is not the folder that it was). Where there was none yet that is right, too."""
        try:
            with self._lock:
                self._check()
        except OSError as error:
            raise _away(self.folder, error.strerror or str(error)) from error

    def prepare(self) -> None:
        """To be called before something is written: make the folder where there was none when the project was opened.

        Raises:
            HomeAwayError: As :meth:`check`, or its folder of images is not there.
            StorageError: It could not be made.
        """
        with self._lock:
            self.check()
            if self._known is None:
                self._make()

    def _make(self) -> None:
        try:
            if self._root is None:
                make_folder(self.folder)
            else:
                self.folder.mkdir(exist_ok=True)
            self._known = _identity(self.folder)
        except FileNotFoundError as error:
            raise _away(self.folder, error.strerror or str(error)) from error
        except OSError as error:
            raise storage_error(self.folder, error) from error

    @property
    def is_away(self) -> bool:
        """Whether :meth:`check` would raise."""
        try:
            self.check()
        except HomeAwayError:
            return True
        return False

    def _check(self) -> None:
        now = _identity(self.folder)
        if self._known is None:
            root = None if self._root is None else _identity(self._root)
            if self._root is not None and root is None:
                raise _away(self._root, "It is not there")
            if root != self._known_root:
                raise _other(self.folder)
            self._known = now  # another window may have made it
        elif now is None:
            raise _away(self.folder, "It is not there")
        elif now != self._known:
            if now.inode != self._known.inode or not self._uuid or self._uuid_there() != self._uuid:
                raise _other(self.folder)
            self._known = now  # the drive was mounted again

    def _uuid_there(self) -> str:
        """Of the project whose file is there now; empty where none can be read."""
        try:
            return str(json.loads((self.folder / "project.json").read_bytes())["uuid"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return ""


def _identity(path: Path) -> _Identity | None:
    """What the system calls a folder; None where there is none. Raises: OSError (it cannot be told)."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _Identity(status.st_dev, status.st_ino)


def _away(folder: Path, why: str) -> HomeAwayError:
    return HomeAwayError(
        "The folder of the project is not there any more.",
        f"{folder}: {why}.",
        "Connect its drive again, or put the folder back: what you did is still in memory and is saved then.",
    )


def _other(folder: Path) -> HomeAwayError:
    return HomeAwayError(
        "Another folder has taken the place of the project's.",
        f"{folder} is not the folder that was opened. Nothing was written to it.",
        "Put the folder of the project back: what you did is still in memory and is saved then.",
    )
