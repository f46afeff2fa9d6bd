"""Which module writes and reads which format; each is imported when it is needed."""

from __future__ import annotations

import importlib
from pathlib import PurePosixPath

from pspnet_core.project.formats.catalogue import FORMATS
from pspnet_core.project.formats.reading import Reader
from pspnet_core.project.formats.source_files import SourceError, SourceFiles
from pspnet_core.project.formats.writing import Writer

_PLACES = {
    "png": ("png", "PngWriter", "PngReader"),
    "png-palette": ("png", "PaletteWriter", "PngReader"),
    "color": ("png", "ColorWriter", "ColorReader"),
    "numpy": ("arrays", "NumpyWriter", "NumpyReader"),
    "coco": ("coco", "CocoWriter", "CocoReader"),
    "coco-rle": ("coco", "CocoRleWriter", "CocoReader"),
    "labelme": ("labelme", "LabelmeWriter", "LabelmeReader"),
    "voc": ("voc", "VocWriter", "VocReader"),
    "yolo": ("yolo", "YoloWriter", "YoloReader"),
    "cityscapes": ("cityscapes", "CityscapesWriter", "CityscapesReader"),
    "cvat": ("cvat", "CvatWriter", "CvatReader"),
    "cvat-mask": ("cvat_mask", "CvatMaskWriter", "CvatMaskReader"),
}


def writer_of(format_id: str) -> type[Writer]:
    """The writer of a format. Raises: ValueError when there is no such format."""
    return _part(format_id, 1)  # type: ignore[return-value]


def reader_of(format_id: str) -> type[Reader]:
    """The reader of a format, made with the files of a source. Raises: ValueError when there is no such format."""
    return _part(format_id, 2)  # type: ignore[return-value]


def guess_format(files: SourceFiles) -> str | None:
    """What a source seems to be, by its names and the beginning of a file; None when it could be anything."""
    folders = {part.casefold() for name in files.names for part in PurePosixPath(name).parts[:-1]}
    suffixes = {PurePosixPath(name).suffix.lower() for name in files.names}
    if "gtfine" in folders or files.with_suffix("_gtfine_labelids.png"):
        return "cityscapes"
    if "segmentationclass" in folders:
        return "cvat-mask" if files.named("labelmap.txt") and not folders & {"jpegimages", "vocdevkit"} else "voc"
    if files.named("data.yaml", "data.yml"):
        return "yolo"
    if ".xml" in suffixes:
        return "cvat"
    if ".npy" in suffixes:
        return "numpy"
    if "color" in folders:
        return "color"
    for name in files.with_suffix(".json"):
        if not name.endswith("classes.json"):
            return _kind_of_json(files, name)
    return "png" if ".png" in suffixes else None


def _kind_of_json(files: SourceFiles, name: str) -> str | None:
    try:
        text = files.read(name)
    except SourceError:
        return None
    if b'"shapes"' in text:
        return "labelme"
    return "coco" if b'"annotations"' in text else None


def _part(format_id: str, part: int) -> object:
    if format_id not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format_id!r}")
    row = _PLACES[format_id]
    return getattr(importlib.import_module(f"pspnet_core.project.formats.{row[0]}"), row[part])
