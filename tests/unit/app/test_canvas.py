"""What the canvas shows, pixel by pixel."""

import time
from itertools import pairwise

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QNativeGestureEvent, QPointingDevice, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.strokes import brush_runs
from pspnet_core.types import UNLABELLED, Prediction, Rect
from pspnet_studio.canvas.colors import PREDICTED_ALPHA, ColorTable
from pspnet_studio.canvas.tiles import TilePyramid, halved
from pspnet_studio.canvas.tools.base import Pointer
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.view_state import Look, OverlayMode

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CLASSES = ClassSet().add("red", RED).add("green", GREEN).add("blue", BLUE)


class ScaledView(CanvasView):
    """A canvas on a screen of any pixel ratio."""

    def __init__(self, tool_state, ratio=1.0):
        self.ratio = ratio
        super().__init__(tool_state)

    def devicePixelRatioF(self):
        return self.ratio


def make_document(width=90, height=70, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Document("a.png", image, PlaneStore(width, height, UNLABELLED), PlaneStore(width, height, 0))


def picture(view):
    """What is on screen now, without the tool's guides: (H, W, 3) in device pixels."""
    for _ in range(200):
        QApplication.processEvents()
        if view.is_complete:
            break
    assert view.is_complete
    ratio = view.devicePixelRatioF()
    image = QImage(round(view.width() * ratio), round(view.height() * ratio), QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(ratio)
    view.render(image)
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return pixels[..., 2::-1].copy()


def expected_squares(view, colors):
    """The image ``colors`` as squares, by the definition of the viewport, and where it is seen."""
    port = view.viewport
    ratio = view.devicePixelRatioF()
    columns, rows = port.columns(0, round(view.width() * ratio)), port.rows(0, round(view.height() * ratio))
    inside = ((rows >= 0) & (rows < port.image_h))[:, None] & ((columns >= 0) & (columns < port.image_w))
    out = colors[rows.clip(0, port.image_h - 1)[:, None], columns.clip(0, port.image_w - 1)]
    return out, inside


@pytest.fixture
def view(qtbot):
    return make_view(qtbot)


def make_view(qtbot, ratio=1.0, size=(300, 200)):
    state = ToolState()
    view = ScaledView(state, ratio)
    qtbot.addWidget(view)
    view.resize(*size)
    view.set_classes(CLASSES)
    state.set_opacity(1.0)
    view.show()
    return view


@pytest.mark.parametrize("ratio", [1.0, 1.25, 1.5, 2.0])
@pytest.mark.parametrize("zoom", [1.0, 2.0, 2.6, 5.0, 7.3, 11.0])
def test_image_pixels_are_where_the_viewport_says(qtbot, ratio, zoom):
    view = make_view(qtbot, ratio)
    document = make_document()
    view.set_document(document)
    view.set_zoom(zoom)
    seen = picture(view)
    expected, inside = expected_squares(view, document.image)
    assert inside.any()
    assert np.array_equal(seen[inside], expected[inside])


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("zoom", [0.5, 0.77, 1.0, 1.5, 2.0, 5.3, 12.0, 13.7, 50.0])
def test_a_partial_repaint_gives_the_same_picture_as_a_full_one(qtbot, ratio, zoom):
    view = make_view(qtbot, ratio)
    document = make_document(400, 300)
    view.set_document(document)
    view.set_zoom(zoom)
    picture(view)
    area = view.visible_rect()
    rect = Rect(area.x + area.w // 3, area.y + area.h // 3, max(1, area.w // 5), max(1, area.h // 4))
    document.begin_edit("brush")
    document.paint(rect, np.ones((rect.h, rect.w), np.bool_), 1)
    partial = picture(view).astype(int)
    view._screen.invalidate()
    view.update()
    full = picture(view).astype(int)
    # Smooth scaling may round a channel differently, squares may not differ at all.
    assert np.abs(partial - full).max() <= (0 if zoom >= 2 or zoom == 1 else 6)
    document.commit_edit()


@pytest.mark.parametrize("mode", [OverlayMode.CLASSES, OverlayMode.PROVENANCE, OverlayMode.DIFFERENCE])
@pytest.mark.parametrize("ratio", [1.0, 1.5])
@pytest.mark.parametrize("zoom", [0.3, 0.77, 1.0, 2.0, 5.3, 13.7])
def test_a_stroke_is_drawn_as_if_all_were_drawn_again(qtbot, ratio, zoom, mode):
    view = make_view(qtbot, ratio)
    document = make_document(900, 700)
    everywhere = np.full((700, 900), 1, np.uint8)
    document.set_prediction(Prediction(everywhere, everywhere))
    view.set_document(document)
    view.set_look(Look(mode=mode))
    view.tool_state.set_opacity(0.55)
    view.set_zoom(zoom)
    before = picture(view).astype(int)
    area = view.visible_rect()
    diameter = max(5, area.w // 2)
    points = [(area.x + area.w * u, area.y + area.h * v) for u, v in ((0.1, 0.1), (0.5, 0.4), (0.55, 0.9), (1.3, 0.2))]
    document.begin_edit("brush")
    for n, (p0, p1) in enumerate(pairwise(points)):
        document.paint_runs(brush_runs(p0, p1, diameter, document.shape, without_start=n > 0), 0)
    partial = picture(view).astype(int)
    view._screen.invalidate()
    view.update()
    full = picture(view).astype(int)
    assert np.abs(partial - full).max() <= (0 if zoom >= 2 or zoom == 1 else 6)
    assert (partial != before).any()
    document.abort_edit()
    assert np.abs(picture(view).astype(int) - before).max() <= (0 if zoom >= 2 or zoom == 1 else 6)


@pytest.mark.parametrize("zoom", [0.4, 1.0, 3.0])
def test_nothing_changes_outside_the_reported_rectangle(view, zoom):
    document = make_document(600, 500)
    view.set_document(document)
    view.set_zoom(zoom)
    before = picture(view)
    rect = Rect(280, 240, 40, 30)
    document.begin_edit("brush")
    document.paint(rect, np.ones((30, 40), np.bool_), 0)
    document.commit_edit()
    after = picture(view)
    touched = np.zeros(before.shape[:2], np.bool_)
    touched[view.viewport.device_rect(rect).slices] = True
    assert np.array_equal(before[~touched], after[~touched])
    assert not np.array_equal(before[touched], after[touched])


def test_own_pixels_lie_over_a_fainter_prediction_and_hidden_classes_vanish(view):
    document = make_document(60, 40)
    document.image[:] = 0
    view.set_document(document)
    view.set_zoom(4.0)
    predicted = np.full((40, 60), 1, np.uint8)
    document.set_prediction(Prediction(predicted, predicted))
    document.begin_edit("brush")
    document.paint(Rect(0, 0, 20, 40), np.ones((40, 20), np.bool_), 0)
    document.paint(Rect(20, 0, 10, 40), np.ones((40, 10), np.bool_), UNLABELLED)
    document.commit_edit()

    def colour(x, y):
        at = view.image_to_widget(x + 0.5, y + 0.5)
        return tuple(int(v) for v in picture(view)[int(at.y()), int(at.x())])

    assert colour(5, 20) == RED
    assert colour(25, 20) == (0, 0, 0)  # erased by hand: the prediction does not come through
    assert colour(50, 20) == pytest.approx((0, 255 * PREDICTED_ALPHA, 0), abs=2)
    view.set_classes(CLASSES.change(1, visible=False))
    assert colour(50, 20) == (0, 0, 0)
    assert colour(5, 20) == RED
    view.set_classes(CLASSES.change(0, color=BLUE))
    assert colour(5, 20) == BLUE
    document.set_prediction(None)
    assert colour(50, 20) == (0, 0, 0)


def test_opacity_and_visibility_touch_no_pixel_data(view, monkeypatch):
    document = make_document(60, 40)
    document.image[:] = 0
    document.begin_edit("fill")
    document.paint(document.rect, np.ones((40, 60), np.bool_), 0)
    document.commit_edit()
    view.set_document(document)
    middle = (100, 150)
    assert tuple(picture(view)[middle]) == RED
    monkeypatch.setattr(document, "displayed", lambda rect: pytest.fail("overlay was made again"))
    view.tool_state.set_opacity(0.5)
    assert picture(view)[middle][0] == pytest.approx(128, abs=2)
    view.tool_state.set_overlay_visible(False)
    assert tuple(picture(view)[middle]) == (0, 0, 0)
    view.tool_state.set_overlay_visible(True)
    assert picture(view)[middle][0] == pytest.approx(128, abs=2)


def test_the_pixel_grid_separates_pixels_from_1200_percent_on(view):
    document = make_document(50, 50)
    document.image[:] = 128
    view.set_document(document)
    view.set_zoom(11.0)
    assert len(np.unique(picture(view)[80:120, 130:170])) == 1
    view.set_zoom(16.0)
    seen = picture(view)[..., 0]
    port = view.viewport
    starts = [x for x in range(1, 300) if port.columns(x - 1, x + 1)[0] != port.columns(x, x + 1)[0]]
    row = next(y for y in range(100, 120) if port.rows(y - 1, y)[0] == port.rows(y, y + 1)[0])
    assert np.flatnonzero(seen[row] != 128).tolist() == starts


def test_smooth_zooming_out_averages(view):
    document = make_document(512, 512)
    document.image[::2, ::2] = 255
    document.image[1::2, ::2] = 255
    document.image[:, 1::2] = 0
    view.set_document(document)
    view.set_zoom(0.25)
    seen = picture(view)[90:110, 140:160].astype(int)
    assert np.abs(seen - 128).max() <= 3


def test_a_thin_stroke_is_still_seen_when_zoomed_out(view):
    document = make_document(1024, 1024)
    document.image[:] = 0
    document.begin_edit("brush")
    document.paint(Rect(500, 0, 4, 1024), np.ones((1024, 4), np.bool_), 0)
    document.commit_edit()
    view.set_document(document)
    seen = picture(view)
    assert seen[100, :, 0].max() > 60
    assert seen[100, :, 1].max() == pytest.approx(int(view._screen._frame.background.green()), abs=1)


def test_a_large_image_appears_piece_by_piece(qtbot):
    view = make_view(qtbot, size=(700, 500))
    document = make_document(4000, 3000)
    everywhere = np.zeros((3000, 4000), np.uint8)
    document.set_prediction(Prediction(everywhere, everywhere))
    pieces = []
    read = document.displayed
    document.displayed = lambda rect, step: pieces.append((rect, step)) or read(rect, step)
    view.set_document(document)
    start = time.perf_counter()
    QApplication.processEvents()
    assert time.perf_counter() - start < 1.0
    picture(view)
    assert max(rect.w * rect.h / step**2 for rect, step in pieces) <= 512 * 512
    assert sum(rect.w * rect.h for rect, _ in pieces) == 4000 * 3000


def test_visible_rect_follows_zoom_and_background_is_not_image(view):
    document = make_document(1000, 800)
    view.set_document(document)
    assert view.visible_rect() == Rect(0, 0, 1000, 800)
    zooms = []
    view.zoom_changed.connect(zooms.append)
    view.actual_size()
    assert zooms == [1.0]
    assert view.visible_rect() == Rect(350, 300, 300, 200)
    view.fit()
    assert view.visible_rect() == Rect(0, 0, 1000, 800)
    view.resize(150, 100)
    assert view.visible_rect() == Rect(0, 0, 1000, 800)
    view.set_document(None)
    assert view.visible_rect().is_empty
    assert len(np.unique(picture(view).reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
def test_widget_and_image_points_are_inverse(qtbot, ratio):
    view = make_view(qtbot, ratio)
    view.set_document(make_document())
    view.set_zoom(3.3)
    point = view.image_to_widget(12.25, 34.5)
    assert view.widget_to_image(point) == pytest.approx((12.25, 34.5))
    assert view.event_to_image(view.event_position(12.25, 34.5)) == pytest.approx((12.25, 34.5))


def wheel(view, position, notches, modifiers=Qt.KeyboardModifier.NoModifier, phase=Qt.ScrollPhase.NoScrollPhase):
    event = QWheelEvent(
        QPointF(position),
        view.mapToGlobal(QPointF(position)),
        QPoint(0, int(notches * 40)),
        QPoint(0, int(notches * 120)),
        Qt.MouseButton.NoButton,
        modifiers,
        phase,
        False,
    )
    QApplication.sendEvent(view, event)


def test_wheel_zooms_at_the_cursor_and_control_sizes_the_brush(view):
    view.set_document(make_document(400, 300))
    view.set_zoom(2.0)
    at = QPoint(60, 50)
    before = view.widget_to_image(at)
    wheel(view, at, 3)
    assert view.zoom == pytest.approx(4.0)
    assert view.widget_to_image(at) == pytest.approx(before, abs=0.2)
    diameter = view.tool_state.diameter
    wheel(view, at, 1, Qt.KeyboardModifier.ControlModifier)
    assert view.zoom == pytest.approx(4.0)
    assert view.tool_state.diameter > diameter
    wheel(view, at, -0.5, Qt.KeyboardModifier.ControlModifier)
    wheel(view, at, -0.5, Qt.KeyboardModifier.ControlModifier)
    assert view.tool_state.diameter == diameter


def test_two_fingers_pan(view):
    view.set_document(make_document(400, 300))
    view.set_zoom(2.0)
    x, y = view.viewport.offset_x, view.viewport.offset_y
    wheel(view, QPoint(60, 50), 1, phase=Qt.ScrollPhase.ScrollUpdate)
    assert view.zoom == 2.0
    assert (view.viewport.offset_x, view.viewport.offset_y) == (x, y + 40)


def pinch(view, position, value, kind=Qt.NativeGestureType.ZoomNativeGesture):
    at = QPointF(position)
    device = QPointingDevice.primaryPointingDevice()
    event = QNativeGestureEvent(kind, device, 2, at, at, view.mapToGlobal(at), value, QPointF())
    QApplication.sendEvent(view, event)


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_two_fingers_zoom_at_their_place(qtbot, ratio):
    view = make_view(qtbot, ratio)
    view.set_document(make_document(400, 300))
    view.set_zoom(2.0)
    at = QPoint(60, 50)
    before = view.widget_to_image(at)
    for _ in range(4):
        pinch(view, at, 0.1)
    assert view.zoom == pytest.approx(2 * 1.1**4)
    assert view.widget_to_image(at) == pytest.approx(before, abs=0.5)
    pinch(view, at, -0.5)
    assert view.zoom == pytest.approx(1.1**4)
    pinch(view, at, 30.0, Qt.NativeGestureType.RotateNativeGesture)
    assert view.zoom == pytest.approx(1.1**4), "nothing is turned"


def test_arrow_keys_look_further_and_shift_further_still(view):
    view.set_document(make_document(400, 300))
    view.set_zoom(4.0)
    x, y = view.viewport.offset_x, view.viewport.offset_y
    QTest.keyClick(view, Qt.Key.Key_Right)
    assert (view.viewport.offset_x, view.viewport.offset_y) == (x - 30, y)
    QTest.keyClick(view, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    assert (view.viewport.offset_x, view.viewport.offset_y) == (x - 30, y + 100)
    for _ in range(100):
        QTest.keyClick(view, Qt.Key.Key_Left)
    assert not view.visible_rect().is_empty, "the image is never lost"


def test_the_canvas_follows_the_theme(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    view = CanvasView(ToolState(), window)
    layout.addWidget(view)
    window.resize(200, 200)
    window.show()
    palette = window.palette()
    palette.setColor(palette.ColorRole.Window, Qt.GlobalColor.white)
    window.setPalette(palette)
    light = picture(view)[5, 5].mean()
    palette.setColor(palette.ColorRole.Window, Qt.GlobalColor.black)
    window.setPalette(palette)
    assert picture(view)[5, 5].mean() < light


def test_color_table_tells_equal_from_different():
    assert ColorTable(CLASSES) == ColorTable(CLASSES.change(0, name="other"))
    assert ColorTable(CLASSES) != ColorTable(CLASSES.change(0, color=(1, 2, 3)))


def test_halving_is_the_mean_of_four():
    pixels = np.random.default_rng(0).integers(0, 2**32, (7, 9), dtype=np.uint32)
    half = halved(pixels)
    assert half.shape == (4, 5)
    channels = np.pad(pixels, ((0, 1), (0, 1)), mode="edge").view(np.uint8).reshape(8, 10, 4).astype(float)
    mean = channels.reshape(4, 2, 5, 2, 4).mean(axis=(1, 3))
    assert np.abs(half.view(np.uint8).reshape(4, 5, 4) - mean).max() <= 1


def test_tiles_stay_within_their_budget_and_remake_what_changed():
    source = np.arange(3000 * 2000, dtype=np.uint32).reshape(2000, 3000)

    def render(rect, level):
        assert level == 0
        return source[rect.slices].copy()

    pyramid = TilePyramid(3000, 2000, render, budget_bytes=4 * 1024 * 1024)
    later = time.perf_counter() + 60
    for y in range(0, 2000, 500):
        for x in range(0, 3000, 500):
            rect = Rect(x, y, 500, 500)
            changed, is_complete = pyramid.refresh(0, rect, later)
            assert is_complete
            assert np.array_equal(pyramid.gather(0, rect), source[rect.slices])
            assert pyramid.nbytes <= 4 * 1024 * 1024
    source[1900:1910, 2900:2950] = 7
    pyramid.invalidate(Rect(2900, 1900, 50, 10))
    changed, is_complete = pyramid.refresh(0, Rect(2500, 1500, 500, 500), later)
    assert changed == [Rect(2900, 1900, 50, 10)]
    assert (pyramid.gather(0, Rect(2900, 1900, 50, 10)) == 7).all()


def test_late_tiles_show_the_preview_and_then_the_picture():
    source = np.full((1024, 1024), 9, np.uint32)
    pyramid = TilePyramid(1024, 1024, lambda rect, level: source[rect.slices], np.full((4, 4), 5, np.uint32))
    whole = Rect(0, 0, 1024, 1024)
    _, is_complete = pyramid.refresh(0, whole, time.perf_counter() - 1)
    assert not is_complete
    assert set(np.unique(pyramid.gather(0, whole))) == {5, 9}
    while not is_complete:
        _, is_complete = pyramid.refresh(0, whole, time.perf_counter() - 1)
    assert (pyramid.gather(0, whole) == 9).all()


def test_memory_of_the_image_before_is_given_back_when_the_hand_rests(view, qtbot, monkeypatch):
    given = []
    monkeypatch.setattr("pspnet_studio.canvas.picture_view.give_back_free_memory", lambda: given.append(1))
    view._tidy.setInterval(0)
    view.tool_state.set_class_id(0)
    view.set_document(make_document())
    view._tool.press(Pointer(5.0, 5.0))
    assert view.is_busy
    for _ in range(5):
        QApplication.processEvents()
    assert given == []
    view._tool.end_drag()
    qtbot.waitUntil(lambda: given == [1])
