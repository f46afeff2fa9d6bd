"""Views of the same data: modes, outlines, highlight, adjustments, and the text under the cursor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Prediction, Provenance, Rect
from pspnet_studio.canvas.colors import ColorTable
from pspnet_studio.canvas.layers import ImageLayer, OverlayLayer
from pspnet_studio.canvas.overlays import PROVENANCE_COLORS, outlines, overlay
from pspnet_studio.model.document import Document
from pspnet_studio.model.view_state import Adjustments, Look, OverlayMode, ViewState, mode_texts
from pspnet_studio.windows.status import pixel_text

CLASSES = ClassSet().add("ground", (200, 0, 0), index=0).add("roof", (0, 200, 0), index=1)
COLORS = ColorTable(CLASSES)
WHOLE = Rect(0, 0, 8, 4)


@pytest.fixture
def document() -> Document:
    """Left half painted as ground, its upper row erased; everything predicted as roof with half confidence."""
    classes = np.full((4, 8), UNLABELLED, np.uint8)
    classes[1:, :4] = 0
    provenance = np.zeros((4, 8), np.uint8)
    provenance[1:, :4], provenance[0, :4] = Provenance.PAINTED, Provenance.ERASED
    image = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    result = Document("a", image, PlaneStore.from_array(classes, 255), PlaneStore.from_array(provenance))
    result.set_prediction(Prediction(np.ones((4, 8), np.uint8), np.full((4, 8), 128, np.uint8)), 1)
    return result


def alpha(pixels: np.ndarray) -> np.ndarray:
    return pixels >> 24


def test_labels_show_nothing_of_the_prediction(document: Document) -> None:
    pixels = overlay(document, WHOLE, OverlayMode.LABELS, COLORS)
    assert (pixels[1:, :4] == 0xFFC80000).all()
    assert (pixels[:, 4:] == 0).all()
    assert (pixels[0] == 0).all()


def test_prediction_shows_nothing_of_the_labels(document: Document) -> None:
    assert (overlay(document, WHOLE, OverlayMode.PREDICTION, COLORS) == 0xFF00C800).all()


def test_difference_is_shown_only_where_there_are_labels(document: Document) -> None:
    document.begin_edit("brush")
    document.paint(Rect(6, 3, 1, 1), np.ones((1, 1), bool), 1)
    document.commit_edit()
    shown = alpha(overlay(document, WHOLE, OverlayMode.DIFFERENCE, COLORS))
    assert (shown[1:, :4] == 255).all()  # ground, predicted as roof
    assert 0 < shown[3, 6] < 255  # the same
    assert (shown[:3, 4:] == 0).all()


def test_provenance_has_a_colour_each(document: Document) -> None:
    pixels = overlay(document, WHOLE, OverlayMode.PROVENANCE, COLORS)
    assert (pixels[1:, :4] == PROVENANCE_COLORS[Provenance.PAINTED]).all()
    assert (pixels[0, :4] == PROVENANCE_COLORS[Provenance.ERASED]).all()
    assert (pixels[:, 4:] == 0).all()


def test_doubt_is_strong_and_certainty_invisible(document: Document) -> None:
    assert document.prediction is not None
    document.prediction.confidence[0, 0] = 255
    shown = alpha(overlay(document, WHOLE, OverlayMode.CONFIDENCE, COLORS))
    assert shown[0, 0] == 0
    assert shown[1, 1] > 200


@pytest.mark.parametrize("mode", [OverlayMode.PREDICTION, OverlayMode.DIFFERENCE, OverlayMode.CONFIDENCE])
def test_without_a_prediction_there_is_nothing_to_show(document: Document, mode: OverlayMode) -> None:
    document.set_prediction(None)
    assert not overlay(document, WHOLE, mode, COLORS).any()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_an_outline_pixel_has_another_neighbour(seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 3, (7, 9)).astype(np.uint8)
    expected = np.zeros(values.shape, bool)
    for y, x in np.ndindex(values.shape):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < 7 and 0 <= u < 9:
                expected[y, x] |= values[v, u] != values[y, x]
    assert (outlines(values) == expected).all()


@pytest.mark.parametrize("level", [0, 1, 3])
def test_outlines_after_a_stroke_are_those_of_a_fresh_picture(level: int) -> None:
    rng = np.random.default_rng(0)
    plane = np.repeat(np.repeat(rng.integers(0, 2, (75, 90)).astype(np.uint8), 16, 0), 16, 1)
    document = Document(
        "a", np.zeros((*plane.shape, 3), np.uint8), PlaneStore.from_array(plane, 255), PlaneStore(1440, 1200, 0)
    )
    look = Look(contours=True)
    layer = OverlayLayer(document, COLORS, look)
    whole = layer.pyramid.level_rect(level)
    layer.pyramid.refresh(level, whole, float("inf"))
    document.begin_edit("brush")
    rect = Rect(500, 490, 60, 50)
    document.paint(rect, np.ones((50, 60), bool), 1)
    document.commit_edit()
    margin = 1 << level
    layer.pyramid.invalidate(
        Rect(rect.x - margin, rect.y - margin, rect.w + 2 * margin, rect.h + 2 * margin).intersect(document.rect)
    )
    layer.pyramid.refresh(level, whole, float("inf"))
    fresh = OverlayLayer(document, COLORS, look)
    fresh.pyramid.refresh(level, whole, float("inf"))
    assert (layer.pyramid.gather(level, whole) == fresh.pyramid.gather(level, whole)).all()
    assert layer.pyramid.gather(level, whole).any()


def test_adjustments_change_the_picture_and_not_the_image(document: Document) -> None:
    layer = ImageLayer(document)
    before = document.image.copy()
    layer.pyramid.refresh(0, WHOLE, float("inf"))
    plain = layer.pyramid.gather(0, WHOLE)
    layer.set_adjustments(Adjustments(brightness=50))
    layer.pyramid.refresh(0, WHOLE, float("inf"))
    assert (layer.pyramid.gather(0, WHOLE) > plain).all()
    layer.set_adjustments(Adjustments())
    layer.pyramid.refresh(0, WHOLE, float("inf"))
    assert (layer.pyramid.gather(0, WHOLE) == plain).all()
    assert (document.image == before).all()


def test_the_table_of_adjustments() -> None:
    assert (Adjustments().table() == np.arange(256)).all()
    for adjustments in (Adjustments(contrast=40), Adjustments(contrast=-60), Adjustments(gamma=2.2), Adjustments(30)):
        assert (np.diff(adjustments.table().astype(int)) >= 0).all()
    assert Adjustments(gamma=2.0).table()[64] > 64
    assert set(Adjustments(contrast=100).table().tolist()) == {0, 255}


def test_other_classes_fade_beside_a_highlighted_one() -> None:
    table = ColorTable(CLASSES, highlight=1)
    assert table.own.argb[1] >> 24 == 255
    assert 0 < table.own.argb[0] >> 24 < 60
    assert table != ColorTable(CLASSES)


def test_view_state_tells_changes_once(qtbot) -> None:
    state = ViewState()
    with qtbot.waitSignal(state.changed, timeout=500):
        state.set_mode(OverlayMode.LABELS)
    with qtbot.assertNotEmitted(state.changed):
        state.set_mode(OverlayMode.LABELS)
    assert set(mode_texts()) == set(OverlayMode)


def test_the_text_under_the_cursor(document: Document) -> None:
    assert pixel_text(document.pixel(6, 2), CLASSES) == "roof · predicted 50 %"
    assert pixel_text(document.pixel(1, 2), CLASSES) == "ground · painted"
    assert pixel_text(document.pixel(1, 0), CLASSES) == "erased"
    document.set_prediction(None)
    assert pixel_text(document.pixel(6, 2), CLASSES) == ""
