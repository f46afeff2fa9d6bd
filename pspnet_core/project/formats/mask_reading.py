"""Sources that hold one mask file per image: values or colours are looked up in a class table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pspnet_core.classes import ClassSet, Color
from pspnet_core.errors import ClassMapError, ClassSetError, ImageReadError
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.imaging.decoding import decoder, decoding
from pspnet_core.imaging.read import open_raw
from pspnet_core.project.formats.reading import Entry, Loaded, Reader, SourceClass, TargetId, parse_json
from pspnet_core.project.formats.source_files import SourceError, SourceFiles
from pspnet_core.types import UNLABELLED

_FORMATS = ("PNG", "TIFF", "BMP", "JPEG", "WEBP")
_UNKNOWN, _NOTHING = 65535, 65534
_UNLISTED = "values that the class table does not list are left out"
_UNLISTED_COLOR = "pixels of colours that the class table does not list are left out"


class MaskReader(Reader):
    """Value or colour -> class.

    Args:
        files: Of the source.
        masks: Path of each mask -> what names its image.

    Attributes:
        positions: Value of a mask -> position in :attr:`classes`; empty: each value is a class of its own.
        colors: Colour -> position, for pictures.
        unlabelled: Values that mean no class.
        is_picture: Masks show colours.
    """

    positions: dict[int, int]
    colors: dict[Color, int]
    unlabelled: frozenset[int] = frozenset({UNLABELLED})
    is_picture = False

    def __init__(self, files: SourceFiles, masks: Mapping[str, str]) -> None:
        super().__init__(files)
        self._masks = masks
        self._color_table: NDArray[np.uint16] | None = None
        if not masks:
            raise SourceError(
                f"There is no mask in {files.source.name}.", f"{files.source}.", "Check the folder and the format."
            )
        if not self.classes:
            self.classes = [SourceClass(f"class {value}", None, value, True) for value in range(UNLABELLED)]
            self.positions = {value: value for value in range(UNLABELLED)}

    def read_table(self, files: SourceFiles, is_needed: bool = False) -> None:
        """Take the classes of ``classes.json``; without one each value is the class with that id.

        Raises:
            SourceError: It is damaged, or missing though it is needed.
        """
        self.classes, self.positions, self.colors = [], {}, {}
        name = files.named("classes.json")
        if name is None:
            if is_needed:
                raise SourceError(
                    f"There is no classes.json in {files.source.name}.",
                    "Without a table nobody knows which colour is which class.",
                    'Add one: {"classes": [{"index", "name", "color": [r, g, b]}]}.',
                )
            return
        data = parse_json(files, name)
        try:
            table = ClassSet.from_json(data if isinstance(data, dict) else {})
        except ClassSetError as error:
            raise SourceError(f"{name} is not a class table.", error.title, error.remedy) from error
        self.take_classes(table)
        found = data.get("unlabelled", UNLABELLED)
        self.unlabelled = frozenset({UNLABELLED, found}) if isinstance(found, int) else self.unlabelled

    def take_classes(self, table: ClassSet) -> None:
        """Use a class set as table."""
        self.classes = [SourceClass(c.name, c.color, c.index) for c in table]
        self.positions = {c.index: position for position, c in enumerate(table)}
        self.colors = {c.color: position for position, c in reversed(list(enumerate(table)))}

    def entries(self) -> Iterator[Entry]:
        for path, name in self._masks.items():
            yield Entry(name, None, path)

    def load(self, entry: Entry, height: int, width: int, target: TargetId) -> Loaded:
        loaded = Loaded(height, width)
        found = self.size_of(entry.handle)  # first: what is decoded is never larger than the image
        if found != (width, height):
            raise ClassMapError(
                f"The mask has {found[0]} × {found[1]} pixels, the image {width} × {height}.",
                entry.handle,
                "Scale the mask without interpolation.",
            )
        positions = self.source_positions(entry.handle)
        assert positions.shape == (height, width)
        table = np.full(65536, UNLABELLED, np.uint8)
        for position in np.flatnonzero(np.bincount(positions.ravel(), minlength=65536)).tolist():
            if position == _UNKNOWN:
                loaded.problems.append(_UNLISTED_COLOR if self.is_picture else _UNLISTED)
            elif position != _NOTHING:
                class_id = target(position)
                table[position] = UNLABELLED if class_id is None else class_id
        loaded.class_map[:] = table[positions]
        return loaded

    def size_of(self, name: str) -> tuple[int, int]:
        """(width, height) of a mask as it is stored. Raises: ClassMapError, SourceError."""
        path = self.files.path(name)
        try:
            with decoding(path), decoder(), Image.open(path, formats=_FORMATS) as image:
                return image.size
        except ImageReadError as error:
            raise ClassMapError(error.title, error.detail, error.remedy) from error

    def source_positions(self, name: str) -> NDArray[np.uint16]:
        """(H, W) positions in the class table; 65534 no class, 65535 not in the table."""
        if self.is_picture:
            return self._positions_of_colors(self.picture(name))
        table = np.full(256, _UNKNOWN, np.uint16)
        for value, position in self.positions.items():
            table[value] = position
        table[list(self.unlabelled)] = _NOTHING
        found: NDArray[np.uint16] = table[self.values(name)]
        return found

    def values(self, name: str) -> NDArray[Any]:
        """Raw values (H, W) uint8 of a mask. Raises: ClassMapError, SourceError."""
        return read_class_map(self.files.path(name))

    def picture(self, name: str) -> NDArray[np.uint8]:
        """Colours (H, W, 3) uint8 of a mask as they are stored. Raises: ClassMapError, SourceError."""
        try:
            with open_raw(self.files.path(name)) as image:
                if image.mode not in ("RGB", "RGBA", "P", "L", "1"):
                    raise ClassMapError(f"{name} is not a picture in colours.", f"Mode {image.mode}.")
                return np.array(image.convert("RGB"))
        except ImageReadError as error:
            raise ClassMapError(error.title, error.detail, error.remedy) from error

    def _positions_of_colors(self, picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
        if self._color_table is None:
            self._color_table = np.full(1 << 24, _UNKNOWN, np.uint16)
            for (red, green, blue), position in self.colors.items():
                self._color_table[red << 16 | green << 8 | blue] = position
            self._color_table[0] = _NOTHING  # what no class was painted on is black
        packed = picture[:, :, 0].astype(np.uint32) << 16
        packed |= picture[:, :, 1].astype(np.uint32) << 8
        packed |= picture[:, :, 2]
        found: NDArray[np.uint16] = self._color_table[packed]
        return found
