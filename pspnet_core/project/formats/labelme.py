"""labelme JSON: ``<out>/<path of the image>.json``, to be put beside the images.

One shape for each connected region: a polygon, or a ``mask`` shape (a small PNG in the JSON, labelme 5.2 and later)
where it has holes. labelme knows classes by name only. On import later shapes lie over earlier ones.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from pspnet_core.imaging.decoding import DecoderError, decoder
from pspnet_core.project.formats.png import mirrored_places
from pspnet_core.project.formats.reading import Entry, Loaded, Reader, SourceClass, TargetId, parse_json, size_of
from pspnet_core.project.formats.shapes import Shape
from pspnet_core.project.formats.source_files import SourceError, SourceFiles
from pspnet_core.project.formats.writing import (
    ExportJob,
    Labelled,
    OutFile,
    Writer,
    image_file,
    image_place,
    json_file,
    text_file,
)
from pspnet_core.project.project import Item
from pspnet_core.types import BoolMask, Rect

_VERSION = "5.5.0"  # of labelme, whose files these are like
_NOT_FILLED = frozenset({"line", "linestrip", "point", "points"})


class LabelmeWriter(Writer):
    """One JSON per image."""

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        places = mirrored_places(job.items, "annotations", ".json")
        self._places = {key: place.removeprefix("annotations/") for key, place in places.items()}

    def places_of(self, item: Item) -> list[str]:
        place = self._places[item.key]
        return [place, *([image_place(item, place.removesuffix(".json"))] if self.job.with_images else [])]

    def final_places(self) -> list[str]:
        return ["labels.txt"]

    def final_files(self) -> Iterator[OutFile]:
        # What labelme's own converters ask for, in their order.
        names = ["__ignore__", "_background_", *self.job.project.classes.names]
        yield text_file("labels.txt", "\n".join(names) + "\n")

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        item, places = labelled.item, self.places_of(labelled.item)
        image = PurePosixPath(places[1]).name if len(places) > 1 else item.image_path.name
        height, width = labelled.class_map.shape
        if item.page:
            self.job.remarks.add("pages of a TIFF after the first are opened by no labelme", item.key)
        yield json_file(
            places[0],
            {
                "version": _VERSION,
                "flags": {},
                "shapes": [self._shape(shape) for shape in self.shapes_of(labelled)],
                "imagePath": image,
                "imageData": None,
                "imageHeight": height,
                "imageWidth": width,
            },
        )
        if len(places) > 1:
            yield image_file(labelled, places[1], self.job.remarks)

    def _shape(self, shape: Shape) -> dict[str, Any]:
        region = shape.region
        row: dict[str, Any] = {"label": self.name_of(region.class_id), "group_id": None, "description": "", "flags": {}}
        if shape.polygon is not None:
            return row | {"points": shape.polygon.tolist(), "shape_type": "polygon", "mask": None}
        rect = region.rect
        corners = [[rect.x, rect.y], [rect.right - 1, rect.bottom - 1]]  # both belong to it
        return row | {"points": corners, "shape_type": "mask", "mask": _packed(region.mask)}


class LabelmeReader(Reader):
    """All labelme files of a source."""

    def __init__(self, files: SourceFiles) -> None:
        super().__init__(files)
        labels: dict[str, None] = {}
        self._entries: list[Entry] = []
        for name in files.with_suffix(".json"):
            data = parse_json(files, name)
            if not isinstance(data, dict) or not isinstance(data.get("shapes"), list):
                continue
            for shape in data["shapes"]:
                if isinstance(shape, dict) and str(shape.get("label", "")).strip():
                    labels[str(shape["label"]).strip()] = None
            size = size_of(data.get("imageWidth"), data.get("imageHeight"))
            self._entries.append(Entry(_image_name(name, data.get("imagePath")), size, name))
        if not self._entries:
            raise SourceError(
                f"There is no labelme file in {files.source.name}.", "Expected JSON with shapes.", "Check the format."
            )
        self.classes = [SourceClass(label) for label in sorted(labels)]
        self._positions = {c.name: position for position, c in enumerate(self.classes)}

    def entries(self) -> Iterator[Entry]:
        yield from self._entries

    def load(self, entry: Entry, height: int, width: int, target: TargetId) -> Loaded:
        loaded = Loaded(height, width)
        for shape in parse_json(self.files, entry.handle)["shapes"]:
            position = self._positions.get(str(shape.get("label", "")).strip()) if isinstance(shape, dict) else None
            class_id = None if position is None else target(position)
            if class_id is not None:
                try:
                    _paint(loaded, shape, class_id)
                except (ValueError, TypeError, KeyError, IndexError, OverflowError):
                    loaded.problems.append("shapes that are damaged are left out")
        return loaded


def _image_name(path: str, image_path: Any) -> str:
    """What names the image: the place of the JSON, with the suffix of the image that it names; never a way out."""
    suffix = ""
    if isinstance(image_path, str):
        suffix = PurePosixPath(image_path.replace("\\", "/")).suffix
    return path.removesuffix(".json") + suffix if suffix.isprintable() else path.removesuffix(".json")


def _paint(loaded: Loaded, shape: dict[str, Any], class_id: int) -> None:
    kind = shape.get("shape_type") or "polygon"
    points = np.asarray(shape["points"], np.float64)
    if kind == "mask":
        x, y = (round(float(v)) for v in points[0])
        height, width = loaded.class_map.shape
        mask = _unpacked(shape["mask"], height * width)
        rect = Rect(x, y, mask.shape[1], mask.shape[0])
        inner = rect.intersect(Rect(0, 0, width, height))
        part = mask[inner.y - y : inner.bottom - y, inner.x - x : inner.right - x]
        loaded.paint(inner, np.ascontiguousarray(part), class_id)
    elif kind == "polygon":
        loaded.paint_polygon(points, class_id)
    elif kind == "rectangle":
        (left, top), (right, bottom) = points
        loaded.paint_polygon([(left, top), (right, top), (right, bottom), (left, bottom)], class_id)
    elif kind == "circle":
        (x, y), rim = points[0], points[1]
        angles = np.linspace(0, 2 * np.pi, 361)[:-1]
        radius = float(np.hypot(*(rim - points[0])))
        loaded.paint_polygon(np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1), class_id)
    else:
        what = "lines and points" if kind in _NOT_FILLED else "shapes of an unknown kind"
        loaded.problems.append(f"{what} enclose nothing and are left out")


def _packed(mask: BoolMask) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _unpacked(text: Any, max_pixels: int) -> BoolMask:
    """The mask in a shape, which is no larger than its image. Raises: ValueError."""
    try:
        data = base64.b64decode(text, validate=True)
        with decoder(), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.width * image.height > max_pixels:
                raise ValueError("a mask is too large")
            return np.asarray(image.convert("L")) > 0
    except (binascii.Error, TypeError, DecoderError) as error:
        raise ValueError("a mask is damaged") from error
