"""``project.json`` of two windows: what each changed stays, whichever saves last."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pspnet_core.errors import ProjectError
from pspnet_core.imaging.source import FileVersion
from pspnet_core.project.home import Home
from pspnet_core.project.store import FILE_NAME, ProjectRecord, read_record_file, write_record

_log = logging.getLogger(__name__)

_MISSING = object()
_BY_NAME = ("items", "settings")


class SharedRecord:
    """The file, and what of it this window knows.

    Args:
        home: The project's own folder.
        known: What was read from it; empty when there was none.
    """

    def __init__(self, home: Home, known: dict[str, Any]) -> None:
        self._home, self._folder = home, home.folder
        self._version = _version(self._folder / FILE_NAME)
        self._known = known

    def write(self, ours: Mapping[str, Any]) -> dict[str, Any]:
        """Write the file; what somebody else changed in it since stays, where it was not changed here, too.

        Args:
            ours: What :meth:`ProjectRecord.to_json` gives.

        Returns:
            What was written.

        Raises:
            StorageError: It could not be written; the previous file is intact.
        """
        data = dict(ours)
        if self._version != _version(self._folder / FILE_NAME):
            try:
                data = merged(ours, self._known, read_record_file(self._folder / FILE_NAME).to_json())
            except ProjectError as error:  # gone, or damaged: it is written anew, and a backup of it is there
                _log.warning("%s", error)
        write_record(self._folder, data)
        self._home.check()  # or it went somewhere else
        self._version = _version(self._folder / FILE_NAME)
        self._known = data
        return data


def merged(ours: Mapping[str, Any], before: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """What two windows made of one file: each value of who changed it, ours where both did.

    Images and settings count one by one. Classes that were added there are added here, too.
    """
    found = _one_by_one(ours, before, theirs)
    for name in _BY_NAME:
        found[name] = _one_by_one(ours.get(name, {}), before.get(name, {}), theirs.get(name, {}))
    mine, old, other = ours.get("classes"), before.get("classes"), theirs.get("classes")
    if mine != old and other not in (old, mine) and mine and other:
        found["classes"] = _both_classes(mine, other)
    return found


def adopt(record: ProjectRecord, ours: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    """Take over what somebody else had changed, where it was not changed here since.

    Args:
        record: Of this window; changed.
        ours: What it was when it was written.
        written: What was written.
    """
    if dict(ours) == dict(written):
        return
    now, new = record.to_json(), ProjectRecord.from_json({**written})
    for key in ours["items"].keys() | written["items"].keys():
        row, there = ours["items"].get(key), written["items"].get(key)
        if row != there and now["items"].get(key) == row:
            if there is None:
                record.states.pop(key, None)
            else:
                record.states[key] = new.states[key]
    for name in ours["settings"].keys() | written["settings"].keys():
        value, there = ours["settings"].get(name, _MISSING), written["settings"].get(name, _MISSING)
        if value != there and now["settings"].get(name, _MISSING) == value:
            if there is _MISSING:
                record.settings.pop(name, None)
            else:
                record.settings[name] = there
    if ours["classes"] != written["classes"] and now["classes"] == ours["classes"]:
        record.classes = new.classes


def _one_by_one(ours: Mapping[str, Any], before: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        mine, old, other = (side.get(name, _MISSING) for side in (ours, before, theirs))
        value = other if mine == old else mine
        if value is not _MISSING:
            found[name] = value
    return found


def _both_classes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Ours, and those of theirs whose ids and names are free; of two with one id ours stays, which is logged."""
    rows = list(ours["classes"])
    for row in theirs["classes"]:
        same_id = next((known for known in rows if known["index"] == row["index"]), None)
        if same_id is None and all(known["name"].casefold() != row["name"].casefold() for known in rows):
            rows.append(row)
        elif same_id is not None and same_id["name"] != row["name"]:
            _log.warning("Class %d is %r here and %r in another window.", row["index"], same_id["name"], row["name"])
    return {
        **ours,
        "classes": rows,
        "next_index": max(ours["next_index"], theirs["next_index"]),
        "reserved": sorted({*ours["reserved"], *theirs["reserved"]} - {row["index"] for row in rows}),
    }


def _version(path: Path) -> FileVersion | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
