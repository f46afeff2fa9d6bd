"""COCO JSON: ``<out>/annotations/instances_<split>.json``, category id = class id + 1.

``coco`` writes one annotation for each connected region: a polygon, or RLE where it has holes. ``coco-rle`` writes one
for each class and image, always RLE. ``file_name`` is the path of the image in the project (with ``--images`` below
``<out>/images``). On import later annotations lie over earlier ones.

Source of RLE: pycocotools; of the layout: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from pspnet_core.atomic import atomic_writer
from pspnet_core.errors import PspnetError
from pspnet_core.project.formats.reading import (
    Entry,
    Loaded,
    Reader,
    SourceClass,
    TargetId,
    color_of,
    parse_json,
    size_of,
)
from pspnet_core.project.formats.shapes import Region, regions_of
from pspnet_core.project.formats.source_files import SourceError, SourceFiles
from pspnet_core.project.formats.writing import ExportJob, Labelled, OutFile, Writer, image_file, image_place
from pspnet_core.project.project import Item, Split
from pspnet_core.types import UNLABELLED, BoolMask, Rect

_SPOOL_BYTES = 16 * 1024 * 1024


class CocoWriter(Writer):
    """``coco``: connected regions."""

    is_rle = False

    def __init__(self, job: ExportJob) -> None:
        super().__init__(job)
        self._spools: dict[str, IO[bytes]] = {}
        self._images: dict[str, list[dict[str, Any]]] = {file_of(item): [] for item in job.items}
        self._num_images = self._num_annotations = 0
        if self.is_rle:
            mask_tools()  # said before anything is read

    def places_of(self, item: Item) -> list[str]:
        return [image_place(item, "images/" + item.key.rpartition(".")[0])] if self.job.with_images else []

    def files_of(self, labelled: Labelled) -> Iterator[OutFile]:
        item, split = labelled.item, file_of(labelled.item)
        height, width = labelled.class_map.shape
        self._num_images += 1
        row = {"id": self._num_images, "file_name": item.key, "width": width, "height": height}
        for place in self.places_of(item):
            row["file_name"] = place.removeprefix("images/")
            yield image_file(labelled, place, self.job.remarks)
        self._images[split].append(row)
        if split not in self._spools:
            self._spools[split] = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115
        spool = self._spools[split]
        for annotation in self._annotations(labelled):
            self._num_annotations += 1
            spool.write(
                json.dumps({"id": self._num_annotations, "image_id": row["id"], "iscrowd": 0} | annotation).encode()
            )
            spool.write(b"\n")

    def final_places(self) -> list[str]:
        return [f"annotations/{split}" for split in self._images]

    def final_files(self) -> Iterator[OutFile]:
        for split, images in self._images.items():
            if images:
                yield OutFile(f"annotations/{split}", partial(self._write, split))

    def close(self) -> None:
        for spool in self._spools.values():
            spool.close()

    def _annotations(self, labelled: Labelled) -> Iterator[dict[str, Any]]:
        height, width = labelled.class_map.shape
        if self.is_rle:
            for region in regions_of(labelled.class_map, connected=False):
                yield _row(region, _rle(region, height, width))
            return
        for shape in self.shapes_of(labelled):
            if shape.polygon is None:
                yield _row(shape.region, _rle(shape.region, height, width))
            else:
                yield _row(shape.region, [shape.polygon.ravel().tolist()])

    def _write(self, split: str, path: Path) -> None:
        categories = [
            {"id": c.index + 1, "name": c.name, "supercategory": "", "color": list(c.color), "class_id": c.index}
            for c in self.job.project.classes
        ]
        spool = self._spools[split]
        spool.seek(0)
        with atomic_writer(path) as stream:
            head = {"info": {"description": self.job.project.root.name}, "licenses": [], "categories": categories}
            stream.write(json.dumps(head, ensure_ascii=False).encode()[:-1])
            stream.write(b',\n"images": ' + json.dumps(self._images[split], ensure_ascii=False).encode())
            stream.write(b',\n"annotations": [')
            for number, line in enumerate(spool):
                stream.write((b",\n" if number else b"\n") + line.rstrip())
            stream.write(b"]}\n")


class CocoRleWriter(CocoWriter):
    """``coco-rle``: classes."""

    is_rle = True


class CocoReader(Reader):
    """All annotation files of a source together; classes of one name are one class."""

    def __init__(self, files: SourceFiles) -> None:
        super().__init__(files)
        names = [name for name in files.with_suffix(".json") if not name.endswith("classes.json")]
        self._classes: dict[str, SourceClass] = {}
        self._images: list[Entry] = []
        for name in names:
            data = parse_json(files, name)
            if isinstance(data, dict) and isinstance(data.get("images"), list) and "annotations" in data:
                self._take(name, data)
        if not self._images:
            raise SourceError(
                f"There is no COCO annotation in {files.source.name}.",
                "Expected JSON with images, annotations and categories.",
                "Check the file and the format.",
            )
        self.classes = list(self._classes.values())
        self._positions = {name: position for position, name in enumerate(self._classes)}

    def entries(self) -> Iterator[Entry]:
        yield from self._images

    def load(self, entry: Entry, height: int, width: int, target: TargetId) -> Loaded:
        loaded = Loaded(height, width)
        for class_name, segmentation in entry.handle:
            class_id = None if class_name is None else target(self._positions[class_name])
            if class_id is None:
                if class_name is None:
                    loaded.problems.append("annotations of unknown categories are left out")
                continue
            if isinstance(segmentation, dict):
                try:
                    rect, mask = decoded(segmentation, height, width)
                except ValueError as error:
                    loaded.problems.append(f"annotations are left out: {error}")
                    continue
                loaded.paint(rect, mask, class_id)
            elif isinstance(segmentation, list) and segmentation:
                for ring in segmentation:
                    _paint_ring(loaded, ring, class_id)
            else:
                loaded.problems.append("annotations without an outline (boxes) are left out")
        return loaded

    def _take(self, name: str, data: dict[str, Any]) -> None:
        categories: dict[Any, str] = {}
        for row in _rows(data.get("categories")):
            label = str(row.get("name", "")).strip()
            number, wanted = row.get("id"), row.get("class_id")
            if not label or not isinstance(number, int):
                continue
            categories[number] = label
            wanted = wanted if isinstance(wanted, int) and 0 <= wanted < UNLABELLED else UNLABELLED
            self._classes.setdefault(label, SourceClass(label, color_of(row.get("color")), wanted))
        found: dict[Any, list[tuple[str | None, Any]]] = defaultdict(list)
        for row in _rows(data.get("annotations")):
            number, category = row.get("image_id"), row.get("category_id")
            if isinstance(number, int | str) and isinstance(category, int):
                found[number].append((categories.get(category), row.get("segmentation")))
        for row in _rows(data["images"]):
            number, file_name = row.get("id"), row.get("file_name")
            if isinstance(file_name, str) and isinstance(number, int | str):
                handle = found.get(number, [])
                self._images.append(Entry(file_name, size_of(row.get("width"), row.get("height")), handle))
            else:
                self.problems.append("images without a name are left out")
        if not categories:
            raise SourceError(f"{name} lists no category.", "Expected categories with id and name.")


def file_of(item: Item) -> str:
    """The file that an item's annotations go to."""
    return f"instances_{'default' if item.split is Split.NONE else item.split.value}.json"


