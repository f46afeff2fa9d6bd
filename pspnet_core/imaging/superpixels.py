"""Superpixels: small connected cells of one colour each, to select whole pieces of an image at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.areas import Area, check_pixels, empty_area, mask_within, pixel_under, relative, tight_area
from pspnet_core.imaging.clusters import assigned_cells
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.lab import lab_of
from pspnet_core.imaging.strokes import Point
from pspnet_core.types import BoolMask, Rect, RgbImage

Labels = NDArray[np.int32]

_BLUR_PX = 0.7  # Gaussian sigma: single noisy pixels do not make fragments


@dataclass(frozen=True, eq=False)
class Superpixels:
    """A part of an image cut into cells.

    Attributes:
        rect: The part, in image pixels.
        labels: (rect.h, rect.w) int32, the cell of each pixel: 0 to ``num_cells`` - 1, each one 4-connected region.
        boxes: (num_cells, 4) int32: first column, first row, column after the last, row after the last, relative to
            ``rect``.
    """

    rect: Rect
    labels: Labels
    boxes: NDArray[np.int32]

    @property
    def num_cells(self) -> int:
        """How many cells there are."""
        return len(self.boxes)

    def cell_at(self, point: Point) -> Area:
        """The cell under a point (x, y) of the image; empty outside of ``rect``.

        Raises:
            ValueError: The point is not finite.
        """
        under = pixel_under(point, self.rect)
        if under is None:
            return empty_area()
        cell = int(self.labels[under])
        left, top, right, bottom = (int(value) for value in self.boxes[cell])
        mask: BoolMask = self.labels[top:bottom, left:right] == cell
        return Rect(self.rect.x + left, self.rect.y + top, right - left, bottom - top), mask

    def cells_touched(self, area: Area) -> Area:
        """All cells of which at least one pixel is in an area of the image, such as a dab of the brush."""
        inside = area[0].intersect(self.rect)
        if inside.is_empty:
            return empty_area()
        touched = np.unique(self.labels[relative(inside, self.rect).slices][mask_within(area, inside)])
        if len(touched) == 0:
            return empty_area()
        left, top = (int(value) for value in self.boxes[touched, :2].min(axis=0))
        right, bottom = (int(value) for value in self.boxes[touched, 2:].max(axis=0))
        wanted = np.zeros(self.num_cells, np.bool_)
        wanted[touched] = True
        place = Rect(self.rect.x + left, self.rect.y + top, right - left, bottom - top)
        return tight_area(place, wanted[self.labels[top:bottom, left:right]])

    def borders(self) -> BoolMask:
        """(rect.h, rect.w) bool: the pixels whose right or lower neighbour is of another cell, to be drawn."""
        out = np.zeros(self.labels.shape, np.bool_)
        np.not_equal(self.labels[:, :-1], self.labels[:, 1:], out=out[:, :-1])
        out[:-1] |= self.labels[:-1] != self.labels[1:]
        return out


def superpixels(
    pixels: RgbImage, rect: Rect, cell_px: int = 16, compactness: float = 20.0, iterations: int = 5
) -> Superpixels:
    """Cut a part of an image into cells of similar colour.

    Seeds on a grid, k-means in colour and place, each pixel compared to the seeds of the nine grid squares around it;
    all but the last round see every second row and column. Pieces under a quarter of a grid square then go to the
    neighbour with the least contrast at the common border. The same pixels always give the same cells.

    Args:
        pixels: (rect.h, rect.w, 3) uint8 RGB; meant for up to about 1,000,000 pixels.
        rect: Where they lie in the image.
        cell_px: Side of a square of the grid, at least 2: a cell has about its area.
        compactness: How much place counts against colour: a step of one grid square is as far as this many units of
            Lab. Over 0; 10 follows every edge, 40 gives almost squares.
        iterations: Rounds of k-means, at least 1.

    Returns:
        The cells; the arrays are owned by the caller.

    Raises:
        ValueError: The pixels do not fit the rectangle, or a number is out of its range.

    Source: R. Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", TPAMI 2012; the
        comparison with nine fixed grid squares as in C. Y. Ren and I. Reid, "gSLIC", 2011.
    """
    check_pixels(rect, pixels)
    if cell_px < 2 or not (math.isfinite(compactness) and compactness > 0) or iterations < 1:
        raise ValueError(
            f"cell_px must be at least 2, compactness over 0, iterations at least 1, got {cell_px}, {compactness}, "
            f"{iterations}"
        )
    smooth = cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), _BLUR_PX, borderType=cv2.BORDER_REPLICATE)
    colors = lab_of(np.asarray(smooth))
    labels = assigned_cells(colors, cell_px, compactness, iterations)
    labels = _connected(labels, colors, max(1, cell_px * cell_px // 4))
    return Superpixels(rect, labels, _boxes(labels))


def _connected(labels: Labels, colors: NDArray[np.float32], smallest_px: int) -> Labels:
    """Cells of at least ``smallest_px`` pixels (if there are any), each one connected region, numbered from 0."""
    pieces = _pieces(labels)
    sizes = np.bincount(pieces.ravel())
    kept = sizes >= smallest_px
    kept[np.argmax(sizes)] = True
    if kept.all():
        return pieces
    target = _most_alike_kept(pieces, colors, kept)
    number = (np.cumsum(kept) - 1).astype(np.int32)
    merged: Labels = number[target][pieces]
    return merged


def _pieces(labels: Labels) -> Labels:
    """The 4-connected regions of equal labels, numbered from 0 in the order of OpenCV.

    OpenCV labels only binary images: so pixels become every second cell of a larger grid, and the cells between two
    pixels of one label are open.
    """
    height, width = labels.shape
    grid = np.zeros((2 * height - 1, 2 * width - 1), np.uint8)
    grid[::2, ::2] = 1
    grid[::2, 1::2] = labels[:, 1:] == labels[:, :-1]
    grid[1::2, ::2] = labels[1:] == labels[:-1]
    _, found = cv2.connectedComponents(grid, connectivity=4, ltype=cv2.CV_32S)
    return np.asarray(found[::2, ::2] - 1, np.int32)


def _most_alike_kept(pieces: Labels, colors: NDArray[np.float32], kept: BoolMask) -> NDArray[np.int64]:
    """For each piece the kept one it goes to: the neighbour with the least contrast at the border, or that one's."""
    num, width = len(kept), pieces.shape[1]
    flat, flat_colors = pieces.ravel(), colors.reshape(-1, 3)
    codes, contrasts = [], []
    for step, differ in ((1, pieces[:, :-1] != pieces[:, 1:]), (width, pieces[:-1] != pieces[1:])):
        rows, columns = np.nonzero(differ)
        at = rows * width + columns
        at = at[~(kept[flat[at]] & kept[flat[at + step]])]
        first, second = flat[at].astype(np.int64), flat[at + step].astype(np.int64)
        contrast = np.linalg.norm(flat_colors[at] - flat_colors[at + step], axis=1)
        for piece, beside in ((first, second), (second, first)):
            loose = ~kept[piece]
            codes.append(piece[loose] * num + beside[loose])
            contrasts.append(contrast[loose])
    pairs, pair_of = np.unique(np.concatenate(codes), return_inverse=True)
    contrast = np.bincount(pair_of, np.concatenate(contrasts)) / np.bincount(pair_of)
    piece, beside = pairs // num, pairs % num
    order = np.lexsort((beside, contrast, piece))
    piece, beside = piece[order], beside[order]
    target = np.where(kept, np.arange(num), -1)
    while (target < 0).any():
        ready = (target[piece] < 0) & (target[beside] >= 0)
        chosen, at = np.unique(piece[ready], return_index=True)
        target[chosen] = target[beside[ready][at]]
    return target


def _boxes(labels: Labels) -> NDArray[np.int32]:
    """(n, 4) int32: first column, first row, column after the last, row after the last of each cell."""
    height, width = labels.shape
    begins = np.ones(labels.shape, np.bool_)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    start = np.flatnonzero(begins.ravel())
    end = np.append(start[1:], labels.size)  # a run ends where the next begins: none goes over the end of a row
    cell, row, column = labels.ravel()[start], start // width, start % width
    num = int(labels.max()) + 1
    boxes = np.empty((num, 4), np.int64)
    boxes[:, 0], boxes[:, 1], boxes[:, 2:] = width, height, 0
    np.minimum.at(boxes[:, 0], cell, column)
    np.minimum.at(boxes[:, 1], cell, row)
    np.maximum.at(boxes[:, 2], cell, column + end - start)
    np.maximum.at(boxes[:, 3], cell, row + 1)
    return boxes.astype(np.int32)
