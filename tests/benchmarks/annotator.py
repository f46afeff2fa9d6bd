"""A simulated person who corrects the overlay of an image with brush strokes, and the time that this takes.

The person knows the truth but paints like a hand: sees the largest wrong spot (slivers along borders are let pass, as
people do), takes a brush that fits, and moves it along the middle of the spot, never out of the class that is there.
While nothing is predicted, each class gets one stroke first. Where the truth is unknown (255) nothing is wrong, and
nothing is begun. All numbers are in :class:`Habits`.

Source: the simulated annotator of RootPainter for the speeds of stroke, travel, finding and judging.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.strokes import Point, brush_segment
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, ProvenanceMap
from pspnet_core.types import Provenance as Origin

_CELLS = 160  # along the longer side of a spot, in which the way of the brush is looked for
_SURE_HAND_PX = 1.5  # that a hand keeps from the border of a class where there is room
_LEAST_RADIUS_PX = 0.5
_PAINTED = int(Origin.PAINTED)

Floats = NDArray[np.float64]
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Habits:
    """How the person works.

    Attributes:
        stroke_px_s: Speed of the painting brush, in image pixels.
        travel_px_s: Speed of the pointer between strokes.
        find_s: To see the next wrong spot.
        judge_s: To look at the answer to a stroke.
        key_s: To press a key: for another class, to accept the rest, to mark as done, for the next image.
        open_s: From that key until the next image and its overlay are there and were taken in.
        small_error: Stops when spots that can be seen are a smaller share of the image than this.
        little_gain: Stops when the last ``patience`` strokes put right less than this share of the image, together,
            unless more than ``large_error`` is wrong.
        patience: See there.
        large_error: Share of the image in wrong spots that can be seen that nobody would let pass.
        max_strokes: Stops after so many.
        max_stroke_px: Longest stroke.
        brush_share: Radius of the brush as a share of half the width of the spot.
        largest_brush_px: Largest radius.
        border_share: Slivers up to this share of the image's longer side wide are let pass, but those of one pixel in
            any case.
    """

    stroke_px_s: float = 400.0
    travel_px_s: float = 800.0
    find_s: float = 0.2
    judge_s: float = 0.2
    key_s: float = 0.3
    open_s: float = 1.0
    small_error: float = 0.02
    little_gain: float = 0.004
    patience: int = 6
    large_error: float = 0.1
    max_strokes: int = 40
    max_stroke_px: float = 400.0
    brush_share: float = 0.7
    largest_brush_px: float = 60.0
    border_share: float = 0.003


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A wrong place: connected, and of one true class.

    Attributes:
        class_id: What it should be.
        top: First row in the image.
        left: First column.
        mask: (h, w) bool, its pixels.
    """

    class_id: int
    top: int
    left: int
    mask: BoolMask


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """One stroke of the brush.

    Attributes:
        class_id: That is painted.
        points: (n, 2) x and y in image pixels, n at least 1.
        diameter: Of the brush.
    """

    class_id: int
    points: Floats
    diameter: float

    @property
    def length_px(self) -> float:
        """Of its way."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())


@dataclass(frozen=True, slots=True)
class View:
    """What the person sees at one look.

    Attributes:
        spots_share: Of the pixels with a known truth, those in spots that can be seen.
        spot: The largest of them; None where there is none.
    """

    spots_share: float
    spot: Spot | None


class Annotator:
    """One person, who goes on from image to image.

    Args:
        habits: How they work.
        seed: Of the trembling of the hand.
    """

    def __init__(self, habits: Habits | None = None, seed: int = 0) -> None:
        self.habits = habits or Habits()
        self._rng = np.random.default_rng(seed)
        self._class_id: int | None = None  # that is chosen
        self._at: Point = (0.0, 0.0)
        self._strokes = 0
        self._painted: set[int] = set()  # classes, in this image
        self._wrong: deque[float] = deque(maxlen=self.habits.patience + 1)

    def open(self) -> float:
        """Begin with the next image; returns the seconds that it takes."""
        self._strokes = 0
        self._painted.clear()
        self._wrong.clear()
        return self.habits.key_s + self.habits.open_s

    def close(self) -> float:
        """Accept the rest and mark as done; returns the seconds that it takes."""
        return 2 * self.habits.key_s

    def next_stroke(self, shown: ClassMap, truth: ClassMap, is_predicted: bool = True) -> Stroke | None:
        """The next correction, or None when the rest is good enough or further strokes bring too little.

        Args:
            shown: (H, W) uint8, what the overlay shows, painted pixels included; 255 = nothing.
            truth: (H, W) uint8, 255 = unknown.
            is_predicted: Whether anything beside the own strokes is shown.
        """
        if self._strokes >= self.habits.max_strokes:
            return None
        view = look(shown, truth, self.habits, frozenset() if is_predicted else frozenset(self._painted))
        self._wrong.append(wrong_share(shown, truth))
        if view.spot is None or view.spots_share < self.habits.small_error or self._is_stuck(view):
            return None
        self._strokes += 1
        self._painted.add(view.spot.class_id)
        return self._stroke_in(view.spot, truth)

    def take_time(self, stroke: Stroke) -> float:
        """Seconds from looking for the spot to having judged the answer; the hand is then where the stroke ends."""
        habits = self.habits
        start, end = stroke.points[0], stroke.points[-1]
        seconds = habits.find_s + habits.judge_s + stroke.length_px / habits.stroke_px_s
        seconds += math.dist(self._at, start) / habits.travel_px_s
        if stroke.class_id != self._class_id:
            seconds += habits.key_s
        self._class_id, self._at = stroke.class_id, (float(end[0]), float(end[1]))
        return seconds

    def see_another_version(self) -> None:
        """The overlay is another one: what strokes brought before tells nothing about it."""
        self._wrong.clear()

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs to go on between two images, as JSON values."""
        return {"class_id": self._class_id, "at": list(self._at), "rng": self._rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another one stopped."""
        x, y = state["at"]
        self._class_id, self._at = state["class_id"], (x, y)
        self._rng.bit_generator.state = state["rng"]

    def _is_stuck(self, view: View) -> bool:
        if len(self._wrong) <= self.habits.patience or view.spots_share > self.habits.large_error:
            return False
        return self._wrong[0] - self._wrong[-1] < self.habits.little_gain

    def _stroke_in(self, spot: Spot, truth: ClassMap) -> Stroke:
        """Along the middle of the spot, from the end that is nearer to the hand."""
        habits = self.habits
        room, within = _room(spot, truth, habits.largest_brush_px)
        widest = float(within.max())
        is_wide = widest >= 2 * _SURE_HAND_PX
        margin = _SURE_HAND_PX if is_wide else 0.0
        radius = min(habits.brush_share * widest, widest - margin, habits.largest_brush_px)
        radius = max(radius, _LEAST_RADIUS_PX)
        free = np.where(room >= radius + margin, within, 0)
        if not free.any():
            free = within
        points = _middle(free, habits.max_stroke_px) + (spot.left + 0.5, spot.top + 0.5)
        if is_wide:
            points = points + np.clip(self._rng.normal(0, 0.5, points.shape), -1, 1)
        if math.dist(points[-1], self._at) < math.dist(points[0], self._at):
            points = points[::-1]
        return Stroke(spot.class_id, np.clip(points, 0, (truth.shape[1], truth.shape[0])), 2 * radius)


def look(shown: ClassMap, truth: ClassMap, habits: Habits, later: frozenset[int] = frozenset()) -> View:
    """The spots that can be seen, and the largest; arguments as of :meth:`Annotator.next_stroke`.

    A spot of the classes ``later`` is the largest only where there is no other.
    """
    known = int(np.count_nonzero(truth != UNLABELLED))
    wrong = (shown != truth) & (truth != UNLABELLED)
    sliver = 2 * max(1, round(habits.border_share * max(truth.shape) / 2)) + 1
    kernel = np.ones((sliver, sliver), np.uint8)
    total, largest, spot = 0, (False, 0), None
    for class_id in np.unique(truth[wrong]).tolist():
        seen = cv2.morphologyEx((wrong & (truth == class_id)).view(np.uint8), cv2.MORPH_OPEN, kernel)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=4)
        if count < 2:
            continue
        areas = stats[1:, cv2.CC_STAT_AREA]
        total += int(areas.sum())
        size = class_id not in later, int(areas.max())
        if size > largest:
            largest, best = size, int(areas.argmax()) + 1
            x, y, w, h = (int(v) for v in stats[best, :4])
            spot = Spot(class_id, y, x, labels[y : y + h, x : x + w] == best)
    return View(total / max(known, 1), spot)


def wrong_share(shown: ClassMap, truth: ClassMap) -> float:
    """Of the pixels with a known truth, those that are shown as something else, or as nothing."""
    known = truth != UNLABELLED
    return float(np.count_nonzero(known & (shown != truth)) / max(1, np.count_nonzero(known)))


def paint(stroke: Stroke, truth: ClassMap, class_map: ClassMap, provenance: ProvenanceMap) -> None:
    """Write a stroke into both planes (H, W); what would lie out of the class is left out."""
    points = stroke.points if len(stroke.points) > 1 else np.repeat(stroke.points, 2, axis=0)
    for p0, p1 in zip(points[:-1].tolist(), points[1:].tolist(), strict=True):
        rect, mask = brush_segment(tuple(p0), tuple(p1), stroke.diameter, truth.shape)
        inside = mask & (truth[rect.slices] == stroke.class_id)
        class_map[rect.slices][inside] = stroke.class_id
        provenance[rect.slices][inside] = _PAINTED


def _room(spot: Spot, truth: ClassMap, largest_px: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(h, w) distance to where the class ends, and to where the spot ends; beyond the image nothing ends."""
    h, w = spot.mask.shape
    around = math.ceil(largest_px) + 2
    top, left = max(0, spot.top - around), max(0, spot.left - around)
    part = truth[top : spot.top + h + around, left : spot.left + w + around] == spot.class_id
    room = _distance(part)[spot.top - top :, spot.left - left :][:h, :w]
    edges = spot.top, truth.shape[0] - spot.top - h, spot.left, truth.shape[1] - spot.left - w
    padding = [(0 if before == 0 else 1, 0 if after == 0 else 1) for before, after in (edges[:2], edges[2:])]
    padded = _distance(np.pad(spot.mask, padding))
    within = padded[padding[0][0] :, padding[1][0] :][:h, :w]
    return room, np.where(spot.mask, within, 0)


def _distance(mask: BoolMask) -> NDArray[np.float32]:
    if mask.all():
        return np.full(mask.shape, max(mask.shape), np.float32)
    found: NDArray[np.float32] = cv2.distanceTransform(
        np.ascontiguousarray(mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    return found


def _middle(within: NDArray[np.float32], max_px: float) -> Floats:
    """(n, 2) x and y in pixels of the array: the longest way through what is over 0, along its middle.

    The way is looked for from cell to cell, where a cell is as good as its best pixel. Of a way that is too long the
    part with most room is taken.
    """
    from skimage.graph import MCP_Geometric

    side = max(1, -(-max(within.shape) // _CELLS))
    best, places = _pooled(within, side)
    cost = np.where(best > 0, best.max() / np.maximum(best, 1e-6), -1.0)
    end = _farthest(MCP_Geometric(cost), _at(best, best.shape))
    way = MCP_Geometric(cost)
    cells = np.array(way.traceback(_farthest(way, end)))
    points = places[cells[:, 0], cells[:, 1]].astype(np.float64)  # (n, 2) x, y
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    if along[-1] > max_px:
        room = np.concatenate([[0.0], np.cumsum(best[cells[:, 0], cells[:, 1]])])
        last = np.searchsorted(along, along + max_px, side="right")
        last = last[along + max_px <= along[-1] + side]
        first = int((room[last] - room[: len(last)]).argmax())
        points = points[first : int(last[first])]
    simple = cv2.approxPolyDP(np.round(points).astype(np.int32)[:, None], 1.0, closed=False)
    return simple[:, 0].astype(np.float64)


def _pooled(within: NDArray[np.float32], side: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The largest value of each cell of ``side`` x ``side`` pixels, and (rows, columns, 2) x and y of where it is."""
    padded = np.pad(within, [(0, -length % side) for length in within.shape])
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    cells = padded.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows, columns, side * side)
    inner = cells.argmax(axis=2)
    y = np.arange(rows)[:, None] * side + inner // side
    x = np.arange(columns)[None] * side + inner % side
    return cells.max(axis=2), np.stack([x, y], axis=2)


def _farthest(way: Any, start: Cell) -> Cell:
    costs, _ = way.find_costs([start])
    return _at(np.where(np.isfinite(costs), costs, -1), costs.shape)


def _at(values: NDArray[Any], shape: tuple[int, ...]) -> Cell:
    """Row and column of the largest value."""
    row, column = divmod(int(values.argmax()), shape[1])
    return row, column
