"""Opening in two steps, going on meanwhile, reading ahead, and what happens when a file is broken."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pytestqt.qtbot import QtBot

from pspnet_core.errors import ImageReadError, PspnetError
from pspnet_core.imaging import opening as core_opening
from pspnet_core.imaging.opening import OpenStep, file_version
from pspnet_core.imaging.source import ArraySource
from pspnet_core.imaging.tiff_source import TiffSource
from pspnet_core.project.project import Item
from pspnet_core.types import Rect
from pspnet_studio.jobs import opening, read_ahead
from pspnet_studio.jobs.read_ahead import PictureStore, default_budget
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.folders import make_folder


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    runner = JobRunner()
    session = Session(runner, ToolState())
    session.seen = []  # type: ignore[attr-defined]
    session.notice.connect(session.seen.append)  # type: ignore[attr-defined]
    yield session
    assert runner.shutdown(5)


def open_folder(qtbot: QtBot, session: Session, folder: Path) -> None:
    session.open_folder(folder)
    qtbot.waitUntil(lambda: session.document is not None and not session.is_loading)


def read_neighbours(qtbot: QtBot, session: Session) -> None:
    qtbot.waitUntil(lambda: not session._neighbours.is_busy)


def forget_neighbours(qtbot: QtBot, session: Session) -> None:
    read_neighbours(qtbot, session)
    session._neighbours.pictures.clear()


def is_open(session: Session, key: str) -> bool:
    document = session.document
    return document is not None and document.item_key == key


def paint(session: Session, x: int = 3) -> None:
    assert session.document is not None
    session.document.begin_edit("brush")
    session.document.paint(Rect(x, 4, 10, 20), np.ones((20, 10), np.bool_), 1)
    session.document.commit_edit()


class Gate:
    """A decoder that shows a grey preview, and then waits to be let through, or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_open = threading.Event()
        self.fails = False
        self.gated: set[str] = set()
        self.decoded: list[str] = []
        monkeypatch.setattr(opening, "open_steps", self._steps)

    def _steps(self, path: Path, page: int = 0) -> Iterator[OpenStep]:
        for step in core_opening.open_steps(path, page):
            if path.name in self.gated:
                yield OpenStep(step.width, step.height, np.full((3, 4, 3), 99, np.uint8), None)
                assert self.is_open.wait(10)
                if self.fails:
                    raise ImageReadError(f"{path.name} is not complete.", "", "Copy it again.")
            self.decoded.append(path.name)
            yield step


