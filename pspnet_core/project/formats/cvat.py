"""CVAT for images 1.1: ``<out>/annotations.xml``.

One shape for each connected region: a polygon, or a ``mask`` where it has holes. ``name`` is the path of the image in
the project. CVAT draws a shape of higher ``z_order`` over a lower one, and so does the import.

Source: https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat/
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from pspnet_core.atomic import atomic_writer
from pspnet_core.project.formats.reading import Entry, Loaded, Reader, SourceClass, TargetId, color_of, size_of
from pspnet_core.project.formats.shapes import Shape
from pspnet_core.project.formats.source_files import SourceError, SourceFiles
from pspnet_core.project.formats.writing import ExportJob, Labelled, OutFile, Writer, image_file, image_place
from pspnet_core.project.project import Item
from pspnet_core.types import BoolMask, Rect

_FILE = "annotations.xml"
_SPOOL_BYTES = 16 * 1024 * 1024
_SHAPES = frozenset({"polygon", "mask", "box", "polyline", "points", "cuboid", "ellipse", "skeleton", "tag"})
_MAX_NUMBERS = 1 << 26


class CvatWriter(Writer):
    """One XML for all images."""

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115
        self._num_images = 0

    def places_of(self, item: Item) -> list[str]:
        return [image_place(item, "images/" + item.key.rpartition(".")[0])] if self.job.with_images else []

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        item = labelled.item
        height, width = labelled.class_map.shape
        name = item.key
        for place in self.places_of(item):
            name = place.removeprefix("images/")
            yield image_file(labelled, place, self.job.remarks)
        head = f'  <image id="{self._num_images}" name={_attribute(name)} width="{width}" height="{height}">\n'
        self._spool.write(head.encode())
        for order, shape in enumerate(self.shapes_of(labelled)):
            self._spool.write(self._row(shape, order).encode())
        self._spool.write(b"  </image>\n")
        self._num_images += 1

    def final_places(self) -> list[str]:
        return [_FILE]

    def final_files(self) -> Iterator[OutFile]:
        yield OutFile(_FILE, partial(self._write))

    def close(self) -> None:
        self._spool.close()

    def _row(self, shape: Shape, order: int) -> str:
        region = shape.region
        common = f'label={_attribute(self.name_of(region.class_id))} source="manual" occluded="0" z_order="{order}"'
        if shape.polygon is None:
            rect = region.rect
            runs = ", ".join(map(str, _runs(region.mask)))
            box = f'left="{rect.x}" top="{rect.y}" width="{rect.w}" height="{rect.h}"'
            return f'    <mask {common} rle="{runs}" {box}></mask>\n'
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in shape.polygon.tolist())
        return f'    <polygon {common} points="{points}"></polygon>\n'

    def _write(self, path: Path) -> None:
        labels = "".join(
            f"<label><name>{escape(_plain(c.name))}</name><color>#{c.color[0]:02x}{c.color[1]:02x}{c.color[2]:02x}</color>"
            "<type>any</type><attributes></attributes></label>\n"
            for c in self.job.project.classes
        )
        self._spool.seek(0)
        with atomic_writer(path) as stream:
            stream.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
            task = f"<meta><task><size>{self._num_images}</size><mode>annotation</mode><overlap>0</overlap>"
            stream.write(f"{task}<labels>\n{labels}</labels></task></meta>\n".encode())
            while chunk := self._spool.read(1 << 20):
                stream.write(chunk)
            stream.write(b"</annotations>\n")


class CvatReader(Reader):
    """The XML files of a source. A document type, and with it every entity, is refused."""

    def __init__(self, files: SourceFiles) -> None:
        super().__init__(files)
        self._labels: dict[str, SourceClass] = {}
        self._images: list[Entry] = []
        self._has_root = False
        for name in files.with_suffix(".xml"):
            self._parse(name)
        if not self._has_root:
            raise SourceError(
                f"There is no CVAT annotation in {files.source.name}.",
                "Expected annotations.xml of 'CVAT for images 1.1'.",
                "Check the file and the format.",
            )
        self.classes = list(self._labels.values())
        self._positions = {name: position for position, name in enumerate(self._labels)}

    def entries(self) -> Iterator[Entry]:
        yield from self._images

    def load(self, entry: Entry, height: int, width: int, target: TargetId) -> Loaded:
        loaded = Loaded(height, width)
        for kind, fields in sorted(entry.handle, key=_order):
            position = self._positions.get(fields.get("label", "").strip())
            class_id = None if position is None else target(position)
            if class_id is None:
                continue
            try:
                _paint(loaded, kind, fields, class_id)
            except (ValueError, KeyError, IndexError, OverflowError):
                loaded.problems.append("shapes that are damaged are left out")
        return loaded

    def _parse(self, name: str) -> None:
        parser = expat.ParserCreate()
        shapes: list[tuple[str, dict[str, str]]] = []
        label: dict[str, str] = {}
        path: list[str] = []

        def on_start(tag: str, fields: dict[str, str]) -> None:
            path.append(tag)
            self._has_root = self._has_root or path == ["annotations"]
            if tag == "image" and len(path) == 2:
                shapes.clear()
                label.clear()
                self._begin(fields)
            elif len(path) == 3 and path[1] == "image" and tag in _SHAPES and self._images:
                text = fields.get("label", "").strip()
                if text:
                    self._labels.setdefault(text, SourceClass(text))
                self._images[-1].handle.append((tag, fields))

        def on_end(tag: str) -> None:
            if tag == "label" and path[-2:-1] == ["labels"] and label.get("name", "").strip():
                text = label["name"].strip()
                self._labels[text] = SourceClass(text, color_of(label.get("color")))
                label.clear()
            path.pop()

        def on_text(data: str) -> None:
            if path[-2:-1] == ["label"] and path[-1] in ("name", "color"):
                label[path[-1]] = label.get(path[-1], "") + data

        def on_doctype(*_: Any) -> None:
            raise SourceError(f"{name} declares a document type.", "Entities could be anything: it is not read.")

        parser.StartElementHandler, parser.EndElementHandler = on_start, on_end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = on_text, on_doctype
        try:
            parser.Parse(self.files.read(name), True)
        except (expat.ExpatError, LookupError, ValueError) as error:  # LookupError: an encoding that is none
            raise SourceError(f"{name} is not XML.", f"{error}.") from error

    def _begin(self, fields: dict[str, str]) -> None:
        self._images.append(Entry(fields.get("name", ""), size_of(fields.get("width"), fields.get("height")), []))


def _order(row: tuple[str, dict[str, str]]) -> float:
    try:
        order = float(row[1].get("z_order", "0"))
    except ValueError:
        return 0.0
    return order if np.isfinite(order) else 0.0


def _paint(loaded: Loaded, kind: str, fields: dict[str, str], class_id: int) -> None:
    if kind == "polygon":
        loaded.paint_polygon([point.split(",") for point in fields["points"].split(";")], class_id)
    elif kind == "mask":
        rect = Rect(*(round(float(fields[name])) for name in ("left", "top", "width", "height")))
        height, width = loaded.class_map.shape
        if rect.is_empty or rect.intersect(Rect(0, 0, width, height)) != rect:
            raise ValueError("a mask reaches over its image")
        loaded.paint(rect, _mask(fields["rle"], rect), class_id)
    elif kind == "box":
        left, top, right, bottom = (float(fields[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        loaded.paint_polygon([(left, top), (right, top), (right, bottom), (left, bottom)], class_id)
    else:
        loaded.problems.append("shapes that enclose nothing (lines, points, tags) are left out")


def _runs(mask: BoolMask) -> list[int]:
    """Lengths of runs row by row; the first is of pixels that are not in the mask."""
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate([[0], changes, [flat.size]])
    runs: list[int] = np.diff(ends).tolist()
    return [0, *runs] if flat[0] else runs


def _mask(text: str, rect: Rect) -> BoolMask:
    if len(text) > _MAX_NUMBERS:
        raise ValueError("too many runs")
    runs = [int(part) for part in text.split(",")]
    if min(runs) < 0 or sum(runs) != rect.w * rect.h:
        raise ValueError("runs do not fill their box")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(rect.h, rect.w)


def _attribute(text: str) -> str:
    return quoteattr(_plain(text))


def _plain(text: str) -> str:
    """Without characters that XML cannot hold."""
    return "".join(c if c.isprintable() else " " for c in text)
