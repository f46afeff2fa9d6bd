"""Class maps of a project as PNG files that other programs read, in the layout of a data set.

``<out>/masks/<split>/<path>.png`` and ``<out>/classes.json``: with the images in ``<out>/images/<split>/<path>`` the
folder can be trained on. Split is train, val, test or none.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from pspnet_core.atomic import write_json
from pspnet_core.errors import ClassMapError, ImageReadError, ProjectError, PspnetError
from pspnet_core.imaging.class_maps import write_class_map, write_png
from pspnet_core.imaging.read import read_info
from pspnet_core.imaging.stamp import SOFTWARE, is_stamped, stamp
from pspnet_core.project.discovery import is_image_folder, split_of_folder
from pspnet_core.project.project import Item, Notice, Project
from pspnet_core.types import UNLABELLED, ClassMap

FORMATS = ("png", "png-palette", "color")
"""Grey class ids; class ids with a palette; a picture in the colours of the classes (no class map any more)."""

_KIND = "export"  # on the stamp of its files


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """One more item was looked at.

    Attributes:
        done: Items so far.
        total: Items with a mask.
        path: The file that was written; None when the item had nothing to write.
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
        num_written: Files written.
        num_empty: Items left out because no pixel of them is labelled.
        failures: One for each item whose mask or image could not be read.
        notices: What a person should know about the others.
    """

    folder: Path
    num_written: int
    num_empty: int
    failures: tuple[Notice, ...]
    notices: tuple[Notice, ...]

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {
            "event": "finished",
            "folder": str(self.folder),
            "num_written": self.num_written,
            "num_empty": self.num_empty,
            "failures": [{"item": n.item_key, "title": n.title, "detail": n.detail} for n in self.failures],
        }


def export_masks(
    project: Project,
    out: Path,
    format: str = "png",  # noqa: A002 - the name of the command-line option
) -> Iterator[ExportProgress | ExportFinished]:
    """Write the saved masks of a project, one file after the other, each atomically.

    Files of an earlier export are replaced while their pixels are still those that were exported. All other files that
    are in the way are found before the first is written.

    Args:
        project: Its saved planes, or the masks found beside its images, are written.
        out: Folder for the export; it is made.
        format: One of :data:`FORMATS`.

    Yields:
        :class:`ExportProgress` per item, :class:`ExportFinished` last. Closing it leaves whole files only.

    Raises:
        ProjectError: No mask at all, or files of someone else are in the way; nothing was written.
        StorageError: A file could not be written.
        ValueError: There is no such format.
    """
    items, targets, out = _prepare(project, out, format)
    num_written, num_empty = 0, 0
    failures: list[Notice] = []
    notices: list[Notice] = []
    for done, item in enumerate(items, 1):
        path = None
        try:
            class_map, told = _load(project, item)
            notices += told
            if (class_map != UNLABELLED).any():
                path = targets[item.key]
                _write(path, class_map, project, format)
                num_written += 1
            else:
                num_empty += 1
        except (ImageReadError, ClassMapError) as error:
            failures.append(_failure(item, error))
        yield ExportProgress(done, len(items), path)
    # Last: masks that were read meanwhile may have brought classes.
    write_json(out / "classes.json", project.classes.to_json() | {"software": SOFTWARE})
    yield ExportFinished(out, num_written, num_empty, tuple(failures), tuple(notices))


def _prepare(project: Project, out: Path, form: str) -> tuple[list[Item], dict[str, Path], Path]:
    """Items with a mask, the file for each by key, and the absolute folder; refuses what cannot be exported."""
    if form not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {form!r}")
    out = Path(os.path.abspath(out))
    items = [item for item in project.items if project.has_annotation(item)]
    if not items:
        raise ProjectError(
            f"There is no mask to export in {project.root.name}.",
            f"None of its {len(project.items)} image(s) is labelled.",
            "Paint or accept something first.",
        )
    _check_place(project, out)
    targets = _targets(items, out / ("color" if form == "color" else "masks"))
    foreign = [path for path in [*targets.values(), out / "classes.json"] if _is_foreign(path)]
    if foreign:
        raise _in_the_way(foreign)
    return items, targets, out


def _load(project: Project, item: Item) -> tuple[ClassMap, tuple[Notice, ...]]:
    info = read_info(item.image_path, item.page)
    annotation = project.load_annotation(item, info.width, info.height)
    return annotation.class_map, annotation.notices


def _write(path: Path, class_map: ClassMap, project: Project, form: str) -> None:
    if form == "color":
        colors = project.classes.lut()[class_map]
        write_png(path, Image.fromarray(colors), stamp(_KIND, colors))
    else:
        write_class_map(path, class_map, project.classes if form == "png-palette" else None, stamp(_KIND, class_map))


def _targets(items: list[Item], folder: Path) -> dict[str, Path]:
    """The file for each item; images that differ only in their suffix keep it, so that each finds its own mask."""
    places = {item.key: _place(item) for item in items}
    shared = Counter(place.with_suffix("") for place in places.values())
    short = {
        key: folder / (f"{place}.png" if shared[place.with_suffix("")] > 1 else place.with_suffix(".png"))
        for key, place in places.items()
    }
    if len(set(short.values())) == len(items):
        return short
    return {key: folder / f"{place}.png" for key, place in places.items()}


def _place(item: Item) -> PurePosixPath:
    """``<split>/<rest of the key>``, without the folder that named the split and a leading folder "images"."""
    *folders, name = item.key.split("/")
    if folders and is_image_folder(folders[0]):
        del folders[0]
    named = [position for position, folder in enumerate(folders) if split_of_folder(folder) is not None]
    if named:
        del folders[named[-1]]
    return PurePosixPath(item.split.value, *folders, name)


def _check_place(project: Project, out: Path) -> None:
    if out == project.folder or out.is_relative_to(project.folder):
        raise ProjectError(
            f"{out.name} belongs to the project itself.",
            f"{out} lies in {project.folder}.",
            "Choose another folder.",
        )
    if out.exists() and not out.is_dir():
        raise ProjectError(f"{out.name} is a file.", f"{out}.", "Choose a folder.")


def _is_foreign(path: Path) -> bool:
    """Whether something lies at a path that this program did not write, or that was edited since."""
    if not path.exists():
        return False
    if path.name == "classes.json":
        try:
            data = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return True
        return not isinstance(data, dict) or data.get("software") != SOFTWARE
    return not is_stamped(path, _KIND)


def _in_the_way(foreign: list[Path]) -> ProjectError:
    return ProjectError(
        f"{len(foreign)} file(s) are in the way of the export.",
        f"For example {foreign[0]}: it was not written by an export, or was changed since.",
        "Choose an empty folder. Nothing was written.",
    )


def _failure(item: Item, error: PspnetError) -> Notice:
    return Notice(error.title, error.detail, error.remedy, item.key)