def test_painting_begins_with_the_preview(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    gate.gated = {"photo_0.png"}
    session.open_folder(make_folder(tmp_path / "photos"))
    qtbot.waitUntil(lambda: is_open(session, "photo_0.png"))
    document = session.document
    assert document is not None
    assert session.is_loading
    assert not document.pixels.is_loaded
    assert document.shape == (120, 160)
    paint(session)
    with qtbot.waitSignal(document.pixels.loaded):
        gate.is_open.set()
    assert session.document is document
    assert document.image.shape == (120, 160, 3)
    qtbot.waitUntil(lambda: not session.is_loading)
    assert document.history.can_undo
    assert np.count_nonzero(document.class_plane.to_array() == 1) == 200


def test_what_fails_after_its_preview_brings_the_old_image_back(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    gate.gated, gate.fails = {"photo_1.png"}, True
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    forget_neighbours(qtbot, session)
    paint(session)
    old = session.document
    session.go_to("photo_1.png")
    qtbot.waitUntil(lambda: is_open(session, "photo_1.png"))
    gate.is_open.set()
    qtbot.waitUntil(lambda: not session.is_loading)
    assert session.document is old
    assert session.current_key == "photo_0.png"
    assert [e.title for e in session.seen if isinstance(e, PspnetError)] == ["photo_1.png is not complete."]  # type: ignore[attr-defined]
    session.document.undo()  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    session.step(1)  # goes on behind the broken one
    qtbot.waitUntil(lambda: is_open(session, "photo_2.png"))


def test_what_was_painted_on_a_preview_stays_when_the_rest_fails(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    gate.gated, gate.fails = {"photo_1.png"}, True
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    forget_neighbours(qtbot, session)
    session.go_to("photo_1.png")
    qtbot.waitUntil(lambda: is_open(session, "photo_1.png"))
    paint(session)
    gate.is_open.set()
    qtbot.waitUntil(lambda: not session.is_loading)
    assert is_open(session, "photo_1.png")
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    assert session.project is not None
    assert session.project.state("photo_1.png").labelled_px == 200


def test_a_newer_wish_ends_the_rest_of_an_older_one_and_one_can_come_back(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    forget_neighbours(qtbot, session)
    gate.gated = {"photo_2.png"}
    session.go_to("photo_2.png")
    qtbot.waitUntil(lambda: is_open(session, "photo_2.png"))
    half = session.document
    session.go_to("photo_0.png")  # while the other is being decoded
    session.go_to("photo_2.png")  # and back
    gate.is_open.set()
    qtbot.waitUntil(lambda: not session.is_loading)
    assert is_open(session, "photo_2.png")
    assert session.document is half
    assert half is not None
    assert half.pixels.is_loaded


def test_what_is_painted_while_its_picture_is_read_again_stays(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    forget_neighbours(qtbot, session)
    gate.gated = {"photo_2.png"}
    session.go_to("photo_2.png")
    qtbot.waitUntil(lambda: is_open(session, "photo_2.png"))
    half = session.document
    assert half is not None
    paint(session)
    session.go_to("photo_0.png")  # while the other is being decoded
    session.go_to("photo_2.png")  # and back
    paint(session, 50)
    gate.is_open.set()
    qtbot.waitUntil(lambda: not session.is_loading)
    assert session.document is half
    assert half.pixels.is_loaded
    assert half.history.num_done == 2
    assert np.count_nonzero(half.class_plane.to_array() == 1) == 400
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    assert session.project is not None
    assert session.project.state("photo_2.png").labelled_px == 400


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_stroke_while_the_folder_is_read_again_stays(
    qtbot: QtBot, session: Session, tmp_path: Path, is_committed: bool
) -> None:
    folder = make_folder(tmp_path / "photos")
    open_folder(qtbot, session, folder)
    forget_neighbours(qtbot, session)
    document = session.document
    assert document is not None
    (folder / "masks").mkdir()
    Image.fromarray(np.zeros((120, 160), np.uint8)).save(folder / "masks" / "photo_0.png")

    begun: list[bool] = []

    def begin(is_loading: bool) -> None:
        if is_loading and not begun:
            begun.append(True)
            document.begin_edit("brush")
            document.paint(Rect(3, 4, 10, 20), np.ones((20, 10), np.bool_), 1)
            if is_committed:
                document.commit_edit()

    session.loading_changed.connect(begin)
    session.rescan()
    qtbot.waitUntil(lambda: bool(document.class_plane.value_at(3, 4) == 1) and not session.is_loading)
    assert session.document is document
    if is_committed:
        assert document.history.num_done == 1
        assert np.count_nonzero(document.class_plane.to_array() == 1) == 200
    else:
        document.abort_edit()  # nothing is in the way of the new mask any more
        qtbot.waitUntil(lambda: session.document is not document)
        shown = session.document
        assert shown is not None
        assert not shown.class_plane.to_array().any()


def test_neighbours_are_read_ahead_and_not_decoded_again(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    read_neighbours(qtbot, session)
    session.step(1)
    qtbot.waitUntil(lambda: is_open(session, "photo_1.png") and not session.is_loading)
    assert gate.decoded == ["photo_0.png"]
    assert session.document is not None
    assert np.array_equal(session.document.image, np.asarray(Image.open(tmp_path / "photos" / "photo_1.png")))
    session.step(-1)  # the one that was open last is still there
    qtbot.waitUntil(lambda: is_open(session, "photo_0.png") and not session.is_loading)
    assert gate.decoded == ["photo_0.png"]


def test_a_neighbour_that_was_written_again_is_read_again(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    open_folder(qtbot, session, folder)
    read_neighbours(qtbot, session)
    new = np.full((120, 160, 3), 7, np.uint8)
    Image.fromarray(new).save(folder / "photo_1.png")
    session.step(1)
    qtbot.waitUntil(lambda: is_open(session, "photo_1.png") and not session.is_loading)
    assert session.document is not None
    assert np.array_equal(session.document.image, new)


def test_a_large_tiff_is_viewed_painted_saved_and_opened_again_by_pieces(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "open_steps", functools.partial(core_opening.open_steps, whole_px=10_000))
    folder = make_folder(tmp_path / "photos")
    image = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    tifffile.imwrite(folder / "slide.tif", image, photometric="rgb", tile=(256, 256))
    open_folder(qtbot, session, folder)
    session.go_to("slide.tif")
    qtbot.waitUntil(lambda: is_open(session, "slide.tif") and not session.is_loading)
    assert session.document is not None
    assert isinstance(session.document.pixels.source, TiffSource)
    rect = Rect(600, 300, 50, 50)
    qtbot.waitUntil(lambda: session.document.pixels.read(rect) is not None)  # type: ignore[union-attr]
    assert np.array_equal(session.document.pixels.read(rect), image[rect.slices])
    paint(session)
    session.go_to("photo_0.png")
    qtbot.waitUntil(lambda: is_open(session, "photo_0.png") and session.autosave.state == "saved")
    session.go_to("slide.tif")
    qtbot.waitUntil(lambda: is_open(session, "slide.tif") and not session.is_loading)
    assert np.count_nonzero(session.document.class_plane.to_array() == 1) == 200


@pytest.mark.parametrize("whole_px", [10_000, core_opening.WHOLE_PX])
def test_a_tiff_that_was_cut_off_leaves_the_old_image(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_px: int
) -> None:
    monkeypatch.setattr(opening, "open_steps", functools.partial(core_opening.open_steps, whole_px=whole_px))
    folder = make_folder(tmp_path / "photos")
    tifffile.imwrite(folder / "slide.tif", np.zeros((700, 900, 3), np.uint8), photometric="rgb", tile=(256, 256))
    data = (folder / "slide.tif").read_bytes()
    (folder / "slide.tif").write_bytes(data[: len(data) // 2])
    open_folder(qtbot, session, folder)
    old = session.document
    session.go_to("slide.tif")
    qtbot.waitUntil(lambda: bool(session.seen))  # type: ignore[attr-defined]
    error = session.seen[0]  # type: ignore[attr-defined]
    assert isinstance(error, PspnetError)
    assert "slide.tif" in error.title
    assert error.remedy
    assert session.document is old


# --- the store of pictures


def make_items(folder: Path, count: int) -> list[Item]:
    items = []
    for n in range(count):
        path = folder / f"{n}.png"
        Image.fromarray(np.full((100, 100, 3), n, np.uint8)).save(path)
        items.append(Item(path.name, path))
    return items


def test_the_store_keeps_what_was_used_last_within_its_budget(tmp_path: Path) -> None:
    items = make_items(tmp_path, 4)
    store = PictureStore(3 * 30_000)
    pictures = [ArraySource(np.full((100, 100, 3), n, np.uint8)) for n in range(4)]
    for item, picture in zip(items[:3], pictures, strict=False):
        store.put(item, file_version(item.image_path), picture)
    assert store.get(items[0]) is pictures[0]
    store.put(items[3], file_version(items[3].image_path), pictures[3])
    assert store.nbytes == 3 * 30_000
    assert [store.get(item) is not None for item in items] == [True, False, True, True]
    store.put(items[1], file_version(items[1].image_path), ArraySource(np.zeros((400, 400, 3), np.uint8)))
    assert store.get(items[1]) is None  # larger than all of it
    status = items[0].image_path.stat()
    os.utime(items[0].image_path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert store.get(items[0]) is None
    store.clear()
    assert store.nbytes == 0


def test_reading_ahead_leaves_out_what_is_broken_or_too_large(tmp_path: Path) -> None:
    items = make_items(tmp_path, 3)
    items[0].image_path.write_bytes(b"no image")
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(items[1].image_path)
    store = PictureStore(3 * 30_000)
    assert list(read_ahead.read_ahead(store, items)) == ["1.png", "2.png"]
    assert [store.get(item) is not None for item in items] == [False, False, True]


def test_the_default_budget_is_an_eighth_of_the_memory_and_at_most_a_gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    for total, budget in ((4 * 1024**3, 512 * 1024**2), (64 * 1024**3, 1024**3), (None, 256 * 1024**2)):
        monkeypatch.setattr(read_ahead, "total_memory", lambda value=total: value)
        assert default_budget() == budget
