"""Doubtful spots of the open image: order, what falls out, what came too late; the ring; the commands around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtGui import QAction
from pytestqt.qtbot import QtBot

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Prediction, Provenance, Rect
from pspnet_studio.canvas.spot_ring import SpotRing
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.model.document import Document
from pspnet_studio.model.queue import Suggestion
from pspnet_studio.model.spots import Spots
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.windows.next_flow import NextFlow

SIZE = 256
RADIUS = 16
PLACES = [(200, 40, 0.9), (60, 60, 0.6), (128, 220, 0.3)]
"""x, y and doubt of squares in an image that is sure elsewhere."""


class Session(QObject):
    """An open document and real lanes."""

    document_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.runner = JobRunner()
        self.document: Document | None = None
        self.current_key: str | None = None
        self.visited: list[str] = []

    def open(self, document: Document | None) -> None:
        self.document = document
        self.document_changed.emit()

    def go_to(self, key: str) -> None:
        self.visited.append(key)


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    session = Session()
    session.open(document())
    yield session
    assert session.runner.shutdown(30)


def prediction(places: list[tuple[int, int, float]] = PLACES) -> Prediction:
    confidence = np.full((SIZE, SIZE), 255, np.uint8)
    for x, y, doubt in places:
        confidence[y - RADIUS : y + RADIUS, x - RADIUS : x + RADIUS] = round(255 * (1 - doubt))
    return Prediction(np.zeros((SIZE, SIZE), np.uint8), confidence)


def document(places: list[tuple[int, int, float]] = PLACES) -> Document:
    planes = PlaneStore(SIZE, SIZE, UNLABELLED), PlaneStore(SIZE, SIZE, Provenance.UNTOUCHED)
    document = Document("a.png", np.full((SIZE, SIZE, 3), 90, np.uint8), *planes)
    document.set_prediction(prediction(places), 1)
    return document


def paint(document: Document, x: int, y: int) -> None:
    rect = Rect(x - 40, y - 40, 80, 80).intersect(document.rect)
    document.begin_edit("brush")
    document.paint(rect, np.ones((rect.h, rect.w), np.bool_), 1)
    document.commit_edit()


class Visits:
    """Where the spots led, by the number of the place; -1 for something else."""

    def __init__(self, spots: Spots, qtbot: QtBot) -> None:
        self._spots, self._qtbot = spots, qtbot
        self.places: list[int] = []
        self.texts: list[str] = []
        spots.reached.connect(lambda spot, _radius: self.places.append(self._number(spot)))
        spots.told.connect(self.texts.append)

    def after(self, step: Callable[[], None]) -> int | str:
        seen = len(self.places), len(self.texts)
        step()
        self._qtbot.waitUntil(lambda: (len(self.places), len(self.texts)) != seen, timeout=5_000)
        return self.places[-1] if len(self.places) > seen[0] else self.texts[-1]

    def next(self) -> int | str:
        return self.after(lambda: self._spots.next(RADIUS))

    def previous(self) -> int | str:
        return self.after(self._spots.previous)

    @staticmethod
    def _number(spot: Any) -> int:
        near = [abs(spot.x - x) < RADIUS and abs(spot.y - y) < RADIUS for x, y, _ in PLACES]
        return near.index(True) if True in near else -1


def distinct(places: list[int | str]) -> list[int | str]:
    """Without repeats: the edge of a place is a spot of its own."""
    return list(dict.fromkeys(places))


@pytest.fixture
def visits(session: Session, qtbot: QtBot) -> Visits:
    return Visits(Spots(session), qtbot)  # type: ignore[arg-type]


def test_the_worst_place_first_then_the_others_then_again(visits: Visits) -> None:
    places = [visits.next() for _ in range(3)]
    assert places[0] == 0
    while not visits.texts:
        places.append(visits.next())
    assert [place for place in distinct(places) if place != -1] == [0, 1, 2]
    assert "last doubtful spot" in visits.texts[0]
    assert places[-1] == 0


def test_back_to_the_place_before_and_forward_again(visits: Visits) -> None:
    first, second = visits.next(), visits.next()
    assert visits.previous() == first
    assert "before this one" in str(visits.previous())
    assert visits.next() == second


def test_what_was_corrected_meanwhile_falls_out(visits: Visits, session: Session) -> None:
    assert session.document is not None
    paint(session.document, *PLACES[0][:2])
    assert visits.next() == 1
    paint(session.document, *PLACES[1][:2])
    paint(session.document, *PLACES[2][:2])
    assert visits.next() == "Nothing left to doubt."


def test_places_of_another_prediction_are_its_own(visits: Visits, session: Session) -> None:
    assert visits.next() == 0
    assert session.document is not None
    session.document.set_prediction(prediction(PLACES[2:]), 2)
    assert visits.next() == 2


def test_a_result_for_what_was_painted_over_meanwhile_is_not_used(
    visits: Visits, session: Session, qtbot: QtBot
) -> None:
    assert session.document is not None
    visits._spots.next(RADIUS)
    paint(session.document, *PLACES[0][:2])
    qtbot.waitUntil(lambda: bool(visits.places), timeout=5_000)
    assert visits.places == [1]


def test_a_result_for_an_image_that_was_left_is_dropped(visits: Visits, session: Session, qtbot: QtBot) -> None:
    visits._spots.next(RADIUS)
    session.open(document(PLACES[1:2]))
    assert visits.next() == 1
    ended: list[object] = []
    session.runner.call(Lane.TOOL, lambda: None, name="last", priority=Priority.TIDY, on_done=ended.append)
    qtbot.waitUntil(lambda: bool(ended), timeout=5_000)
    assert visits.places == [1]


def test_without_a_prediction_it_says_so(visits: Visits, session: Session) -> None:
    assert session.document is not None
    session.document.set_prediction(None)
    assert "no prediction" in str(visits.next())


# --- the window's part


class FakeQueue:
    """Suggests what it is told to."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.is_on = self.is_ready = True

    def best(self, other_than: str | None = None) -> str | None:
        return next((key for key in self.keys if key != other_than), None)

    def suggestion(self, key: str) -> Suggestion:
        return Suggestion(1, 1.0, "model unsure")


