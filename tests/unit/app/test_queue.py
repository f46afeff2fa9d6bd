"""The queue of next images: who takes part, progress, order, what changes it, what is kept; a network of colours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from pspnet_core.classes import ClassSet
from pspnet_core.errors import CheckpointError
from pspnet_core.inference.ranking import ImageSummary, Ranked, Reason
from pspnet_core.project.project import Item, ItemState, Project, Split, Status
from pspnet_studio.jobs.queueing import Found, Look, Role, SummaryStore, plan, role
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model.queue import Queue, reason_text
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.fakes import FakeProject

RED, BLUE = (220, 30, 30), (30, 30, 220)


class Training(QObject):
    """A version or none."""

    current_changed = Signal()

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.current_version: int | None = None
        self._path = path

    def checkpoint_path(self, number: int) -> Path:
        return self._path.with_name(f"{number}.safetensors")

    def versions(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(number=1, record={"metrics": {"labelled_px": {"0": 9}}})]

    def use(self, number: int | None) -> None:
        self.current_version = number
        self.current_changed.emit()


class ColorEngine:
    """Features are the mean colour; a version doubts what is blue."""

    def __init__(self) -> None:
        self.looked: list[str] = []
        self.doubted: list[str] = []
        self.error: CheckpointError | None = None

    def look(self, looks: Sequence[Look], checkpoint: Path | None) -> Iterator[Found | None]:
        if self.error is not None:
            raise self.error
        for look in looks:
            if look.picture is None:
                continue
            yield None
            key = look.wish.item.key
            cells = look.cells
            if cells is None:
                self.looked.append(key)
                cells = np.tile(look.picture.mean(axis=(0, 1)) / 255, (4, 1)).astype(np.float16)
            if not look.wish.wants_doubt:
                yield Found(look, ImageSummary(cells))
                continue
            self.doubted.append(key)
            doubt = np.full(4, 0.9 if cells[0, 2] > 0.5 else 0.1, np.float32)
            yield Found(look, ImageSummary(cells, doubt, np.zeros(4, np.uint8)))


class Rig:
    """Session and queue, wired."""

    def __init__(self, tmp_path: Path, **options: object) -> None:
        self.runner = JobRunner()
        self.session = Session(self.runner, ToolState())
        self.training = Training(tmp_path / "checkpoint")
        self.engine = ColorEngine()
        cache = tmp_path / "cache"
        self.queue = Queue(self.session, self.training, self.engine, cache=cache, **options)  # type: ignore[arg-type]
        self.queue._rest.setInterval(1)
        self.orders: list[list[str]] = []
        self.steps: list[tuple[int, int] | None] = []
        self.queue.changed.connect(lambda: self.orders.append(self.keys()))
        self.queue.progressed.connect(lambda: self.steps.append(self.queue.progress))

    def keys(self) -> list[str]:
        return [entry.key for entry in self.queue.order]

    def open(self, qtbot: QtBot, folder: Path) -> Project:
        self.session.open_folder(folder)
        qtbot.waitUntil(lambda: bool(self.orders) and self.queue.progress is None, timeout=10_000)
        assert self.session.project is not None
        return self.session.project


def paint(folder: Path, **images: tuple[int, int, int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, color in images.items():
        pixels = np.random.default_rng(len(name)).normal(color, 5, (40, 60, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    assert rig.runner.shutdown(30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reds = {f"red_{n}": RED for n in range(4)}
    return paint(tmp_path / "photos", **reds, blue_0=BLUE, blue_1=BLUE)


def test_test_and_validation_images_and_skipped_ones_are_never_ranked() -> None:
    item = Item("a.png", Path("a.png"))
    masked = Item("a.png", Path("a.png"), found_mask=Path("m.png"))
    new, done = ItemState(), ItemState(status=Status.DONE)
    for split in (Split.TEST, Split.VAL):
        assert role(Item("a.png", Path("a.png"), split=split), done) is Role.NONE
    assert role(item, ItemState(status=Status.SKIPPED, labelled_px=50, total_px=100)) is Role.NONE
    assert role(item, new) is Role.CANDIDATE
    assert role(item, ItemState(labelled_px=10, total_px=10_000)) is Role.CANDIDATE  # a first stroke
    assert role(item, ItemState(labelled_px=500, total_px=10_000)) is Role.CORRECTED
    assert role(item, done) is Role.CORRECTED
    assert role(masked, new) is Role.CORRECTED
    assert role(masked, ItemState(total_px=100)) is Role.CANDIDATE  # the mask turned out to be empty


def test_of_a_large_project_a_sample_takes_part_that_stays_the_same() -> None:
    project = FakeProject([f"{n}.png" for n in range(300)])
    first = plan(project, 50)  # type: ignore[arg-type]
    assert len(first.candidates) == 50
    assert len(first.roles) == 300
    chosen = [item.key for item in first.candidates]
    project.set_state(chosen[0], status=Status.DONE)
    second = plan(project, 50)  # type: ignore[arg-type]
    assert len({item.key for item in second.candidates} & set(chosen)) == 49
    assert [item.key for item in second.corrected] == chosen[:1]


def test_what_is_unlike_the_corrected_images_comes_first(qtbot: QtBot, rig: Rig, folder: Path) -> None:
    project = rig.open(qtbot, folder)
    assert set(rig.keys()) == {item.key for item in project.items}
    assert rig.keys()[0].startswith("red")  # most of the collection is
    with qtbot.waitSignal(rig.queue.changed, timeout=10_000):
        rig.session.set_status("red_0.png", Status.DONE)
    assert rig.keys()[0].startswith("blue")
    suggestion = rig.queue.suggestion(rig.keys()[0])
    assert suggestion is not None
    assert (suggestion.place, suggestion.gain, suggestion.text) == (1, 1.0, "unlike the others")
    assert rig.queue.suggestion("red_0.png") is None


def test_what_was_just_marked_is_not_the_best_although_the_order_is_old(qtbot: QtBot, rig: Rig, folder: Path) -> None:
    rig.open(qtbot, folder)
    first, second = rig.keys()[:2]
    assert rig.queue.best() == first
    assert rig.queue.best(other_than=first) == second
    rig.session.set_status(first, Status.SKIPPED)
    assert rig.queue.best() == second


def test_a_saved_image_whose_role_stays_changes_nothing(qtbot: QtBot, rig: Rig, folder: Path) -> None:
    project = rig.open(qtbot, folder)
    project.set_state("red_0.png", labelled_px=1, total_px=2400)
    rig.session.state_changed.emit("red_0.png")
    assert not rig.queue._rest.isActive()
    project.set_state("red_0.png", labelled_px=1000)
    rig.session.state_changed.emit("red_0.png")
    assert rig.queue._rest.isActive()


def test_there_is_an_order_before_all_images_were_looked_at(qtbot: QtBot, rig: Rig, tmp_path: Path) -> None:
    folder = paint(tmp_path / "many", **{f"i{n:02}": (n * 4, 90, 120) for n in range(50)})
    rig.open(qtbot, folder)
    qtbot.waitUntil(lambda: len(rig.keys()) == 50, timeout=10_000)
    assert 20 <= len(rig.orders[0]) < 50
    told = [step for step in rig.steps if step is not None]
    assert told[0] == (0, 50)
    assert all(before[0] < after[0] for before, after in itertools.pairwise(told))


def test_another_session_looks_at_nothing_again_but_at_changed_files(
    qtbot: QtBot, rig: Rig, folder: Path, tmp_path: Path
) -> None:
    rig.open(qtbot, folder).save()
    assert len(rig.engine.looked) == 6
    qtbot.waitUntil(lambda: len(list((tmp_path / "cache").rglob("*.npz"))) == 6, timeout=10_000)
    paint(folder, blue_1=(30, 220, 30))
    assert looked_at_anew(qtbot, tmp_path, folder) == ["blue_1.png"]
    for path in (tmp_path / "cache").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    assert len(looked_at_anew(qtbot, tmp_path, folder)) == 6


def looked_at_anew(qtbot: QtBot, tmp_path: Path, folder: Path) -> list[str]:
    rig = Rig(tmp_path)
    try:
        rig.open(qtbot, folder)
        assert len(rig.keys()) == 6
    finally:
        assert rig.runner.shutdown(30)
    return rig.engine.looked


def test_a_version_says_what_it_doubts_and_another_one_says_it_anew(qtbot: QtBot, rig: Rig, folder: Path) -> None:
    rig.open(qtbot, folder)
    rig.session.set_status("blue_1.png", Status.DONE)
    rig.session.set_status("red_0.png", Status.DONE)
    qtbot.waitUntil(lambda: len(rig.keys()) == 4, timeout=10_000)
    with qtbot.waitSignal(rig.queue.changed, timeout=10_000):
        rig.training.use(1)
    assert sorted(rig.engine.doubted) == ["blue_0.png", "red_1.png", "red_2.png", "red_3.png"]
    assert len(rig.engine.looked) == 6  # features do not belong to a version
    suggestion = rig.queue.suggestion("blue_0.png")
    assert suggestion is not None
    assert suggestion.text == "model unsure"
    rig.training.use(2)
    qtbot.waitUntil(lambda: len(rig.engine.doubted) == 8 and rig.queue.progress is None, timeout=10_000)


def test_what_cannot_be_read_is_left_out_and_named(
    qtbot: QtBot, rig: Rig, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "broken.png").write_bytes((folder / "red_0.png").read_bytes()[:60])
    rig.open(qtbot, folder)
    assert len(rig.keys()) == 6
    assert "broken.png" in caplog.text
    caplog.clear()


def test_without_the_network_there_are_no_suggestions(
    qtbot: QtBot, rig: Rig, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig.engine.error = CheckpointError("The weights are missing.", "", "")
    rig.session.open_folder(folder)
    qtbot.waitUntil(lambda: "The weights are missing." in caplog.text, timeout=10_000)
    assert rig.queue.progress is None
    assert rig.queue.best() is None
    caplog.clear()


def test_switched_off_it_forgets_the_order_and_back_on_it_looks_at_nothing_again(
    qtbot: QtBot, rig: Rig, folder: Path
) -> None:
    rig.open(qtbot, folder)
    rig.queue.set_on(False)
    assert rig.keys() == []
    assert rig.queue.best() is None
    with qtbot.waitSignal(rig.queue.changed, timeout=10_000):
        rig.queue.set_on(True)
    assert len(rig.keys()) == 6
    assert len(rig.engine.looked) == 6


def test_another_project_has_an_order_of_its_own(qtbot: QtBot, rig: Rig, folder: Path, tmp_path: Path) -> None:
    rig.open(qtbot, folder)
    other = paint(tmp_path / "other", one=RED, two=BLUE)
    rig.session.open_folder(other)
    qtbot.waitUntil(lambda: sorted(rig.keys()) == ["one.png", "two.png"], timeout=10_000)
    rig.session.close_project()
    assert rig.keys() == []


def test_the_oldest_summaries_go_when_there_are_too_many(tmp_path: Path) -> None:
    store = SummaryStore(tmp_path, budget_bytes=1)
    store.put(("a",), np.zeros((2, 2), np.float16))
    assert store.get(("a",), 1) is not None
    assert store.get(("a",), 2) is None
    store.tidy()
    assert store.get(("a",), 1) is None


@pytest.mark.parametrize(
    ("reason", "class_id", "text"),
    [
        (Reason.RARE, 0, "rare: pole"),
        (Reason.RARE, 9, "typical"),
        (Reason.UNSURE, None, "model unsure"),
        (Reason.UNLIKE, None, "unlike the others"),
        (Reason.TYPICAL, None, "typical"),
    ],
)
def test_why_this_one_in_a_word(reason: Reason, class_id: int | None, text: str) -> None:
    assert reason_text(Ranked("a", 1.0, reason, class_id), ClassSet().add("pole")) == text
