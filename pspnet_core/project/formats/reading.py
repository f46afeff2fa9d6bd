"""What all import formats share: a class table, the images that they tell of, and how to paint each."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pspnet_core.classes import Color
from pspnet_core.project.formats.shapes import paint, polygon_area
from pspnet_core.project.formats.source_files import SourceError, SourceFiles
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Rect

TargetId = Callable[[int], int | None]
"""Class id of the project for a position in the class table of the source; None where it is left out."""


@dataclass(frozen=True, slots=True)
class SourceClass:
    """One class of what is imported.

    Attributes:
        name: Shown to people.
        color: RGB, if the source tells.
        wanted: Id that a new class gets where it is free; 255 for none.
        is_id: It has no name but its id: it is the class with this id in the project, if there is one.
    """

    name: str
    color: Color | None = None
    wanted: int = UNLABELLED
    is_id: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One image that the source tells of.

    Attributes:
        name: How it calls the image.
        size: (width, height) that it claims, if it does.
        handle: For the reader.
        other_name: Tried when the project has no image of that name.
    """

    name: str
    size: tuple[int, int] | None
    handle: Any
    other_name: str = ""


class Loaded:
    """What a source says about one image, painted in class ids of the project.

    Args:
        height: Of the image.
        width: Likewise.

    Attributes:
        class_map: (H, W) uint8, 255 where it says nothing.
        problems: What could not be taken over.
        num_overlapping: Pixels that more than one class claimed: the later one has them.
    """

    def __init__(self, height: int, width: int) -> None:
        self.class_map: ClassMap = np.full((height, width), UNLABELLED, np.uint8)
        self.problems: list[str] = []
        self.num_overlapping = 0

    def paint(self, rect: Rect, mask: BoolMask, class_id: int) -> None:
        """Paint an area."""
        self.num_overlapping += paint(self.class_map, rect, mask, class_id)

    def paint_polygon(self, points: Any, class_id: int) -> None:
        """Paint a polygon; what is none becomes a problem."""
        try:
            height, width = self.class_map.shape
            self.paint(*polygon_area(points, height, width), class_id)
        except (ValueError, TypeError, OverflowError):
            self.problems.append("outlines that are no polygons are left out")


class Reader(ABC):
    """Reads one source.

    Attributes:
        files: Of the source.
        classes: Its class table, by position.
        problems: What could not be understood in the source itself.
    """

    classes: list[SourceClass]

    def __init__(self, files: SourceFiles) -> None:
        self.files = files
        self.problems: list[str] = []

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """The images that it tells of."""

    @abstractmethod
    def load(self, entry: Entry, height: int, width: int, target: TargetId) -> Loaded:
        """What it says about an image.

        Raises:
            ClassMapError: A mask is damaged or does not fit.
            SourceError: A file is missing or damaged.
        """


def parse_json(files: SourceFiles, name: str) -> Any:
    """A JSON file of the source. Raises: SourceError."""
    try:
        return json.loads(files.read(name))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{name} is not JSON.", f"{error or 'It is nested too deeply'}.") from error


def color_of(value: Any) -> Color | None:
    """RGB of three numbers, or of ``#rrggbb``; None when it is neither."""
    try:
        if isinstance(value, str):
            digits = value.strip().lstrip("#")
            value = [int(digits[n : n + 2], 16) for n in (0, 2, 4)] if len(digits) == 6 else value.split(",")
        red, green, blue = (int(v) for v in value)
    except (TypeError, ValueError, OverflowError):
        return None
    return (red, green, blue) if all(0 <= v <= 255 for v in (red, green, blue)) else None


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """A size that a source claims; None where it does not, or nonsense."""
    try:
        size = int(width), int(height)
    except (TypeError, ValueError, OverflowError):
        return None
    return size if size[0] > 0 and size[1] > 0 else None
