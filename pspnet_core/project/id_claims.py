"""Which window gives a class id to a new class: whoever makes the folder of that name, which only one can.

Two windows that know one project file would otherwise give one id to two classes, and painted pixels would change their
meaning when the second is saved. No lock is needed, so it also holds on drives that know none. A claim is for good: ids
are never given again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from pspnet_core.classes import ClassSet, Color
from pspnet_core.errors import StorageError
from pspnet_core.project.home import Home
from pspnet_core.types import UNLABELLED

FOLDER = "class-ids"


class IdClaims:
    """The claims in a project. Threads may share it.

    Args:
        home: The project's own folder; nothing is made in it before the first claim.
    """

    def __init__(self, home: Home) -> None:
        self._home, self._folder = home, home.folder / FOLDER
        self._lock = threading.Lock()
        self._ours: set[int] = set()

    def with_one_more(
        self, classes: ClassSet, name: str, color: Color | None, ids: Iterable[int], is_kept: bool = True
    ) -> ClassSet:
        """A set with one more class, whose id is the first of these that no other window has given.

        Args:
            classes: It is added to these.
            name: Its name.
            color: Its colour, if it is to have a certain one.
            ids: The best one first.
            is_kept: Whether the id is claimed; if not, it is only what would be claimed now.

        Raises:
            ClassSetError: The name is taken or empty, or no id is left.
        """
        free = (index for index in ids if self._is_free(index))
        index = next(free, None)
        new = (classes if index is not None else classes.reserve(range(UNLABELLED))).add(name, color, index)
        while is_kept and index is not None and not self._claim(index):  # somebody was faster
            index = next(free, None)
            new = (classes if index is not None else classes.reserve(range(UNLABELLED))).add(name, color, index)
        return new

    def note(self, ids: Iterable[int]) -> None:
        """Claim ids that masks hold: no other window gives them."""
        for index in ids:
            self._claim(index)

    def _is_free(self, index: int) -> bool:
        with self._lock:
            return index in self._ours or not self._folder.joinpath(str(index)).exists()

    def _claim(self, index: int) -> bool:
        with self._lock:
            if index not in self._ours:
                try:
                    self._home.prepare()
                    self._folder.mkdir(exist_ok=True)
                    self._folder.joinpath(str(index)).mkdir()
                except FileExistsError:
                    return False
                except (OSError, StorageError):  # when the project is saved two classes with one id would be noticed
                    return True
                self._ours.add(index)
            return True
