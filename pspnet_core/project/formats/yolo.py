"""YOLO segmentation: ``labels/<split>/<name>.txt`` beside ``images/<split>/<name>.*`` and ``data.yaml``.

A line is the number of a class and an outline, each coordinate as a share of the width or height. A hole is part of the
outline, reached by a cut of no width. YOLO numbers classes without gaps, in the order of their ids here. On import
later lines lie over earlier ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from pspnet_core.imaging.class_maps import ids_of
from pspnet_core.project.formats.reading import Entry, Loaded, Reader, SourceClass, TargetId
from pspnet_core.project.formats.shapes import Ring
from pspnet_core.project.formats.source_files import SourceError, SourceFiles
from pspnet_core.project.formats.writing import ExportJob, Labelled, OutFile, Writer, image_file, image_place, text_file
from pspnet_core.project.project import Item, Split
from pspnet_core.types import UNLABELLED

_DIGITS = 8  # exact to a thousandth of a pixel at any size
_MAX_CLASSES = 10_000
_ROW = re.compile(r"^(\s*)(?:-\s+|(\d+)\s*:\s*)(.+?)\s*$")


class YoloWriter(Writer):
    """A folder that ultralytics trains on and supervision reads."""

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        ordered = sorted(job.project.classes.indices)
        self._numbers = {class_id: number for number, class_id in enumerate(ordered)}
        self._splits: set[str] = set()

    def places_of(self, item: Item) -> list[str]:
        name, split = self.names[item.key], self.split_of(item)
        image = image_place(item, f"images/{split}/{name}")
        return [f"labels/{split}/{name}.txt", *([image] if self.job.with_images else [])]

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        places = self.places_of(labelled.item)
        for class_id in ids_of(labelled.class_map):
            self._numbers.setdefault(class_id, len(self._numbers))
        height, width = labelled.class_map.shape
        lines = [
            f"{self._numbers[shape.region.class_id]} {_shares(shape.polygon, width, height)}\n"
            for shape in self.shapes_of(labelled, "polygon")
            if shape.polygon is not None
        ]
        self._splits.add(self.split_of(labelled.item))
        yield text_file(places[0], "".join(lines))
        if len(places) > 1:
            yield image_file(labelled, places[1], self.job.remarks)

    def final_places(self) -> list[str]:
        return ["data.yaml"]

    def final_files(self) -> Iterator[OutFile]:
        train = "train" if "train" in self._splits else min(self._splits, default="train")
        if "val" not in self._splits:
            self.job.remarks.add(f"data.yaml has no val split, which trainers demand: it names {train}", "data.yaml")
        lines = [f"train: images/{train}", f"val: images/{'val' if 'val' in self._splits else train}"]
        if Split.TEST.value in self._splits:
            lines.append("test: images/test")
        lines += [f"nc: {len(self._numbers)}", "names:"]
        # A string of JSON is one of YAML, too.
        named = sorted((number, self.name_of(class_id)) for class_id, number in self._numbers.items())
        lines += [f"  {number}: {json.dumps(name, ensure_ascii=False)}" for number, name in named]
        yield text_file("data.yaml", "\n".join(lines) + "\n")


class YoloReader(Reader):
    """Label files; names from data.yaml or classes.txt."""

    def __init__(self, files: SourceFiles) -> None:
        super().__init__(files)
        names = _names(files)
        self.classes = [SourceClass(name, None, min(number, UNLABELLED)) for number, name in enumerate(names)]
        found = files.below("labels", (".txt",))
        skipped = ("classes.txt", "train.txt", "val.txt", "test.txt", "labels.txt")
        self._labels = {p: n for p, n in found.items() if PurePosixPath(p).name.casefold() not in skipped}
        if not self._labels:
            raise SourceError(f"There is no label file in {files.source.name}.", "Expected labels/<split>/<name>.txt.")

    def entries(self) -> Iterator[Entry]:
        for path, name in self._labels.items():
            yield Entry(name, None, path)

    def load(self, entry: Entry, height: int, width: int, target: TargetId) -> Loaded:
        loaded = Loaded(height, width)
        for line in self.files.read(entry.handle).decode("utf-8", "replace").splitlines():
            parts = line.split()
            if not parts:
                continue
            if len(parts) < 7 or len(parts) % 2 == 0:
                loaded.problems.append("lines without an outline (boxes) are left out")
                continue
            try:
                number, shares = int(parts[0]), np.array(parts[1:], np.float64).reshape(-1, 2)
            except (ValueError, OverflowError):
                loaded.problems.append("lines that hold no numbers are left out")
                continue
            class_id = target(number) if 0 <= number < len(self.classes) else None
            if not 0 <= number < len(self.classes):
                loaded.problems.append("lines of classes that data.yaml does not list are left out")
            if class_id is not None:
                loaded.paint_polygon(_whole(shares * (width, height)), class_id)
        return loaded


def _shares(ring: Ring, width: int, height: int) -> str:
    return " ".join(f"{value:.{_DIGITS}f}".rstrip("0").rstrip(".") for value in (ring / (width, height)).ravel())


def _whole(corners: Ring) -> Ring:
    """Corners that a whole number was rounded from go back to it."""
    near = np.round(corners)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(corners - near) < 1e-3, near, corners)


def _names(files: SourceFiles) -> list[str]:
    """Class names by number. Raises: SourceError."""
    path = files.named("data.yaml", "data.yml", "dataset.yaml")
    if path is not None:
        names = _yaml_names(files.read(path).decode("utf-8", "replace"))
    elif (path := files.named("classes.txt")) is not None:
        names = dict(enumerate(line.strip() for line in files.read(path).decode("utf-8", "replace").splitlines()))
    else:
        raise SourceError(
            f"There is no data.yaml in {files.source.name}.",
            "Labels hold numbers only: without it nobody knows what they mean.",
            "Add data.yaml with names, or classes.txt with one name a line.",
        )
    if not names or min(names) < 0 or max(names) >= _MAX_CLASSES:
        raise SourceError(f"No class names could be read from {path}.", 'Expected names: ["a", "b"], or a list.')
    return [names.get(number, "").strip() or f"class {number}" for number in range(max(names) + 1)]


def _yaml_names(text: str) -> dict[int, str]:
    """What ``names:`` holds: a list or a mapping of numbers, in one line or several; no other YAML is understood."""
    names: dict[int, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        head, _, rest = line.partition(":")
        if head.strip() != "names" or head[:1].isspace():
            continue
        rest = rest.partition(" #")[0].strip()
        if rest:
            parts = re.findall(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[^,\[\]{}]+', rest)
            rows = [part.strip() for part in parts if part.strip()]
            if rest.startswith("{"):
                pairs = re.findall(r'(\d{1,6})\s*:\s*("(?:[^"\\]|\\.)*"|\'[^\']*\'|[^,}]+)', rest)
                return {int(number): _unquoted(name) for number, name in pairs}
            return dict(enumerate(_unquoted(row) for row in rows))
        for row in lines:
            match = _ROW.match(row)
            if match is None:
                if row.strip() and not row.strip().startswith("#"):
                    break
                continue
            number = len(names) if match[2] is None else int(match[2][:6])
            names[number] = _unquoted(match[3])
    return names


def _unquoted(text: str) -> str:
    text = text.strip()
    if text[:1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text.strip('"')
    return text[1:-1].replace("''", "'") if text[:1] == "'" and text[-1:] == "'" and len(text) > 1 else text