def mask_tools() -> Any:
    """``pycocotools.mask``. Raises: PspnetError when it is not installed."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise PspnetError(
            "RLE needs the package pycocotools.",
            f"It could not be imported: {error}.",
            "Install it: pip install 'pspnet-studio[coco]'",
        ) from error
    return mask


def decoded(segmentation: dict[str, Any], height: int, width: int) -> tuple[Rect, BoolMask]:
    """The columns of an image that an RLE, plain or packed, has pixels in, and their mask.

    Not by pycocotools: that is C code which trusts its input, and it decodes the whole image for each region.

    Raises:
        ValueError: It is damaged or of another size.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or size != [height, width]:
        raise ValueError(f"RLE of size {str(size)[:40]} does not fit the image")
    if isinstance(counts, str):
        runs = _unpacked(counts)
    elif isinstance(counts, list) and all(isinstance(run, int) for run in counts):
        runs = counts
    else:
        raise ValueError("RLE without counts")
    if min(runs, default=-1) < 0 or sum(runs) != height * width:
        raise ValueError("RLE that does not cover its image")
    ends = np.cumsum(np.array(runs, np.int64))
    first, last = ends[:-1:2], ends[1::2]  # of each run of pixels that are in the mask
    first, last = first[: len(last)][last > first[: len(last)]], last[last > first[: len(last)]]
    if not len(first):
        return Rect(0, 0, 0, 0), np.zeros((0, 0), np.bool_)
    left, right = int(first[0]) // height, (int(last[-1]) - 1) // height + 1
    flat = np.zeros((right - left) * height + 1, np.int8)
    flat[first - left * height] += 1
    flat[last - left * height] -= 1
    inside = np.add.accumulate(flat[:-1]).astype(np.bool_).reshape(right - left, height)
    return Rect(left, 0, right - left, height), np.ascontiguousarray(inside.T)


def _unpacked(counts: str) -> list[int]:
    """Runs of a packed RLE: 5 bits a character, least significant first, from the fourth on as differences.

    Source: rleFrString of maskApi.c, cocodataset/cocoapi.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in counts.encode("ascii", "replace"):
        bits = byte - 48
        if not 0 <= bits < 64 or shift > 35:
            raise ValueError("damaged RLE")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("RLE that was cut off")
    return runs


def _rle(region: Region, height: int, width: int) -> dict[str, Any]:
    full = np.zeros((height, width), np.uint8, order="F")
    full[region.rect.slices] = region.mask
    packed = mask_tools().encode(full)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def _row(region: Region, segmentation: Any) -> dict[str, Any]:
    return {
        "category_id": region.class_id + 1,
        "bbox": [*region.rect],
        "area": region.num_pixels,
        "segmentation": segmentation,
    }


def _rows(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; everything else is passed over."""
    if isinstance(value, list):
        yield from (row for row in value if isinstance(row, dict))


def _paint_ring(loaded: Loaded, ring: Any, class_id: int) -> None:
    if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
        loaded.problems.append("outlines that are no polygons are left out")
        return
    loaded.paint_polygon([ring[n : n + 2] for n in range(0, len(ring), 2)], class_id)
