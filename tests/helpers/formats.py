"""Projects to export and import, and what an export holds when it is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pspnet_core.classes import ClassSet
from pspnet_core.project.formats.exporting import ExportFinished, export_project
from pspnet_core.project.formats.importing import ImportFinished, ImportOptions, import_annotations
from pspnet_core.project.formats.writing import ExportOptions
from pspnet_core.project.project import Project
from tests.helpers.tiny_files import put_image

CLASSES = ClassSet().add("field", (10, 200, 30)).add("roof: red", (200, 20, 10)).add("water", (10, 20, 200), 7)


def ring_map(width: int = 14, height: int = 10) -> np.ndarray:
    """A region with a hole in which another class lies, single pixels, pixels that touch at a corner, and 255."""
    values = np.full((height, width), 255, np.uint8)
    values[1:8, 1:9] = 0
    values[3:6, 3:7] = 255
    values[4, 4] = 1
    values[0, 13] = 7
    values[8, 10], values[9, 11] = 7, 7
    values[2:5, 11:14] = 1
    values[3, 12] = 0
    return values


def make_project(root: Path, maps: dict[str, np.ndarray], classes: ClassSet = CLASSES) -> Project:
    """A project whose images have these class maps, all painted by hand."""
    for key, class_map in maps.items():
        put_image(root / key, class_map.shape[1], class_map.shape[0])
    project = Project.open(root)
    project.set_classes(classes)
    for key, class_map in maps.items():
        project.save_annotation(project.item(key), class_map, (class_map != 255).astype(np.uint8) * 2)
    project.save()
    return project


def bare_copy(project: Project, root: Path) -> Project:
    """A project of the same images without a class or a mask."""
    for item in project.items:
        target = root / item.key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(item.image_path.read_bytes())
    return Project.open(root)


def export(project: Project, out: Path, form: str, **options) -> ExportFinished:
    """Export; the last event."""
    finished = list(export_project(project, out, form, ExportOptions(**options)))[-1]
    assert isinstance(finished, ExportFinished)
    return finished


def take_over(project: Project, source: Path, form: str | None = None, **options) -> ImportFinished:
    """Import; the last event."""
    finished = list(import_annotations(project, source, form, ImportOptions(**options)))[-1]
    assert isinstance(finished, ImportFinished)
    return finished


def named(project: Project, key: str) -> np.ndarray:
    """The saved class map of an item with the names of the classes in place of ids; "" where there is none."""
    item = project.item(key)
    from pspnet_core.imaging.read import read_info

    info = read_info(item.image_path)
    class_map = project.load_annotation(item, info.width, info.height).class_map
    names = np.array([project.classes[i].name if i in project.classes else f"? {i}" for i in range(255)] + [""])
    return names[class_map]
