"""``project.json`` of two windows: what each changed stays, whichever saves last."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pspnet_core.classes import ClassSet
from pspnet_core.errors import ProjectError
from pspnet_core.file_lock import file_lock
from pspnet_core.imaging.source import FileVersion
from pspnet_core.project.class_ids import is_name_of_id
from pspnet_core.project.home import Home
from pspnet_core.project.records import ItemState
from pspnet_core.project.store import FILE_NAME, ProjectRecord, read_record_file, write_record

LOCK_NAME = "project.lock"

_log = logging.getLogger(__name__)

_MISSING = object()
_BY_NAME = ("items", "settings")
_WHOLE = (
    "include",
    "sources",
    "known_masks",
    "blind_ids",
    "extra",
)  # not the UUID: it names the project for as long as it is open
_PATIENCE_S, _RETRY_S = 5.0, 0.01
_MAX_REFUSALS = 5


class ClassClashError(ProjectError):
    """Two windows gave one class id to two classes: nothing was written."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was written, or read.

    Attributes:
        data: What both windows have now; the very same object that was given where nobody else changed anything.
        known: What the file holds.
        version: Of the file.
    """

    data: Mapping[str, Any]
    known: Mapping[str, Any]
    version: FileVersion | None


class SharedRecord:
    """The file, and what of it this window knows.

    Args:
        home: The project's own folder.
        known: What was read from it; empty when there was none.
    """

    def __init__(self, home: Home, known: dict[str, Any]) -> None:
        self._home, self._folder = home, home.folder
        self._version = _version(self._folder / FILE_NAME)
        self._known: Mapping[str, Any] = known
        self._clash: ClassClashError | None = None
        self._lock = threading.Lock()

    def exchange(self, record: ProjectRecord, lock: AbstractContextManager[object], keep: Callable[[], None]) -> None:
        """Write the file. What somebody else changed in it since is taken over where it was not changed here, too.

        Args:
            record: Of this window; changed.
            lock: Of the record; held for moments only.
            keep: Makes a backup of the file.

        Raises:
            ClassClashError: A class of another window has the id of one of ours; nothing was written.
            StorageError: It could not be written; the previous file is intact.
        """
        with self._lock, _alone(self._home, LOCK_NAME):
            ours, data = _copied(record, lock)
            keep()
            found = self._merge(data).data
            write_record(self._folder, found)
            self._home.check()  # or it went somewhere else
            self._take_over(record, lock, ours, data, Exchange(found, found, _version(self._folder / FILE_NAME)))

    def look(self, record: ProjectRecord, lock: AbstractContextManager[object]) -> None:
        """Take over what somebody else wrote since, as :meth:`exchange` does, which also tells of a clash."""
        if self._version == _version(self._folder / FILE_NAME):
            return
        with self._lock, suppress(ClassClashError):
            ours, data = _copied(record, lock)
            self._take_over(record, lock, ours, data, self._merge(data))

    def _take_over(
        self,
        record: ProjectRecord,
        lock: AbstractContextManager[object],
        ours: ProjectRecord,
        data: Mapping[str, Any],
        exchange: Exchange,
    ) -> None:
        adoption = Adoption(ours, data, exchange.data)
        with lock:
            adoption.apply(record)
        self._known, self._version, self._clash = exchange.known, exchange.version, None

    def check(self) -> None:
        """To be called before a mask is written. Raises: ClassClashError (as the last :meth:`exchange` did)."""
        if self._clash is not None:
            raise self._clash

    def _merge(self, ours: Mapping[str, Any]) -> Exchange:
        version = _version(self._folder / FILE_NAME)
        if version == self._version:
            return Exchange(ours, self._known, version)
        try:
            theirs = read_record_file(self._folder / FILE_NAME).to_json()
        except ProjectError as error:  # gone, or damaged: it is written anew, and a backup of it is there
            _log.warning("%s", error)
            return Exchange(ours, self._known, self._version)
        try:
            return Exchange(merged(ours, self._known, theirs), theirs, version)
        except ClassClashError as error:
            self._clash = error
            raise


def merged(ours: Mapping[str, Any], before: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """What two windows made of one file: each value of who changed it, ours where both did.

    Images, settings and classes count one by one.

    Raises:
        ClassClashError: Both added a class with one id.
    """
    found = _one_by_one(ours, before, theirs)
    for name in _BY_NAME:
        found[name] = _one_by_one(ours.get(name, {}), before.get(name, {}), theirs.get(name, {}))
    found["classes"] = _classes(ours.get("classes"), before.get("classes"), theirs.get("classes"))
    blind = [side["blind_ids"] for side in (ours, theirs) if side.get("blind_ids") is not None]
    found["blind_ids"] = sorted({index for ids in blind for index in ids}) if blind else None
    return found


class Adoption:
    """What somebody else had changed, to be taken over.

    Args:
        ours: What this window had when it was written or read.
        data: The same as JSON.
        found: What came of it.
    """

    def __init__(self, ours: ProjectRecord, data: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        rows, there = data["items"], found["items"]
        is_other = found is not data
        self._ours = ours
        self._data = data
        self._keys = [key for key in rows.keys() | there.keys() if rows.get(key) != there.get(key)] if is_other else []
        changed = {key: there[key] for key in self._keys if key in there}
        self._new = ProjectRecord.from_json({**found, "items": changed}) if is_other else ours
        self._found = found

    def apply(self, record: ProjectRecord) -> None:
        """Take it over into the record of this window, where it was not changed there since; quick.

        Raises:
            ClassClashError: A class that was added since has the id of one of theirs.
        """
        ours, new = self._ours, self._new
        if new is ours:
            return
        for key in self._keys:
            if record.states.get(key, _NEW) == ours.states.get(key, _NEW):
                _put(record.states, key, new.states.get(key, _MISSING))
        for name in ours.settings.keys() | new.settings.keys():
            value, there = ours.settings.get(name, _MISSING), new.settings.get(name, _MISSING)
            if value != there and record.settings.get(name, _MISSING) == value:
                _put(record.settings, name, there)
        for name in _WHOLE:
            if getattr(record, name) == getattr(ours, name):
                setattr(record, name, getattr(new, name))
        if record.classes == ours.classes:
            record.classes = new.classes
        elif record.classes is not None:
            both = _classes(record.classes.to_json(), self._data["classes"], self._found["classes"])
            record.classes = ClassSet.from_json(both) if both else None


_NEW = ItemState()


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    if value is _MISSING:
        values.pop(name, None)
    else:
        values[name] = value


def _one_by_one(ours: Mapping[str, Any], before: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        mine, old, other = (side.get(name, _MISSING) for side in (ours, before, theirs))
        value = other if mine == old else mine
        if value is not _MISSING:
            found[name] = value
    return found


def _classes(
    ours: Mapping[str, Any] | None, before: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The class table of both: the classes of each, by their ids; ours where both changed one."""
    if ours is None or theirs is None or ours == theirs:
        found = theirs if ours is None else ours
        return None if found is None else dict(found)
    mine, old, other = (
        {row["index"]: row for row in side["classes"]} if side else {}
        for side in (_whole(ours), _whole(before), theirs)
    )
    rows: list[dict[str, Any]] = []
    for index in [*mine, *(index for index in other if index not in mine)]:
        row = _row(mine.get(index), old.get(index), other.get(index))
        if row is not None:
            rows.append(_named_apart(row, {known["name"].casefold() for known in rows}))
    ids = {row["index"] for row in rows}
    return {
        **ours,
        "classes": rows,
        "next_index": max(ours["next_index"], theirs["next_index"]),
        "reserved": sorted({*ours["reserved"], *theirs["reserved"], *mine, *old, *other} - ids),
    }


