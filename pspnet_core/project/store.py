"""``project.json``: reading it strictly, writing it whole."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pspnet_core.atomic import write_json
from pspnet_core.classes import ClassSet
from pspnet_core.errors import ClassSetError, ProjectError
from pspnet_core.project.records import ItemState

FORMAT = 1
FILE_NAME = "project.json"

_KNOWN = frozenset({"format", "uuid", "classes", "settings", "items", "include", "sources", "known_masks", "blind_ids"})


@dataclass(frozen=True, slots=True)
class Source:
    """A folder outside the project whose images belong to it.

    Attributes:
        name: Begins the keys of its items: "@photos".
        path: The folder.
        files: Only these of its files and sub folders (relative, with "/"); all when None.
    """

    name: str
    path: Path
    files: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        row: dict[str, Any] = {"name": self.name, "path": str(self.path)}
        return row if self.files is None else row | {"files": list(self.files)}


@dataclass(slots=True)
class ProjectRecord:
    """The contents of ``project.json``.

    Attributes:
        uuid: Identifies the project wherever its folder lies.
        classes: None when the file holds none.
        settings: JSON values that belong to the project, by name.
        states: Of items that differ from a new one, also of items that are not there at the moment.
        include: Only these files and sub folders of the root belong to it; all when None.
        sources: Folders from elsewhere.
        known_masks: Names the set of found masks whose ids are classes or reserved; empty when none were read.
        blind_ids: Ids that were given to new classes while there were masks too many to be read; None when all
            were read.
        extra: What a program with more features wrote beside it; kept as it is.
        raw: What was read; empty when nothing was.
    """

    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    classes: ClassSet | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    states: dict[str, ItemState] = field(default_factory=dict)
    include: tuple[str, ...] | None = None
    sources: tuple[Source, ...] = ()
    known_masks: str = ""
    blind_ids: frozenset[int] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def from_json(data: dict[str, Any]) -> ProjectRecord:
        """Read what :meth:`to_json` gave.

        Raises: KeyError, TypeError, ValueError, AttributeError, ClassSetError when it is something else.
        """
        return _parse(data)

    def copy(self) -> ProjectRecord:
        """One that does not change when this one does; quick, as the values in it never change."""
        return replace(self, settings=dict(self.settings), states=dict(self.states))

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, detached from this record."""
        return self.extra | {
            "format": FORMAT,
            "uuid": self.uuid,
            "classes": None if self.classes is None else self.classes.to_json(),
            "settings": dict(self.settings),
            "include": None if self.include is None else list(self.include),
            "sources": [source.to_json() for source in self.sources],
            "known_masks": self.known_masks,
            "blind_ids": None if self.blind_ids is None else sorted(self.blind_ids),
            "items": {key: row for key, state in sorted(self.states.items()) if (row := state.to_json())},
        }


def read_record(folder: Path) -> ProjectRecord | None:
    """Read ``project.json`` of a project's own folder; None when there is none yet.

    Raises:
        ProjectError: It is damaged, not readable, or written by a newer program. It is left as it is.
    """
    path = folder / FILE_NAME
    return read_record_file(path) if path.exists() else None


def read_record_file(path: Path) -> ProjectRecord:
    """Read a file that holds what ``project.json`` holds. Raises: as :func:`read_record`, also when it is missing."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ProjectError(
            "The project file could not be read.", f"{path}: {error.strerror}.", "Check the rights of the file."
        ) from error
    except (ValueError, RecursionError) as error:  # includes undecodable bytes
        raise _damaged(path, str(error)) from error
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise _damaged(path, "it has no format number")
    if data["format"] > FORMAT:
        raise ProjectError(
            f"This project has format {data['format']}.",
            f"{path} was written by a newer version of PSPNet Studio; this one reads format {FORMAT}.",
            "Update PSPNet Studio. Nothing was changed.",
        )
    try:
        return _parse(data)
    except (KeyError, TypeError, ValueError, AttributeError, ClassSetError) as error:
        raise _damaged(path, str(error)) from error


def write_record(folder: Path, data: Mapping[str, Any]) -> None:
    """Write what :meth:`ProjectRecord.to_json` gave, atomically. Raises: StorageError."""
    write_json(folder / FILE_NAME, data)


def with_ids_of(record: ProjectRecord, newer: Sequence[Path]) -> dict[str, Any]:
    """What a record holds, with all ids reserved that were given since: saved masks hold them.

    Args:
        record: An older one.
        newer: The file in whose place it comes, then others that are newer than the record. Those that cannot be read
            are left out; where it is the first of them, the masks are read when the project is opened.

    Returns:
        What :meth:`ProjectRecord.to_json` gives.
    """
    restored = replace(record)
    for number, path in enumerate(newer):
        try:
            other = read_record_file(path)
        except ProjectError:
            if number == 0:
                restored.known_masks = ""
            continue
        if number == 0:
            restored.uuid = other.uuid
        if other.blind_ids is not None:
            restored.blind_ids = (restored.blind_ids or frozenset()) | other.blind_ids
        own, there = restored.classes or ClassSet(), other.classes or ClassSet()
        used = {index for state in other.states.values() for index in state.class_ids}
        taken = own.reserved.union(there.indices, there.reserved, used)
        if restored.classes is not None or taken:
            restored.classes = ClassSet(own, max(own.next_index, there.next_index), taken)
    return restored.to_json()


def _parse(data: dict[str, Any]) -> ProjectRecord:
    classes, include = data.get("classes"), data.get("include")
    blind_ids = data.get("blind_ids")
    settings, items = data.get("settings", {}), data.get("items", {})
    if not isinstance(settings, dict) or not isinstance(items, dict):
        raise TypeError("settings and items must be objects")
    return ProjectRecord(
        uuid=str(uuid.UUID(data["uuid"])),
        classes=None if classes is None else ClassSet.from_json(classes),
        settings=dict(settings),
        states={str(key): ItemState.from_json(row) for key, row in items.items()},
        include=None if include is None else _relative_paths(include),
        sources=tuple(_source(row) for row in data.get("sources", [])),
        known_masks=str(data.get("known_masks", "")),
        blind_ids=None if blind_ids is None else frozenset(int(index) for index in blind_ids),
        extra={name: value for name, value in data.items() if name not in _KNOWN},
        raw=data,
    )


def _source(row: Mapping[str, Any]) -> Source:
    name, files = str(row["name"]), row.get("files")
    if not name.startswith("@") or "/" in name or "\\" in name or name in ("@", "@.", "@.."):
        raise ValueError(f"{name!r} is no name of a source")
    return Source(name, Path(str(row["path"])), None if files is None else _relative_paths(files))


def _relative_paths(values: list[Any]) -> tuple[str, ...]:
    paths = tuple(str(value) for value in values)
    for path in paths:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{path!r} leads out of the folder")
    return paths


class ProjectDamagedError(ProjectError):
    """``project.json`` cannot be understood; nothing was changed.

    Attributes:
        path: Of the file.
    """

    def __init__(self, path: Path, title: str, detail: str, remedy: str) -> None:
        super().__init__(title, detail, remedy)
        self.path = path


def _damaged(path: Path, why: str) -> ProjectDamagedError:
    return ProjectDamagedError(
        path,
        "The project file is damaged.",
        f"{path}: {why}.",
        "Put back a copy of it: the newest is in the folder backups beside it. Or rename it to begin "
        "a new project file: the saved masks stay and are used, "
        "names of classes and the status of images are lost. Nothing was changed.",
    )
