"""Sets of pixels as runs of rows: what a brush covers, at a cost of its rows and not of its box."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.areas import Area, empty_area
from pspnet_core.types import Rect

Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Pixels of an image, run by run; runs do not overlap.

    Attributes:
        rows: (n,) image row of each run, ascending; one row may have several runs.
        starts: (n,) first column of each run.
        stops: (n,) first column after it, above ``starts``.
        rect: The smallest rectangle around all of them; empty without any.
    """

    rows: Ints
    starts: Ints
    stops: Ints
    rect: Rect

    @staticmethod
    def of(rows: Ints, starts: Ints, stops: Ints) -> Runs:
        """Runs in ascending rows; those that hold no pixel (``stops`` not above ``starts``) are left out."""
        holds = np.flatnonzero(stops > starts)
        if len(holds) < len(rows):
            rows, starts, stops = rows.take(holds), starts.take(holds), stops.take(holds)
        if len(rows) == 0:
            return Runs(rows, starts, stops, Rect(0, 0, 0, 0))
        x, right, y = int(np.minimum.reduce(starts)), int(np.maximum.reduce(stops)), int(rows[0])
        return Runs(rows, starts, stops, Rect(x, y, right - x, int(rows[-1]) + 1 - y))

    @staticmethod
    def of_lists(rows: list[int], starts: list[int], stops: list[int]) -> Runs:
        """The same from few runs, all of which hold pixels."""
        x, right = (min(starts), max(stops)) if rows else (0, 0)
        rect = Rect(x, rows[0], right - x, rows[-1] + 1 - rows[0]) if rows else Rect(0, 0, 0, 0)
        return Runs(np.array(rows, np.intp), np.array(starts, np.intp), np.array(stops, np.intp), rect)

    @staticmethod
    def around(rows: Ints, starts: Ints, stops: Ints, near: Ints, far: Ints) -> Runs:
        """One run a row, without what lies from ``near`` to before ``far``: both 0 where nothing is to be left out."""
        # Two runs a row, one on each side.
        begins, ends = np.empty((len(rows), 2), np.intp), np.empty((len(rows), 2), np.intp)
        begins[:, 0], ends[:, 1] = starts, stops
        np.minimum(stops, near, out=ends[:, 0])
        np.maximum(starts, far, out=begins[:, 1])
        return Runs.of(rows.repeat(2), begins.reshape(-1), ends.reshape(-1))

    @staticmethod
    def of_area(area: Area) -> Runs:
        """The pixels of a (rectangle, mask)."""
        rect, mask = area
        # A column of nothing on each side: every run begins and ends with a change.
        padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.bool_)
        padded[:, 1:-1] = mask
        row_px = mask.shape[1] + 1
        changes = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
        begins, ends = changes[0::2], changes[1::2]
        rows = begins // row_px
        return Runs.of(rows + rect.y, begins - rows * row_px + rect.x, ends - rows * row_px + rect.x)

    @property
    def is_empty(self) -> bool:
        """Whether there is no pixel."""
        return len(self.rows) == 0

    @property
    def num_pixels(self) -> int:
        """How many pixels there are."""
        return int((self.stops - self.starts).sum())

    def moved(self, x: int, y: int) -> Runs:
        """The same pixels, ``x`` columns further right and ``y`` rows further down."""
        rect = Rect(self.rect.x + x, self.rect.y + y, self.rect.w, self.rect.h)
        return Runs(self.rows + y, self.starts + x, self.stops + x, rect)

    def within(self, rect: Rect) -> Runs:
        """The pixels that lie in a rectangle, too."""
        if rect.intersect(self.rect) == self.rect:
            return self
        first, stop = np.searchsorted(self.rows, (rect.y, rect.bottom))
        part = slice(int(first), int(stop))
        return Runs.of(self.rows[part], np.maximum(self.starts[part], rect.x), np.minimum(self.stops[part], rect.right))

    def where(self, chosen: NDArray[np.bool_]) -> Runs:
        """Those of the pixels, (n,) in the order of the runs, that are chosen."""
        if chosen.all():
            return self
        lengths = self.stops - self.starts
        before = lengths.cumsum() - lengths
        # A chosen run begins at a chosen pixel that follows none, or that is the first of a run.
        is_first, is_last = np.zeros(len(chosen), np.bool_), np.zeros(len(chosen), np.bool_)
        is_first[before] = is_last[before + lengths - 1] = True
        is_first[1:] |= ~chosen[:-1]
        is_last[:-1] |= ~chosen[1:]
        begins, ends = np.flatnonzero(is_first & chosen), np.flatnonzero(is_last & chosen)
        run = np.searchsorted(before, begins, "right") - 1
        shift = self.starts[run] - before[run]
        return Runs.of(self.rows[run], begins + shift, ends + shift + 1)

    def bands(self, num_bands: int) -> list[Rect]:
        """Rectangles around the first, second, ... part of the rows that together hold all pixels."""
        return _bands(self.rows, self.starts, self.stops, num_bands)

    def parts(self, num_bands: int) -> list[Rect]:
        """Rectangles that together hold all pixels, and little else where those are a ring or a crescent.

        They are the bands of what begins in the left half and of what begins in the right one.
        """
        begins_left = 2 * self.starts < 2 * self.rect.x + self.rect.w
        parts = []
        for chosen in (np.flatnonzero(begins_left), np.flatnonzero(~begins_left)):
            parts += _bands(self.rows.take(chosen), self.starts.take(chosen), self.stops.take(chosen), num_bands)
        return parts

    def places(self, row_px: int, x: int = 0, y: int = 0) -> Ints:
        """Where the pixels lie in an array that is ``row_px`` wide and begins at (x, y), counted row by row."""
        lengths = self.stops - self.starts
        ends = lengths.cumsum()
        first = (self.rows - y) * row_px + (self.starts - x)
        places: Ints = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - ends + lengths, lengths)
        return places

    def to_area(self) -> Area:
        """The same pixels as the smallest rectangle around them and its mask, owned by the caller."""
        if self.is_empty:
            return empty_area()
        x, y, w, h = self.rect
        mask = np.zeros((h, w), np.bool_)
        mask.reshape(-1)[self.places(w, x, y)] = True
        return self.rect, mask


def _bands(rows: Ints, starts: Ints, stops: Ints, num_bands: int) -> list[Rect]:
    num_bands = min(num_bands, len(rows))
    if num_bands == 0:
        return []
    bounds = [len(rows) * n // num_bands for n in range(num_bands + 1)]
    left, right = np.minimum.reduceat(starts, bounds[:-1]).tolist(), np.maximum.reduceat(stops, bounds[:-1]).tolist()
    ys = [(int(rows[first]), int(rows[stop - 1]) + 1) for first, stop in pairwise(bounds)]
    return [Rect(x, y, r - x, b - y) for x, r, (y, b) in zip(left, right, ys, strict=True)]
