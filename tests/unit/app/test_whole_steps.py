"""Steps over large images and long jumps are worked out in a lane; what is stale by then is not shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from pspnet_core.errors import ProjectError
from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.types import UNLABELLED, Prediction, Rect
from pspnet_studio.jobs.runner import Lane
from pspnet_studio.model import whole_steps
from pspnet_studio.model.document import Document
from pspnet_studio.model.whole_image import filling
from pspnet_studio.model.whole_steps import WholeSteps

SIDE = 600


class HeldJob:
    def __init__(self, work: Callable[[], None]) -> None:
        self.work, self.is_cancelled = work, False

    def cancel(self) -> None:
        self.is_cancelled = True


class HeldRunner:
    """Keeps jobs until :meth:`run`."""

    def __init__(self) -> None:
        self.jobs: list[HeldJob] = []

    def call(self, lane: Lane, function: Callable[[], Any], *, on_done: Callable[[Any], None], **_: Any) -> HeldJob:
        assert lane is Lane.TOOL
        self.jobs.append(HeldJob(lambda: on_done(function())))
        return self.jobs[-1]

    def run(self) -> None:
        for _ in range(20):
            if not self.jobs:
                return
            job = self.jobs.pop(0)
            if not job.is_cancelled:
                job.work()
        raise AssertionError("it never ends")


class FakeSession(QObject):
    document_changed = Signal()

    def __init__(self, document: Document) -> None:
        super().__init__()
        self.document, self.runner = document, HeldRunner()


class Table:
    """A document, its steps, and what was told."""

    def __init__(self) -> None:
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        self.document = Document("a", image, PlaneStore(SIDE, SIDE, UNLABELLED), PlaneStore(SIDE, SIDE, 0))
        self.session = FakeSession(self.document)
        self.told: list[str] = []
        self.done: list[bool] = []
        self.steps = WholeSteps(self.session, self.told.append)  # type: ignore[arg-type]

    def fill(self, class_id: int = 2) -> None:
        self.steps.make(self.document, filling("a", class_id, None), lambda patch: self.done.append(bool(patch)))

    def stroke(self, x: int = 0, class_id: int = 1) -> None:
        self.document.begin_edit("brush")
        self.document.paint(Rect(x, 0, 20, 20), np.ones((20, 20), np.bool_), class_id)
        self.document.commit_edit()

    def run(self) -> None:
        self.session.runner.run()

    @property
    def classes(self) -> set[int]:
        return set(np.unique(self.document.class_plane.to_array()).tolist())

    @property
    def labels(self) -> list[str]:
        history = self.document.history
        return [history.step(place).head.label for place in range(history.num_steps)]


@pytest.fixture
def table(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setattr(whole_steps, "SMALL_PX", 300)
    return Table()


def test_a_large_image_is_changed_in_the_lane_and_a_small_one_at_once(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed: list[Rect] = []
    table.document.region_changed.connect(changed.append)
    table.fill()
    assert table.classes == {UNLABELLED}
    table.run()
    assert table.classes == {2}
    assert len(changed) == 9
    assert table.done == [True]
    table.steps.undo(table.document)
    assert table.classes == {2}
    table.run()
    assert table.classes == {UNLABELLED}
    table.steps.redo(table.document)
    table.run()
    assert table.classes == {2}
    monkeypatch.setattr(whole_steps, "SMALL_PX", SIDE * SIDE)
    table.fill(3)
    assert table.done == [True, False]
    assert not table.session.runner.jobs


def test_what_was_edited_meanwhile_stays_and_the_step_is_found_again(table: Table) -> None:
    prediction = np.full((SIDE, SIDE), 4, np.uint8)
    table.document.set_prediction(Prediction(prediction, prediction), 1)
    change = table.document.accepting()
    assert change is not None
    table.steps.make(table.document, change, lambda _: None)
    table.stroke()
    table.run()
    assert table.labels == ["brush", "accept"]
    assert table.classes == {1, 4}
    table.document.undo()
    table.document.undo()
    assert table.classes == {UNLABELLED}


def test_a_stroke_that_is_under_way_is_not_disturbed(qtbot: QtBot, table: Table) -> None:
    table.fill()
    table.document.begin_edit("brush")
    table.document.paint(Rect(0, 0, 9, 9), np.ones((9, 9), np.bool_), 1)
    table.run()
    assert table.classes == {1, UNLABELLED}
    table.document.commit_edit()
    qtbot.waitUntil(lambda: bool(table.session.runner.jobs))
    table.run()
    assert table.classes == {1, 2}
    assert table.labels == ["brush", "fill"]


def test_undo_takes_back_the_step_that_is_not_there_yet(table: Table) -> None:
    table.stroke()
    table.fill()
    table.steps.undo(table.document)
    table.run()
    assert table.labels == ["brush"]
    assert table.classes == {1, UNLABELLED}


def test_undo_pressed_again_goes_on_from_where_the_first_is_going(table: Table) -> None:
    for x in range(0, 400, 20):
        table.stroke(x, 1 + x // 20)
    for _ in range(5):
        table.steps.undo(table.document)
    table.run()
    assert table.document.history.num_done == 15
    table.steps.redo(table.document)
    table.run()
    assert table.document.history.num_done == 16


def test_a_jump_unpacks_nothing_in_the_window(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for x in range(0, 400, 20):
        table.stroke(x, 1 + x // 20)
    before = table.document.class_plane.to_array()
    for entry in table.document.history._entries:
        assert entry.patch is not None
        entry.set_data(entry.patch.to_bytes())
        entry.set_patch(None)
    unpacked: list[bytes] = []
    original = MaskPatch.from_bytes
    monkeypatch.setattr(MaskPatch, "from_bytes", lambda data: unpacked.append(data) or original(data))
    table.steps.go_to(table.document, 0)
    assert not unpacked
    table.run()
    assert len(unpacked) == 20
    assert table.classes == {UNLABELLED}
    table.steps.go_to(table.document, 20)
    table.run()
    assert np.array_equal(table.document.class_plane.to_array(), before)


def test_a_jump_from_a_state_that_is_gone_is_not_made(table: Table) -> None:
    for x in range(0, 100, 20):
        table.stroke(x)
    table.steps.go_to(table.document, 1)
    table.stroke(200)
    table.run()
    assert table.document.history.num_done == 6
    assert table.told


def test_the_step_of_an_image_that_was_left_is_dropped_and_told(table: Table) -> None:
    table.fill()
    table.session.document = Table().document
    table.session.document_changed.emit()
    table.run()
    assert table.classes == {UNLABELLED}
    assert table.told
    assert table.done == []


@pytest.mark.parametrize("is_before", [True, False])
def test_a_step_of_an_image_that_is_read_only_is_dropped(table: Table, is_before: bool) -> None:
    dropped, refused = [], []
    table.document.refused.connect(lambda: refused.append(True))
    if is_before:
        table.document.set_read_only(True)
    change = filling("a", 2, None)
    table.steps.make(table.document, change, lambda _: table.done.append(True), lambda: dropped.append(True))
    table.document.set_read_only(True)
    table.run()
    assert (table.done, dropped, refused) == ([], [True], [True])
    assert table.classes == {UNLABELLED}


def test_a_plane_that_took_a_changed_snapshot_shares_nothing_with_others() -> None:
    plane = PlaneStore(SIDE, SIDE, 0)
    plane.fill(Rect(0, 0, SIDE, SIDE), None, 7)
    saved, changed = plane.snapshot(), plane.snapshot()
    changed.fill(Rect(0, 0, 10, 10), None, 9)
    plane.take(changed)
    plane.fill(Rect(550, 550, 10, 10), None, 5)
    assert set(np.unique(saved.to_array())) == {7}
    assert plane.value_at(0, 0) == 9
    assert plane.value_at(555, 555) == 5
    with pytest.raises(ValueError, match="cannot take"):
        plane.take(PlaneStore(3, 3, 0))


@pytest.mark.parametrize("kept", [frozenset(), frozenset({1}), frozenset({1, 2})])
def test_a_record_is_done_only_where_no_pixel_is_protected(table: Table, kept: frozenset[int]) -> None:
    table.stroke(0, 1)
    table.stroke(30, 2)
    record = PatchBlock.between(
        Rect(0, 0, 60, 20),
        table.document.class_plane.read(Rect(0, 0, 60, 20)),
        np.full((20, 60), 5, np.uint8),
        table.document.provenance_plane.read(Rect(0, 0, 60, 20)),
        np.full((20, 60), 2, np.uint8),
    )
    whole = MaskPatch.of("a", "convert", [record])
    before = table.document.class_plane.to_array()
    table.document.protect(kept)
    assert table.document.make(table.document.patching(lambda _: whole))
    now = table.document.class_plane.to_array()[:20, :60]
    assert np.array_equal(now != 5, np.isin(before[:20, :60], list(kept)))
    table.document.undo()
    assert np.array_equal(table.document.class_plane.to_array(), before)


def test_whose_a_record_is_is_read_without_its_pixels() -> None:
    block = PatchBlock.between(Rect(0, 0, 2, 2), *(np.full((2, 2), value, np.uint8) for value in (0, 1, 0, 2)))
    data = MaskPatch("folder/a.png", "convert", (block,)).to_bytes()  # type: ignore[arg-type]
    assert MaskPatch.item_of(data[:-1] + b"?") == "folder/a.png"
    with pytest.raises(ProjectError):
        MaskPatch.item_of(data[:20])
