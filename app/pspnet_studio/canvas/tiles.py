"""A pyramid of picture tiles that are made when they are seen, within a time budget."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.runs import Runs
from pspnet_core.types import Rect

Pixels = NDArray[np.uint32]
Key = tuple[int, int, int]  # level, row, column

TILE_PX = 512
_MAX_DIRTY = 24


class _Tile:
    """Pixels of one tile, and the parts of it (in pixels of its level) that are not up to date.

    ``dirty`` holds what was invalidated, ``todo`` the small pieces into which the large among them were cut, and
    ``waiting`` those whose pixels are not there yet.
    """

    __slots__ = ("dirty", "drawn", "pixels", "rect", "todo", "waiting")

    def __init__(self, rect: Rect) -> None:
        self.rect = rect
        self.pixels: Pixels = np.empty((rect.h, rect.w), np.uint32)
        self.dirty: list[Rect] = [rect]
        self.todo: list[Rect] = []
        self.waiting: list[Rect] = []
        self.drawn = False

    def invalidate(self, rect: Rect) -> None:
        if rect == self.rect:
            self.waiting.clear()
            self.todo.clear()
        elif self.waiting:
            touched = [w for w in self.waiting if not w.intersect(rect).is_empty]
            self.waiting = [w for w in self.waiting if w.intersect(rect).is_empty]
            self.dirty.extend(touched)
        if any(rect.intersect(d) == rect for d in self.dirty):
            return
        self.dirty.append(rect)
        if len(self.dirty) > _MAX_DIRTY:
            around = rect
            for piece in self.dirty:
                around = around.union(piece)
            self.dirty = [around]

    def next_piece(self, side: int) -> Rect:
        """Take a part of at most ``side`` x ``side`` off the lists, of which one must not be empty."""
        while self.dirty:
            rect = self.dirty.pop()
            if rect.w <= side and rect.h <= side:
                return rect
            self.todo.extend(_split(rect, side))
        return self.todo.pop()


class TilePyramid:
    """Tiles of 512 px at full size (level 0) and at each half of the size before, rounded up.

    Every part is made in pieces of at most 512 x 512 pixels of the data: no call takes long, whatever the size of the
    image. Tiles that were not seen for long are dropped.

    Args:
        width: Of the image, at least 1.
        height: Of the image, at least 1.
        render: Gives the pixels of a rectangle (in pixels of a level) at that level: (h, w) uint32. None when they are
            not there yet: the part is shown coarsely, and asked for again once it was invalidated.
        preview: A coarse picture of the whole image, (h, w) uint32, shown where nothing is made yet;
            transparent black when not given.
        budget_bytes: How much memory tiles out of sight may keep occupied.
    """

    def __init__(
        self,
        width: int,
        height: int,
        render: Callable[[Rect, int], Pixels | None],
        preview: Pixels | None = None,
        budget_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._width, self._height = width, height
        self._render = render
        self._preview = preview
        self._budget_bytes = budget_bytes
        self._tiles: OrderedDict[Key, _Tile] = OrderedDict()
        self._levels: set[int] = set()  # of the tiles
        self._painted: list[tuple[Runs, int]] = []
        self._nbytes = 0
        self._halvings: int | None = None

    def set_halvings(self, halvings: int | None) -> None:
        """How often pixels are halved at most to make a level: 0 when they are made as they are, None: at each level.

        It decides how large the pieces are in which a level is made: 512 x 512 pixels before halving.
        """
        self._halvings = halvings

    def is_waiting(self, level: int, rect: Rect) -> bool:
        """Whether pixels under ``rect`` (in pixels of ``level``) are not there yet."""
        tiles = [self._tiles.get(key) for key in self._keys(level, rect)]
        return any(tile is not None and tile.waiting for tile in tiles)

    def ask_again(self) -> None:
        """Have what is not there yet asked for again when it is seen next: by now it may have been forgotten."""
        for tile in self._tiles.values():
            tile.dirty.extend(tile.waiting)
            tile.waiting.clear()

    @property
    def nbytes(self) -> int:
        """Bytes of all tiles held now."""
        return self._nbytes

    @property
    def max_level(self) -> int:
        """The first level at which the image is one pixel."""
        return max(0, (max(self._width, self._height) - 1).bit_length())

    def level_rect(self, level: int) -> Rect:
        """The whole image in pixels of a level."""
        return Rect(0, 0, -(-self._width >> level), -(-self._height >> level))

    def invalidate(self, rect: Rect | None = None) -> None:
        """Have the image pixels of ``rect`` (all when not given) made again when they are seen next.

        What is there stays on screen until then.
        """
        self.catch_up()
        self._invalidate(rect, self._levels)

    def paint(self, runs: Runs, color: int) -> None:
        """The full-size pixels of ``runs``, which lie in the image, have one colour now: as :meth:`invalidate`.

        It is put off until the pixels are asked for, or until :meth:`catch_up`.
        """
        if 0 in self._levels:
            self._painted.append((runs, color))
        if len(self._levels) > 1 or 0 not in self._levels:
            self._invalidate(runs.rect, self._levels - {0})

    def catch_up(self) -> None:
        """Do what :meth:`paint` put off."""
        painted, self._painted = self._painted, []
        for runs, color in painted:
            for key in self._keys(0, runs.rect):
                tile = self._tiles.get(key)
                if tile is not None:
                    inside = runs.within(tile.rect)
                    tile.pixels.reshape(-1)[inside.places(tile.rect.w, tile.rect.x, tile.rect.y)] = color

    def _invalidate(self, rect: Rect | None, levels: set[int]) -> None:
        for level in levels:
            area = self.level_rect(level) if rect is None else at_level(rect, level)
            for key in self._keys(level, area):
                tile = self._tiles.get(key)
                if tile is not None:
                    tile.invalidate(area.intersect(tile.rect))

    def refresh(self, level: int, rect: Rect, deadline: float) -> tuple[list[Rect], bool]:
        """Bring the tiles under ``rect`` (in pixels of ``level``) up to date, the middle first.

        Args:
            level: Which tiles.
            rect: Clipped to the image.
            deadline: On the clock of ``time.perf_counter``; one piece is made in any case.

        Returns:
            Image rectangles that look different now, and whether everything is up to date.
        """
        self.catch_up()
        changed: list[Rect] = []
        keys = self._keys(level, rect)
        complete = self._refresh_tiles(keys, level, deadline, changed)
        self._evict(set(keys))
        return changed, complete

    def gather(self, level: int, rect: Rect) -> Pixels:
        """The pixels of ``rect`` (in pixels of ``level``, inside the image), as good as they are now; a copy."""
        self.catch_up()
        out = np.empty((rect.h, rect.w), np.uint32)
        for key in self._keys(level, rect):
            tile = self._tiles.get(key)
            part = self._tile_rect(key).intersect(rect)
            pixels = self._fallback(level, part) if tile is None else tile.pixels[_inside(part, tile.rect)]
            out[_inside(part, rect)] = pixels
        return out

    def _refresh_tiles(self, keys: list[Key], level: int, deadline: float, changed: list[Rect]) -> bool:
        for key in keys:
            tile = self._tiles.get(key)
            if tile is None:
                if changed and time.perf_counter() >= deadline:
                    return False
                tile = self._tiles[key] = _Tile(self._tile_rect(key))
                self._nbytes += tile.pixels.nbytes
                self._levels.add(level)
            else:
                self._tiles.move_to_end(key)
            while tile.dirty or tile.todo:
                if changed and time.perf_counter() >= deadline:
                    self._fill_undrawn(tile, level)
                    return False
                piece = tile.next_piece(self._piece_px(level))
                pixels = self._render(piece, level)
                if pixels is None:
                    tile.waiting.append(piece)
                    if not tile.drawn:
                        pixels = self._fallback(level, piece)
                if pixels is not None:
                    tile.pixels[_inside(piece, tile.rect)] = pixels
                    changed.append(Rect(*(v << level for v in piece)))
            tile.drawn = True
        return True

    def _piece_px(self, level: int) -> int:
        return TILE_PX >> (level if self._halvings is None else min(level, self._halvings)) or 1

    def _fill_undrawn(self, tile: _Tile, level: int) -> None:
        """Give a new tile, for which the time did not suffice, something to show meanwhile."""
        if not tile.drawn:
            for piece in (*tile.dirty, *tile.todo):
                tile.pixels[_inside(piece, tile.rect)] = self._fallback(level, piece)
            tile.drawn = True

    def _fallback(self, level: int, rect: Rect) -> Pixels:
        """A coarse stand-in for ``rect``, which lies in one tile: a coarser tile, else the preview."""
        for coarser in range(level + 1, self.max_level + 1):
            shift = coarser - level
            key = (coarser, rect.y >> shift >> 9, rect.x >> shift >> 9)
            tile = self._tiles.get(key)
            if tile is not None and tile.drawn and not tile.waiting:
                rows = (np.arange(rect.y, rect.bottom) >> shift) - tile.rect.y
                columns = (np.arange(rect.x, rect.right) >> shift) - tile.rect.x
                return tile.pixels.take(rows, axis=0).take(columns, axis=1)
        if self._preview is None:
            return np.zeros((rect.h, rect.w), np.uint32)
        whole = self.level_rect(level)
        height, width = self._preview.shape
        rows = np.arange(rect.y, rect.bottom) * height // whole.h
        columns = np.arange(rect.x, rect.right) * width // whole.w
        return self._preview.take(rows, axis=0).take(columns, axis=1)

    def _keys(self, level: int, rect: Rect) -> list[Key]:
        """Tiles under ``rect``, those nearest to its middle first."""
        rect = rect.intersect(self.level_rect(level))
        if rect.is_empty:
            return []
        keys = [
            (level, row, column)
            for row in range(rect.y // TILE_PX, (rect.bottom - 1) // TILE_PX + 1)
            for column in range(rect.x // TILE_PX, (rect.right - 1) // TILE_PX + 1)
        ]
        if len(keys) > 2:
            x, y = (rect.x + rect.w / 2) / TILE_PX - 0.5, (rect.y + rect.h / 2) / TILE_PX - 0.5
            keys.sort(key=lambda k: (k[1] - y) ** 2 + (k[2] - x) ** 2)
        return keys

    def _tile_rect(self, key: Key) -> Rect:
        level, row, column = key
        return Rect(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX).intersect(self.level_rect(level))

    def _evict(self, used: set[Key]) -> None:
        if self._nbytes <= self._budget_bytes:
            return
        for key in [k for k in self._tiles if k not in used]:
            self._nbytes -= self._tiles.pop(key).pixels.nbytes
            if self._nbytes <= self._budget_bytes:
                break
        self._levels = {key[0] for key in self._tiles}


def at_level(rect: Rect, level: int) -> Rect:
    """Every pixel of ``level`` that has a part in the image rectangle ``rect``."""
    x, y = rect.x >> level, rect.y >> level
    return Rect(x, y, -(-rect.right >> level) - x, -(-rect.bottom >> level) - y)


def halved(pixels: Pixels) -> Pixels:
    """Half the size, rounded up: each pixel the mean of 2 x 2; the last row or column counts double at odd sizes.

    Works on four bytes at once (0xAARRGGBB, premultiplied or opaque); rounds once down and once up.
    """
    height, width = pixels.shape
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2)), mode="edge")
    upper, lower = pixels[0::2], pixels[1::2]
    mixed = (upper | lower) - _half_difference(upper, lower)
    left, right = mixed[:, 0::2], mixed[:, 1::2]
    half: Pixels = (left & right) + _half_difference(left, right)
    return half


def _half_difference(a: Pixels, b: Pixels) -> Pixels:
    difference: Pixels = a ^ b
    difference &= np.uint32(0xFEFEFEFE)
    difference >>= np.uint32(1)
    return difference


def _split(rect: Rect, side: int) -> Iterator[Rect]:
    for y in range(rect.y // side * side, rect.bottom, side):
        for x in range(rect.x // side * side, rect.right, side):
            yield Rect(x, y, side, side).intersect(rect)


def _inside(part: Rect, whole: Rect) -> tuple[slice, slice]:
    """Index of ``part`` in an array that covers ``whole``."""
    return Rect(part.x - whole.x, part.y - whole.y, part.w, part.h).slices
