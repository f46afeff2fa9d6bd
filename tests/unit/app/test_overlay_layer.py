"""What the overlay's tiles are made of when the image is seen small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Prediction, Rect
from pspnet_studio.canvas.colors import ColorTable
from pspnet_studio.canvas.layers import OverlayLayer
from pspnet_studio.model.document import Document
from pspnet_studio.model.view_state import Look

CLASSES = ClassSet().add("red", (255, 0, 0)).add("green", (0, 255, 0))
COLORS = ColorTable(CLASSES)
SIDE, CELL, LEVEL = 1024, 4, 2


def seen(cell_px: float, stroke: Rect | None = None) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """The overlay at a quarter of the size over random cells, and the cells."""
    cells = np.random.default_rng(0).integers(0, 2, (SIDE // CELL, SIDE // CELL)).astype(np.uint8)
    classes = np.kron(cells, np.ones((CELL, CELL), np.uint8))
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    document = Document("a.png", image, PlaneStore(SIDE, SIDE, UNLABELLED), PlaneStore(SIDE, SIDE, 0))
    if stroke is not None:
        document.begin_edit("brush")
        document.paint(stroke, np.ones((stroke.h, stroke.w), np.bool_), 1)
        document.commit_edit()
    document.set_prediction(Prediction(classes, classes, cell_px=cell_px))
    layer = OverlayLayer(document, COLORS, Look())
    whole = layer.pyramid.level_rect(LEVEL)
    layer.pyramid.refresh(LEVEL, whole, deadline=float("inf"))
    return layer.pyramid.gather(LEVEL, whole), cells


def test_squares_as_large_as_a_pixel_of_the_level_keep_their_colours() -> None:
    for cell_px in (1.0, 3.5, 4.0):
        pixels, cells = seen(cell_px)
        assert (pixels == COLORS.predicted.premultiplied[cells]).all()


def test_of_squares_few_pixels_are_looked_at() -> None:
    document_reads: list[int] = []
    read = PlaneStore.read

    def counted(plane: PlaneStore, rect: Rect, step: int = 1) -> NDArray[np.uint8]:
        document_reads.append(-(-rect.h // step) * -(-rect.w // step))
        return read(plane, rect, step)

    try:
        PlaneStore.read = counted  # type: ignore[method-assign]
        seen(1.0)
        pixel_by_pixel = sum(document_reads)
        document_reads.clear()
        seen(4.0)
        assert sum(document_reads) * 10 < pixel_by_pixel
    finally:
        PlaneStore.read = read  # type: ignore[method-assign]


def test_strokes_over_squares_have_smooth_borders() -> None:
    pixels, _ = seen(4.0, Rect(100, 101, 202, 30))  # starts and ends inside of pixels of the level
    own, predicted = COLORS.own.premultiplied[1], COLORS.predicted.premultiplied[:2]
    inside = pixels[27:32, 26:75]
    assert (inside == own).all()
    border = pixels[26:31, 75]  # two of its four columns of pixels are the stroke's
    assert not np.isin(border, [own, *predicted]).any()
