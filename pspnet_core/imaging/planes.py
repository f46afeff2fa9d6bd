"""A uint8 plane as large as an image that costs memory only where it was written."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.runs import Runs
from pspnet_core.types import BoolMask, Rect

TILE_PX = 512
"""Side of a storage tile; tiles at the right and lower border are cut to the plane."""

_SHORT_RUN_PX = 24  # shorter runs, on average, are written pixel by pixel

Plane = NDArray[np.uint8]


class PlaneStore:
    """A (height, width) uint8 plane in tiles of 512 px, allocated at the first write that changes them.

    Rectangles may reach over the border: reads and writes are clipped to the plane. Not thread-safe: one
    thread owns a store; give others what :meth:`to_array`, :meth:`read` or :meth:`snapshot` makes.

    Args:
        width: In pixels, at least 1.
        height: In pixels, at least 1.
        fill: Value of every pixel that was never written, 0 to 255.

    Raises:
        ValueError: A size below 1 or a fill outside 0 to 255.
    """

    __slots__ = ("_shared", "_tiles", "fill_value", "height", "width")

    def __init__(self, width: int, height: int, fill: int = 0) -> None:
        if width < 1 or height < 1:
            raise ValueError(f"a plane needs at least one pixel, got {width} x {height}")
        if not 0 <= fill <= 255:
            raise ValueError(f"fill must be 0 to 255, got {fill}")
        self.width = width
        self.height = height
        self.fill_value = fill
        self._tiles: dict[tuple[int, int], Plane] = {}
        self._shared: set[tuple[int, int]] = set()  # tiles that are copied before they are written to

    @staticmethod
    def from_array(array: Plane, fill: int = 0) -> PlaneStore:
        """A store with a copy of ``array`` (H, W) uint8; tiles that hold only ``fill`` are not allocated."""
        if array.ndim != 2 or array.dtype != np.uint8:
            raise ValueError(f"expected a (H, W) uint8 array, got {array.shape} {array.dtype}")
        store = PlaneStore(int(array.shape[1]), int(array.shape[0]), fill)
        store.write(store.rect, array)
        return store

    @property
    def rect(self) -> Rect:
        """The whole plane."""
        return Rect(0, 0, self.width, self.height)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as of the array."""
        return self.height, self.width

    @property
    def nbytes(self) -> int:
        """Bytes of pixels held now."""
        return sum(tile.nbytes for tile in self._tiles.values())

    def to_array(self) -> Plane:
        """A (height, width) uint8 copy of the whole plane."""
        return self.read(self.rect)

    def snapshot(self) -> PlaneStore:
        """The plane as it is now, for another thread; no pixel is copied before one of the two is written to."""
        other = PlaneStore(self.width, self.height, self.fill_value)
        other._tiles = dict(self._tiles)
        other._shared = set(self._tiles)
        self._shared = set(self._tiles)
        return other

    def take(self, changed: PlaneStore) -> None:
        """Become what a snapshot of this plane was made into, which is given away; no pixel is copied.

        Raises:
            ValueError: It is of another size or has another fill.
        """
        if (changed.shape, changed.fill_value) != (self.shape, self.fill_value):
            raise ValueError(f"a plane {changed.shape} cannot take the place of one {self.shape}")
        self._tiles, self._shared = changed._tiles, changed._shared

    @property
    def is_blank(self) -> bool:
        """Whether every pixel has ``fill_value``."""
        return not any((tile != self.fill_value).any() for tile in self._tiles.values())

    def count_written(self) -> int:
        """How many pixels have another value than ``fill_value``."""
        return sum(int(np.count_nonzero(tile != self.fill_value)) for tile in self._tiles.values())

    def is_unwritten(self, rect: Rect) -> bool:
        """Whether no tile under ``rect`` holds anything: all its pixels have ``fill_value``."""
        return not any(key in self._tiles for key, _ in self._parts(rect.intersect(self.rect)))

    def written_rects(self) -> list[Rect]:
        """The tiles that hold anything; everywhere else all pixels have ``fill_value``."""
        return [_tile_rect(key).intersect(self.rect) for key in self._tiles]

    def read(self, rect: Rect, step: int = 1) -> Plane:
        """A copy of the part of ``rect`` that lies in the plane: (h, w) uint8, owned by the caller.

        Args:
            rect: Where.
            step: Only every n-th row and column, from the first on: a power of two up to 512 of which the corner of
                ``rect`` is a multiple.
        """
        area = rect.intersect(self.rect)
        if step > 1:
            assert TILE_PX % step == 0
            assert area.x % step == area.y % step == 0
        out = np.full((-(-area.h // step), -(-area.w // step)), self.fill_value, np.uint8)
        for key, part in self._parts(area):
            tile = self._tiles.get(key)
            if tile is not None:
                place = Rect(*(-(-v // step) for v in (part.x - area.x, part.y - area.y, part.w, part.h)))
                out[place.slices] = tile[_in_tile(part, key)][::step, ::step]
        return out

    def write(self, rect: Rect, values: Plane, mask: BoolMask | None = None) -> None:
        """Set the pixels of ``rect`` (those that ``mask`` selects) to ``values``.

        Args:
            rect: Where; what lies outside the plane is dropped.
            values: (rect.h, rect.w) uint8.
            mask: (rect.h, rect.w) bool; everything when not given.

        Raises:
            ValueError: A shape or dtype does not fit.
        """
        _check(rect, values, np.uint8)
        if mask is not None:
            _check(rect, mask, np.bool_)
        for key, part in self._parts(rect.intersect(self.rect)):
            where = _inside(part, rect)
            new = values[where]
            chosen = None if mask is None else mask[where]
            if key not in self._tiles:
                differs = new != self.fill_value
                if not (differs if chosen is None else differs & chosen).any():
                    continue
            target = self._tile(key)[_in_tile(part, key)]
            if chosen is None:
                target[...] = new
            else:
                np.copyto(target, new, where=chosen)

    def fill(self, rect: Rect, mask: BoolMask | None, value: int) -> None:
        """Set the pixels of ``rect`` (those that ``mask`` (rect.h, rect.w) selects) to one value, 0 to 255.

        Raises:
            ValueError: The value or the shape of the mask does not fit.
        """
        if not 0 <= value <= 255:
            raise ValueError(f"value must be 0 to 255, got {value}")
        if mask is not None:
            _check(rect, mask, np.bool_)
        for key, part in self._parts(rect.intersect(self.rect)):
            if key not in self._tiles and value == self.fill_value:
                continue
            if mask is None:
                self._tile(key)[_in_tile(part, key)] = value
                continue
            chosen = mask[_inside(part, rect)]
            if key in self._tiles or chosen.any():
                self._tile(key)[_in_tile(part, key)][chosen] = value

    def peek(self, rect: Rect) -> Plane:
        """As :meth:`read`, but not to be written to: where nothing was ever written, it takes no memory."""
        area = rect.intersect(self.rect)
        if self.is_unwritten(area):
            return np.broadcast_to(np.uint8(self.fill_value), (area.h, area.w))
        return self.read(area)

    def value_at(self, x: int, y: int) -> int:
        """The value of one pixel, which lies in the plane."""
        tile = self._tiles.get((y // TILE_PX, x // TILE_PX))
        return self.fill_value if tile is None else int(tile[y % TILE_PX, x % TILE_PX])

    def read_runs(self, runs: Runs) -> Plane:
        """The values of the pixels of ``runs``, which lie in the plane, in their order: (n,) uint8."""
        x, y, w, _ = runs.rect
        values: Plane = self.read(runs.rect).reshape(-1).take(runs.places(w, x, y))
        return values

    def tile_rects(self, rect: Rect) -> list[Rect]:
        """The tiles (allocated or not) that ``rect`` touches, row by row, each whole but cut to the plane."""
        return [_tile_rect(key).intersect(self.rect) for key, _ in self._parts(rect.intersect(self.rect))]

    def _tile(self, key: tuple[int, int]) -> Plane:
        tile = self._tiles.get(key)
        if tile is None:
            area = _tile_rect(key).intersect(self.rect)
            tile = self._tiles[key] = np.full((area.h, area.w), self.fill_value, np.uint8)
        elif key in self._shared:
            tile = self._tiles[key] = tile.copy()
            self._shared.discard(key)
        return tile

    def _takes(self, key: tuple[int, int], value: int) -> bool:
        """Whether writing ``value`` into a tile can change it."""
        return key in self._tiles or value != self.fill_value

    @staticmethod
    def _parts(area: Rect) -> Iterator[tuple[tuple[int, int], Rect]]:
        """Key (row, column) of each tile that ``area`` touches, and the common part in plane coordinates."""
        if area.is_empty:
            return
        for row in range(area.y // TILE_PX, (area.bottom - 1) // TILE_PX + 1):
            for column in range(area.x // TILE_PX, (area.right - 1) // TILE_PX + 1):
                key = (row, column)
                yield key, _tile_rect(key).intersect(area)


def _tile_rect(key: tuple[int, int]) -> Rect:
    return Rect(key[1] * TILE_PX, key[0] * TILE_PX, TILE_PX, TILE_PX)


def _inside(part: Rect, whole: Rect) -> tuple[slice, slice]:
    """Index of ``part`` in an array that covers ``whole``."""
    return Rect(part.x - whole.x, part.y - whole.y, part.w, part.h).slices


def _in_tile(part: Rect, key: tuple[int, int]) -> tuple[slice, slice]:
    return _inside(part, _tile_rect(key))


def fill_runs(runs: Runs, *fills: tuple[PlaneStore, int]) -> None:
    """Set the pixels of ``runs``, which lie in the planes, to one value (0 to 255) in each of several planes.

    Args:
        runs: Which pixels.
        fills: Planes of one size, and the value for each.
    """
    for key, part in PlaneStore._parts(runs.rect):
        inside = runs.within(part)
        if inside.is_empty:
            continue
        tiles = [(plane._tile(key), value) for plane, value in fills if plane._takes(key, value)]
        if tiles:
            _fill_runs(inside, tiles, key)


def _fill_runs(runs: Runs, tiles: list[tuple[Plane, int]], key: tuple[int, int]) -> None:
    """Set pixels of tiles at one place, in which all of them lie."""
    row_px, x, y = tiles[0][0].shape[1], key[1] * TILE_PX, key[0] * TILE_PX
    if runs.num_pixels <= _SHORT_RUN_PX * len(runs.rows):
        places = runs.places(row_px, x, y)
        for tile, value in tiles:
            tile.reshape(-1)[places] = value
        return
    # Long runs: bytes are copied run by run, three times as fast as numpy sets a slice.
    before = (runs.rows - y) * row_px - x
    targets = [(tile.reshape(-1).data, bytes((value,)) * row_px) for tile, value in tiles]
    for start, stop in zip((runs.starts + before).tolist(), (runs.stops + before).tolist(), strict=True):
        length = stop - start
        for memory, values in targets:
            memory[start:stop] = values[:length]


def _check(rect: Rect, array: NDArray[np.generic], dtype: type[np.generic]) -> None:
    if array.shape != (rect.h, rect.w) or array.dtype != dtype:
        raise ValueError(f"expected ({rect.h}, {rect.w}) {np.dtype(dtype)} for {rect}, got {array.shape} {array.dtype}")