@pytest.fixture
def rig(session: Session, qtbot: QtBot) -> SimpleNamespace:
    canvas = CanvasView(ToolState())
    qtbot.addWidget(canvas)
    canvas.resize(400, 300)
    canvas.show()
    qtbot.waitExposed(canvas)
    canvas.set_document(session.document)
    action = QAction()
    action.setShortcut("N")
    texts: list[str] = []
    queue = FakeQueue()
    flow = NextFlow(session, queue, canvas, action, texts.append)  # type: ignore[arg-type]
    return SimpleNamespace(canvas=canvas, flow=flow, queue=queue, texts=texts)


def test_the_view_goes_to_the_spot_and_keeps_its_zoom(rig: SimpleNamespace, qtbot: QtBot) -> None:
    rig.canvas.set_zoom(4.0)
    with qtbot.waitSignal(rig.flow.spots.reached, timeout=5_000) as reached:
        rig.flow.next_spot()
    spot, radius = reached.args
    assert radius == round(min(rig.canvas.width(), rig.canvas.height()) * rig.canvas.pixel_ratio / 4 / 8 / 2)
    assert rig.canvas.zoom == 4.0
    middle = rig.canvas.image_to_widget(spot.x + 0.5, spot.y + 0.5)
    assert abs(middle.x() - 200) <= 1
    assert abs(middle.y() - 150) <= 1
    assert rig.flow.ring.isVisible()
    assert rig.texts[-1] == "Doubtful spot: 90 % unsure"


def test_an_image_that_is_seen_as_a_whole_stays_where_it_is(rig: SimpleNamespace, qtbot: QtBot) -> None:
    rig.canvas.set_zoom(1.0)
    before = rig.canvas.viewport
    with qtbot.waitSignal(rig.flow.spots.reached, timeout=5_000):
        rig.flow.next_spot()
    assert rig.canvas.viewport == before


def test_a_spot_that_would_be_too_small_is_enlarged(rig: SimpleNamespace, qtbot: QtBot) -> None:
    rig.canvas.set_zoom(0.1)
    with qtbot.waitSignal(rig.flow.spots.reached, timeout=5_000):
        rig.flow.next_spot()
    assert rig.canvas.zoom == 0.5


def test_the_ring_stays_on_its_place_and_fades(rig: SimpleNamespace, qtbot: QtBot) -> None:
    ring: SpotRing = rig.flow.ring
    rig.canvas.set_zoom(2.0)
    ring.show_at(100, 80, 30)
    for _ in range(2):
        assert ring.geometry().center() in (
            rig.canvas.image_to_widget(100, 80).toPoint() + QPoint(dx, dy) for dx in (-1, 0) for dy in (-1, 0)
        )
        rig.canvas.look_at(120, 90)
    assert ring.width() >= 2 * 30 * 2 / rig.canvas.pixel_ratio
    ring._fading.setCurrentTime(ring._fading.duration())
    qtbot.waitUntil(lambda: not ring.isVisible(), timeout=5_000)


def test_the_ring_is_drawn_in_two_tones_and_lets_the_image_through(rig: SimpleNamespace) -> None:
    rig.canvas.set_zoom(1.0)
    rig.flow.ring.show_at(128, 128, 40)
    picture = rig.flow.ring.grab().toImage()
    colors = {picture.pixelColor(x, picture.height() // 2).lightness() for x in range(12)}
    assert max(colors) > 240
    centre = picture.pixelColor(picture.width() // 2, picture.height() // 2)
    assert centre.lightness() not in (0, 255) or centre.alpha() == 0


def test_the_next_suggested_image_is_another_one(rig: SimpleNamespace, session: Session) -> None:
    rig.queue.keys = ["a.png", "b.png"]
    session.current_key = "a.png"
    rig.flow.next_image()
    assert session.visited == ["b.png"]
    assert rig.texts[-1] == "Suggested: model unsure"


def test_it_says_why_no_image_is_next(rig: SimpleNamespace, session: Session) -> None:
    rig.flow.next_image()
    rig.queue.is_ready = False
    rig.flow.next_image()
    rig.queue.is_on = False
    rig.flow.next_image()
    assert session.visited == []
    assert [text.split(":")[0] for text in rig.texts] == [
        "No image is left to suggest.",
        "Nothing is suggested yet",
        "No image is suggested",
    ]


def test_an_image_that_is_done_leads_to_an_offer_and_no_further(rig: SimpleNamespace, session: Session) -> None:
    rig.flow.offer()
    assert rig.texts == []
    rig.queue.keys = ["b.png"]
    rig.flow.offer()
    assert rig.texts == ["Done. N opens the next suggested image."]
    assert session.visited == []
