"""The share of the open image is shown before anything is saved."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.strokes import brush_runs
from pspnet_core.project.project import Status
from pspnet_core.project.records import PixelCounts
from pspnet_core.types import UNLABELLED, Prediction, Rect
from pspnet_studio.model.document import Document
from pspnet_studio.model.open_counts import OpenCounts
from tests.helpers.fakes import FakeProject, FakeSession

W, H = 1300, 700


@pytest.fixture
def session(qtbot: QtBot) -> FakeSession:
    session = FakeSession(FakeProject(["a.jpg", "b.jpg"]))
    open_image(session, "a.jpg")
    return session


def open_image(session: FakeSession, key: str) -> Document:
    planes = PlaneStore(W, H, UNLABELLED), PlaneStore(W, H, 0)
    document = Document(key, np.zeros((H, W, 3), np.uint8), *planes)
    session.document = document  # type: ignore[assignment]
    session.document_changed.emit()
    return document


def state_of(session: FakeSession, key: str = "a.jpg") -> tuple[Status, int, int, int]:
    state = session.project.state(key)
    return state.status, state.labelled_px, state.painted_px, state.accepted_px


def counted(document: Document) -> tuple[int, int, int]:
    counts = PixelCounts.of(document.class_plane.to_array(), document.provenance_plane.to_array())
    return counts.labelled_px, counts.painted_px, counts.accepted_px


def test_every_edit_is_counted_soon_and_exactly(qtbot: QtBot, session: FakeSession) -> None:
    counts, document = OpenCounts(session), session.document  # type: ignore[arg-type]
    confidence = np.full((H, W), 200, np.uint8)
    document.set_prediction(Prediction(np.zeros((H, W), np.uint8), confidence))
    rng = np.random.default_rng(0)

    def stroke(class_id: int) -> None:
        document.begin_edit("brush")
        points = rng.uniform((0, 0), (W, H), (6, 2)).tolist()
        for p0, p1 in pairwise(points):
            document.paint_runs(brush_runs(tuple(p0), tuple(p1), 60, document.shape), class_id)
        document.commit_edit()

    edits = [lambda: stroke(1), lambda: stroke(0), lambda: stroke(UNLABELLED), lambda: document.accept_prediction()]
    edits += [document.undo, document.undo, document.redo, document.undo, document.undo, document.undo]
    for edit in edits:
        with qtbot.waitSignal(counts.changed, timeout=5000) as told:
            edit()
        assert told.args == ["a.jpg"]
        assert state_of(session) == (Status.IN_PROGRESS, *counted(document))
    assert counted(document) == (0, 0, 0)
    assert session.project.state("a.jpg").total_px == W * H


def test_a_stroke_under_way_is_not_counted(qtbot: QtBot, session: FakeSession) -> None:
    counts, document = OpenCounts(session), session.document  # type: ignore[arg-type]
    document.begin_edit("rectangle")
    document.paint(Rect(0, 0, 10, 10), np.ones((10, 10), bool), 1)
    document.commit_edit()
    document.begin_edit("rectangle")
    document.paint(Rect(20, 0, 10, 10), np.ones((10, 10), bool), 1)
    qtbot.wait(250)
    assert state_of(session) == (Status.NEW, 0, None, None)
    with qtbot.waitSignal(counts.changed, timeout=5000):
        document.abort_edit()
    assert state_of(session) == (Status.IN_PROGRESS, 100, 100, 0)


def test_many_tiles_are_counted_a_few_at_a_time(qtbot: QtBot, session: FakeSession, monkeypatch) -> None:
    monkeypatch.setattr("pspnet_studio.model.open_counts._TURN_S", 0.0)
    monkeypatch.setattr("pspnet_studio.model.open_counts._MAX_RECTS", 2)
    counts, document = OpenCounts(session), session.document  # type: ignore[arg-type]
    document.begin_edit("rectangle")
    for x in range(0, W, 100):
        document.paint(Rect(x, 0, 50, H), np.ones((H, 50), bool), 1)
    with qtbot.waitSignal(counts.changed, timeout=5000):
        document.commit_edit()
    assert state_of(session)[1:] == counted(document)


def test_what_has_gone_is_not_counted(qtbot: QtBot, session: FakeSession) -> None:
    counts, document = OpenCounts(session), session.document  # type: ignore[arg-type]
    told: list[str] = []
    counts.changed.connect(told.append)

    def edit(document: Document) -> None:
        document.begin_edit("rectangle")
        document.paint(Rect(0, 0, 10, 10), np.ones((10, 10), bool), 1)
        document.commit_edit()

    edit(document)
    other = open_image(session, "b.jpg")  # before it was counted
    edit(document)
    qtbot.wait(200)
    assert told == []
    session.project.items = session.project.items[:1]
    edit(other)
    qtbot.wait(200)
    assert told == []
    session.document = None
    session.document_changed.emit()
