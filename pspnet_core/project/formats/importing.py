"""Annotations of another program taken over into a project, image by image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pspnet_core.classes import Color
from pspnet_core.errors import ClassMapError, ImageReadError, PspnetError
from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.imaging.read import read_info
from pspnet_core.project.conversion import NOT_OURS, Planes, load_planes, save_change
from pspnet_core.project.formats.class_match import ClassMatch, ClassRow
from pspnet_core.project.formats.names import Matcher
from pspnet_core.project.formats.reading import Entry, Loaded, Reader
from pspnet_core.project.formats.registry import guess_format, reader_of
from pspnet_core.project.formats.report import Remark, Remarks
from pspnet_core.project.formats.source_files import SourceError, SourceFiles, is_inside
from pspnet_core.project.project import Item, Notice, Project, Status
from pspnet_core.types import UNLABELLED, BoolMask, Provenance, Rect

LABEL = "import annotations"
"""Of the steps in the history."""

Over = Literal["free", "accepted", "all"]
"""Which labelled pixels may change: imported ones, also what was accepted from a prediction, also hand-painted ones."""

_TILE_PX = 512
_MAY_CHANGE: dict[str, tuple[Provenance, ...]] = {
    "free": (Provenance.UNTOUCHED, Provenance.IMPORTED),
    "accepted": (Provenance.UNTOUCHED, Provenance.IMPORTED, Provenance.ACCEPTED),
    "all": tuple(Provenance),
}


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person may choose.

    Attributes:
        over: Which labelled pixels may change. What was erased by hand counts as painted.
        classes: Name in the source -> name in the project; "" leaves a class out.
        dry_run: Work everything out and change nothing.
    """

    over: Over = "free"
    classes: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ImportPlanned:
    """What a source is, before any of its masks is read.

    Attributes:
        format_id: Of the source.
        classes: Its class table and what becomes of it.
        num_entries: Images that it tells of.
        num_matched: Those of them that the project has.
    """

    format_id: str
    classes: tuple[ClassRow, ...]
    num_entries: int
    num_matched: int

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {
            "event": "planned",
            "format": self.format_id,
            "classes": [row.to_json() for row in self.classes],
            "num_entries": self.num_entries,
            "num_matched": self.num_matched,
        }


@dataclass(frozen=True, slots=True, eq=False)
class ItemImported:
    """One more image was looked at.

    Attributes:
        done: Images so far.
        total: Images that the source tells of and the project has.
        item_key: Which.
        num_pixels: That change.
        patch: The change; None when there is none.
        is_saved: Whether it is on disk; else nobody but the caller has it.
    """

    done: int
    total: int
    item_key: str
    num_pixels: int
    patch: MaskPatch | None
    is_saved: bool

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {
            "event": "progress",
            "done": self.done,
            "total": self.total,
            "item": self.item_key,
            "num_pixels": self.num_pixels,
        }


@dataclass(frozen=True, slots=True)
class ImportFinished:
    """The end of an import.

    Attributes:
        num_changed: Images that changed.
        num_pixels: Pixels that did.
        classes: Classes of the source that were met.
        added: Names of the classes that are new in the project.
        failures: One for each image that was left as it is although the source tells of it.
        remarks: What was not taken over.
        is_dry_run: Nothing was changed.
    """

    num_changed: int
    num_pixels: int
    classes: tuple[ClassRow, ...]
    added: tuple[str, ...]
    failures: tuple[Notice, ...]
    remarks: tuple[Remark, ...]
    is_dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {
            "event": "finished",
            "num_changed": self.num_changed,
            "num_pixels": self.num_pixels,
            "classes": [row.to_json() for row in self.classes],
            "added": list(self.added),
            "failures": [{"item": n.item_key, "title": n.title, "detail": n.detail} for n in self.failures],
            "remarks": [remark.to_json() for remark in self.remarks],
            "dry_run": self.is_dry_run,
        }


ImportEvent = ImportPlanned | ItemImported | ImportFinished

_DEFAULT = ImportOptions()