def _whole(table: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A class table with all its keys."""
    return None if table is None else ClassSet.from_json(table).to_json()


def _row(
    mine: dict[str, Any] | None, old: dict[str, Any] | None, other: dict[str, Any] | None
) -> dict[str, Any] | None:
    if mine == old:
        return other
    if old is not None or mine is None or other is None or mine["name"].casefold() == other["name"].casefold():
        return mine
    index = mine["index"]
    if is_name_of_id(mine["name"], index):  # both have it from one mask
        return other
    if is_name_of_id(other["name"], index):
        return mine
    raise ClassClashError(
        f"Another window gave the id {index} to the class {other['name']}.",
        f"Here it is {mine['name']}. Neither the project file nor masks are saved, or pixels of one would "
        "become the other; strokes are kept in the journal.",
        f"Give the pixels of {mine['name']} another class here, and remove {mine['name']}: then it can be saved.",
    )


def _named_apart(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    name, number = row["name"], 2
    while name.casefold() in names:
        name, number = f"{row['name']} ({number})", number + 1
    return {**row, "name": name}


def _copied(record: ProjectRecord, lock: AbstractContextManager[object]) -> tuple[ProjectRecord, dict[str, Any]]:
    with lock:
        ours = record.copy()
    return ours, ours.to_json()


@contextmanager
def _alone(home: Home, name: str) -> Iterator[None]:
    """Keep other windows out while the block runs, where the place has locks; wait for them, but not for ever."""
    home.prepare()
    path = home.folder / name
    end_s, num_refusals = time.monotonic() + _PATIENCE_S, 0
    with ExitStack() as stack:
        while True:
            try:
                if stack.enter_context(file_lock(path)):
                    break
            except OSError:  # nothing can be written there, or it is just being deleted
                num_refusals += 1
            if num_refusals >= _MAX_REFUSALS or time.monotonic() >= end_s:
                _log.warning("%s is not locked: another window may write at the same time.", path)
                break
            time.sleep(_RETRY_S)
        yield


def _version(path: Path) -> FileVersion | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
