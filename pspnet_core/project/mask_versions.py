"""Notices masks of ours that another program has written since they were read."""

from __future__ import annotations

import threading
from pathlib import Path

from pspnet_core.errors import StorageError
from pspnet_core.imaging.source import FileVersion
from pspnet_core.project.home import Home
from pspnet_core.project.plane_files import mask_path

_Known = tuple[FileVersion | None]


class MaskChangedError(StorageError):
    """The mask of an item was written by another program: nothing was written over it.

    Attributes:
        key: Of the item.
    """

    def __init__(self, key: str, path: Path) -> None:
        super().__init__(
            f"The mask of {key} was changed by another program.",
            f"{path} is not the file any more that was opened here. It was not written over.",
            "Choose which of the two is to stay.",
        )
        self.key = key


class MaskVersions:
    """What the masks of items that are open, or not saved yet, looked like on disk. Threads may share it.

    Args:
        home: The project's own folder.
    """

    def __init__(self, home: Home) -> None:
        self._home, self._folder = home, home.folder
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def note(self, key: str) -> None:
        """From now on know the item, with what is there now: to be called before its mask is read."""
        known = self._now(key)
        with self._lock:
            self._known[key] = known

    def wrote(self, key: str) -> None:
        """Take what is there now for known, where the item is: it was just written here.

        Raises:
            StorageError: The folder of the project went away meanwhile: nobody knows where it was written to.
        """
        self._home.check()
        with self._lock:
            if key in self._known:
                self._known[key] = self._now(key)

    def has_changed(self, key: str) -> bool:
        """Whether the file is another one than the known one; False where none is known, or the folder is away."""
        with self._lock:
            known = self._known.get(key)
        return known is not None and known != self._now(key) and not self._home.is_away

    def check(self, key: str) -> None:
        """Raises: MaskChangedError (as :meth:`has_changed`), StorageError (the folder of the project is away)."""
        self._home.check()
        if self.has_changed(key):
            raise MaskChangedError(key, mask_path(self._folder, key))

    def forget_others(self, keys: set[str]) -> None:
        """Keep only what is known of these items: the others are read again before they are written."""
        with self._lock:
            self._known = {key: known for key, known in self._known.items() if key in keys}

    def _now(self, key: str) -> _Known:
        try:
            status = mask_path(self._folder, key).stat()
        except OSError:
            return (None,)
        return ((status.st_mtime_ns, status.st_size, status.st_ino),)