def import_annotations(
    project: Project,
    source: Path,
    format_id: str | None = None,
    options: ImportOptions = _DEFAULT,
    open_planes: Mapping[str, Planes] | None = None,
) -> Iterator[ImportEvent]:
    """Take annotations over; they get provenance "imported", and what was made by hand stays unless that is asked for.

    Each image that changes gets one step in its history and can be undone there. Classes that are new are added when
    their first pixel is met, under the source's id where that is free. Where shapes overlap, the later one wins.

    Args:
        project: Its items get the pixels.
        source: A folder, a .zip or a file.
        format_id: One of :data:`~pspnet_core.project.formats.catalogue.FORMATS`; guessed when None.
        options: What was chosen.
        open_planes: Planes of items that are open elsewhere: for these a change is worked out, and not saved.

    Yields:
        :class:`ImportPlanned` first, :class:`ItemImported` per image that the project has, then
        :class:`ImportFinished`. Closing it leaves whole files only; what was imported stays, as a step of each image.

    Raises:
        SourceError: The source cannot be read.
        StorageError: A mask could not be written; those before it are.
        ClassSetError: No id is left for a new class; images before it are imported.
        PspnetError: A package that the format needs is not installed.
        ValueError: There is no such format.
    """
    files = SourceFiles(source)
    try:
        format_id = format_id or guess_format(files)
        if format_id is None:
            raise SourceError(
                f"Nobody knows what {files.source.name} is.",
                f"{files.source}.",
                "Choose the format of the annotations.",
            )
        reader = reader_of(format_id)(files)
        yield from _Run(project, reader, options, open_planes or {}).events(format_id)
    finally:
        files.close()


class _Run:
    """One import under way."""

    def __init__(
        self, project: Project, reader: Reader, options: ImportOptions, open_planes: Mapping[str, Planes]
    ) -> None:
        self._project, self._reader, self._options, self._open = project, reader, options, open_planes
        adder = _Adder(
            project, options.dry_run
        )  # no method of this: the two would keep each other, and all that was read
        self._match = ClassMatch(reader.classes, project.classes, options.classes, adder)
        self._remarks = Remarks()
        self._failures: list[Notice] = []
        self._num_changed = self._num_pixels = 0
        self._has_saved = False

    def events(self, format_id: str) -> Iterator[ImportEvent]:
        pairs, num_entries = self._pairs()
        yield ImportPlanned(format_id, self._match.rows, num_entries, len(pairs))
        try:
            for done, (entry, item) in enumerate(pairs, 1):
                patch = self._import(entry, item)
                num_pixels = 0 if patch is None else patch.num_changed
                self._num_changed += patch is not None
                self._num_pixels += num_pixels
                is_saved = patch is not None and not self._options.dry_run and item.key not in self._open
                yield ItemImported(done, len(pairs), item.key, num_pixels, patch, is_saved)
        finally:
            if self._has_saved:
                self._project.save()
        yield ImportFinished(
            self._num_changed,
            self._num_pixels,
            self._match.used,
            tuple(self._match.added),
            tuple(self._failures),
            self._remarks.to_tuple(),
            self._options.dry_run,
        )

    def _pairs(self) -> tuple[list[tuple[Entry, Item]], int]:
        """Images of the source and the items that they are."""
        for name in self._reader.files.refused:
            self._remarks.add("files lead out of the source and were not looked at", name)
        self._remarks.extend(self._reader.problems, self._reader.files.source.name)
        matcher, pairs, num_entries = Matcher(self._project.items), [], 0
        for entry in self._reader.entries():
            num_entries += 1
            if not is_inside(entry.name):
                self._remarks.add("image names lead out of the source and were refused", repr(entry.name)[:60])
                continue
            keys = matcher.find(entry.name) or (matcher.find(entry.other_name) if entry.other_name else ())
            if len(keys) == 1:
                pairs.append((entry, self._project.item(keys[0])))
            elif keys:
                self._remarks.add("images fit several images of the project and were left out", entry.name)
            else:
                self._remarks.add("images are not in the project", entry.name)
        return pairs, num_entries

    def _import(self, entry: Entry, item: Item) -> MaskPatch | None:
        try:
            info = read_info(item.image_path, item.page)
            if entry.size is not None and entry.size != (info.width, info.height):
                raise SourceError(
                    f"The annotation is for {entry.size[0]} × {entry.size[1]} pixels, "
                    f"the image has {info.width} × {info.height}.",
                    "It was made for a smaller copy, or for the image before it was turned upright.",
                )
            num_added = len(self._match.added)
            loaded = self._reader.load(entry, info.height, info.width, self._match.id_of)
            self._tell(loaded, item)
            planes, found = (self._open[item.key], None) if item.key in self._open else load_planes(self._project, item)
        except (ImageReadError, ClassMapError, SourceError) as error:
            self._failures.append(_failure(item, error))
            return None
        patch, num_kept = patch_of(item.key, planes, loaded, self._options.over)
        if num_kept:
            self._remarks.add("pixels were labelled by hand or accepted and stay as they are", item.key, num_kept)
        if patch is None or self._options.dry_run:
            return patch
        if len(self._match.added) > num_added:
            self._project.save()  # before a mask that holds the new ids
        if found is not None:
            try:
                save_change(self._project, item, planes, patch, found)
            except NOT_OURS as error:
                self._failures.append(_failure(item, error))
                return None
            if self._project.state(item.key).status is Status.NEW:
                self._project.set_state(item.key, status=Status.IN_PROGRESS)
            self._has_saved = True
        return patch

    def _tell(self, loaded: Loaded, item: Item) -> None:
        self._remarks.extend(loaded.problems, item.key)
        if loaded.num_overlapping:
            title = "pixels were claimed by several shapes: the later one has them"
            self._remarks.add(title, item.key, loaded.num_overlapping)


