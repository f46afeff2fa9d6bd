"""Annotations of a project written for another program: one image after the other, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pspnet_core.errors import ClassMapError, ImageReadError, ProjectError, PspnetError
from pspnet_core.imaging.read import read_info
from pspnet_core.imaging.stamp import SOFTWARE, is_stamped
from pspnet_core.project.formats.catalogue import FORMATS
from pspnet_core.project.formats.png import KIND
from pspnet_core.project.formats.registry import writer_of
from pspnet_core.project.formats.report import Remark
from pspnet_core.project.formats.staging import MANIFEST, Staging, digest_of, known_files
from pspnet_core.project.formats.writing import ExportJob, ExportOptions, Labelled, Writer
from pspnet_core.project.project import Item, Notice, Project
from pspnet_core.types import UNLABELLED

_DEFAULT = ExportOptions()


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """One more item was looked at.

    Attributes:
        done: Items so far.
        total: Items with a mask.
        path: The file that holds its annotation; None when it had nothing to write, or goes into a file for all.
    """

    done: int
    total: int
    path: Path | None

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        path = None if self.path is None else str(self.path)
        return {"event": "progress", "done": self.done, "total": self.total, "path": path}


@dataclass(frozen=True, slots=True)
class ExportFinished:
    """The end of an export.

    Attributes:
        folder: Where the files lie.
        num_written: Items written.
        num_empty: Items left out because no pixel of them is labelled.
        failures: One for each item whose mask or image could not be read.
        notices: What a person should know about the others.
        remarks: What the format could not hold.
        mean_iou: Of what a reader of the polygons gets, with what there was; None for other formats.
        is_dry_run: Nothing was written.
    """

    folder: Path
    num_written: int
    num_empty: int
    failures: tuple[Notice, ...]
    notices: tuple[Notice, ...]
    remarks: tuple[Remark, ...] = ()
    mean_iou: float | None = None
    is_dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {
            "event": "finished",
            "folder": str(self.folder),
            "num_written": self.num_written,
            "num_empty": self.num_empty,
            "failures": [{"item": n.item_key, "title": n.title, "detail": n.detail} for n in self.failures],
            "remarks": [remark.to_json() for remark in self.remarks],
            "mean_iou": self.mean_iou,
            "dry_run": self.is_dry_run,
        }


def export_project(
    project: Project, out: Path, format_id: str, options: ExportOptions = _DEFAULT
) -> Iterator[ExportProgress | ExportFinished]:
    """Write the saved annotations of a project in some format.

    All files are prepared in a folder inside of ``out`` and moved to their places at the end: until then, and when it
    is closed or fails, there is nothing new. Files of an earlier export are replaced as long as they are what was
    exported; all other files that are in the way are found before the first item.

    Args:
        project: Its saved planes, or the masks found beside its images, are written.
        out: Folder for the export; it is made.
        format_id: One of :data:`~pspnet_core.project.formats.catalogue.FORMATS`.
        options: What was chosen.

    Yields:
        :class:`ExportProgress` per item, :class:`ExportFinished` last.

    Raises:
        ProjectError: There is nothing to export, or files of someone else are in the way; nothing was written.
        PspnetError: A package that the format needs is not installed.
        StorageError: A file could not be written.
        ValueError: There is no such format.
    """
    make_writer = writer_of(format_id)
    if not 0 <= options.tolerance_px < float("inf"):
        raise ValueError(f"tolerance_px must be 0 or more, got {options.tolerance_px}")
    out = Path(os.path.abspath(out))
    items = _chosen(project, options)
    check_place(project, out)
    with_images = FORMATS[format_id].with_images if options.with_images is None else options.with_images
    job = ExportJob(project, items, options, with_images)
    writer = make_writer(job)
    try:
        _check_foreign(writer, out)
        yield from _Run(job, writer, out, format_id).events()
    finally:
        writer.close()


class _Run:
    """One export under way."""

    def __init__(self, job: ExportJob, writer: Writer, out: Path, format_id: str) -> None:
        self._job, self._writer, self._out, self._format_id = job, writer, out, format_id
        self._num_written = self._num_empty = 0
        self._failures: list[Notice] = []
        self._notices: list[Notice] = []

    def events(self) -> Iterator[ExportProgress | ExportFinished]:
        if self._job.options.dry_run:
            yield from self._items(None)
            for _ in self._writer.final_files():
                pass
        else:
            with Staging(self._out) as staging:
                yield from self._items(staging)
                # Last: masks that were read meanwhile may have brought classes.
                for file in self._writer.final_files():
                    file.write(staging.path(file.place))
                if not self._writer.has_stamps:
                    staging.write_manifest(self._format_id)
                staging.commit()
        yield ExportFinished(
            self._out,
            self._num_written,
            self._num_empty,
            tuple(self._failures),
            tuple(self._notices),
            self._job.remarks.to_tuple(),
            self._job.agreement.mean_iou if FORMATS[self._format_id].has_shapes else None,
            self._job.options.dry_run,
        )

    def _items(self, staging: Staging | None) -> Iterator[ExportProgress]:
        for done, item in enumerate(self._job.items, 1):
            path = None
            try:
                path = self._write(item, staging)
            except (ImageReadError, ClassMapError) as error:
                self._failures.append(_failure(item, error))
            yield ExportProgress(done, len(self._job.items), path)

    def _write(self, item: Item, staging: Staging | None) -> Path | None:
        info = read_info(item.image_path, item.page)
        annotation = self._job.project.load_annotation(item, info.width, info.height)
        self._notices += annotation.notices
        if not self._job.options.with_empty and not (annotation.class_map != UNLABELLED).any():
            self._num_empty += 1
            return None
        path = None
        for file in self._writer.files_of(Labelled(item, annotation.class_map, info)):
            if staging is not None:
                file.write(staging.path(file.place))
            path = path or self._out.joinpath(*file.place.split("/"))
        self._num_written += 1
        return path


def check_place(project: Project, out: Path) -> None:
    """Whether a folder may take an export. Raises: ProjectError."""
    if out == project.folder or out.is_relative_to(project.folder):
        raise ProjectError(
            f"{out.name} belongs to the project itself.",
            f"{out} lies in {project.folder}.",
            "Choose another folder.",
        )
    if out.exists() and not out.is_dir():
        raise ProjectError(f"{out.name} is a file.", f"{out}.", "Choose a folder.")


def _chosen(project: Project, options: ExportOptions) -> list[Item]:
    of_splits = [item for item in project.items if options.splits is None or item.split in options.splits]
    items = of_splits if options.with_empty else [item for item in of_splits if project.has_annotation(item)]
    if items:
        return items
    splits = "" if options.splits is None else f" of split {', '.join(sorted(options.splits))}"
    raise ProjectError(
        f"There is no mask to export in {project.root.name}.",
        f"None of its {len(of_splits)} image(s){splits} is labelled.",
        "Paint or accept something first.",
    )


def _check_foreign(writer: Writer, out: Path) -> None:
    """Find what is in the way before anything is written. Raises: ProjectError."""
    if not out.exists():
        return
    known = known_files(out)
    places = [place for item in writer.job.items for place in writer.places_of(item)] + writer.final_places()
    foreign = [out / place for place in places if _is_foreign(out, place, known, writer.has_stamps)]
    if os.path.lexists(out / MANIFEST) and not known and not writer.has_stamps:
        foreign.append(out / MANIFEST)
    if foreign:
        raise ProjectError(
            f"{len(foreign)} file(s) are in the way of the export.",
            f"For example {foreign[0]}: it was not written by an export, or was changed since.",
            "Choose an empty folder. Nothing was written.",
        )


def _is_foreign(out: Path, place: str, known: dict[str, str], has_stamps: bool) -> bool:
    """Whether something lies at a place that this program did not write, or that was edited since."""
    path = out.joinpath(*place.split("/"))
    if not os.path.lexists(path):
        return any(os.path.lexists(parent) and not parent.is_dir() for parent in _between(path, out))
    if not path.is_file() or path.is_symlink():
        return True
    if place in known and known[place] == digest_of(path):
        return False
    if not has_stamps:
        return True
    if path.name != "classes.json":
        return not is_stamped(path, KIND)
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(data, dict) or data.get("software") != SOFTWARE


def _between(path: Path, out: Path) -> list[Path]:
    return [parent for parent in path.parents if parent != out and parent.is_relative_to(out)]


def _failure(item: Item, error: PspnetError) -> Notice:
    return Notice(error.title, error.detail, error.remedy, item.key)