def patch_of(item_key: str, planes: Planes, loaded: Loaded, over: Over) -> tuple[MaskPatch | None, int]:
    """The change that takes over what was loaded.

    Args:
        item_key: Whose planes.
        planes: Not changed.
        loaded: Of the same size.
        over: Which labelled pixels may change.

    Returns:
        None when nothing changes; how many pixels would, but may not.
    """
    class_plane, provenance_plane = planes
    bounds, num_kept, blocks = class_plane.rect, 0, []
    may_change = np.isin(np.arange(256), [int(value) for value in _MAY_CHANGE[over]])
    for y in range(0, bounds.h, _TILE_PX):
        for x in range(0, bounds.w, _TILE_PX):
            rect = Rect(x, y, _TILE_PX, _TILE_PX).intersect(bounds)
            new = loaded.class_map[rect.slices]
            if (new == UNLABELLED).all():
                continue
            class_map, provenance = class_plane.read(rect), provenance_plane.read(rect)
            wanted: BoolMask = (new != UNLABELLED) & (new != class_map)
            taken = wanted & may_change[provenance]
            num_kept += int(np.count_nonzero(wanted & ~taken))
            new_provenance = np.where(taken, np.uint8(Provenance.IMPORTED), provenance)
            blocks.append(
                PatchBlock.between(rect, class_map, np.where(taken, new, class_map), provenance, new_provenance)
            )
    return MaskPatch.of(item_key, LABEL, blocks), num_kept


class _Adder:
    """Adds classes to a project, or in a dry run to what it would become."""

    def __init__(self, project: Project, is_dry_run: bool) -> None:
        self._project, self._is_dry_run, self._classes = project, is_dry_run, project.classes

    def __call__(self, name: str, color: Color | None, wanted: int) -> int:
        if self._is_dry_run:
            self._classes = self._classes.add(name, color, wanted if wanted in self._classes.free_indices else None)
            return self._classes.indices[-1]
        return self._project.add_class(name, color, wanted).indices[-1]


def _failure(item: Item, error: PspnetError) -> Notice:
    return Notice(error.title, error.detail, error.remedy, item.key)
