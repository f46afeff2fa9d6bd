"""What other programs do in the folder is noticed; nothing of theirs is written over without a question."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from pspnet_core.imaging.class_maps import read_class_map, write_class_map
from pspnet_core.project.pages import PageCounts
from pspnet_core.project.plane_files import mask_path
from pspnet_core.project.project import Project
from pspnet_core.types import Rect
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.folders import make_folder

KEY = "photo_0.png"
CORNER = Rect(0, 0, 10, 10)


@pytest.fixture
def session(qtbot: QtBot, tmp_path: Path) -> Iterator[Session]:
    runner = JobRunner()
    session = Session(runner, ToolState())
    session.seen, session.asked = [], []  # type: ignore[attr-defined]
    session.notice.connect(session.seen.append)  # type: ignore[attr-defined]
    session.folder_watch.mask_changed.connect(session.asked.append)  # type: ignore[attr-defined]
    session.open_folder(make_folder(tmp_path / "photos"))
    qtbot.waitUntil(lambda: session.document is not None and not session.is_loading)
    session.go_to(KEY)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == KEY)
    yield session
    assert runner.shutdown(10)


def paint(session: Session, class_id: int) -> None:
    session.document.begin_edit("brush")
    session.document.paint(CORNER, np.ones((10, 10), bool), class_id)
    session.document.commit_edit()


def save(qtbot: QtBot, session: Session) -> None:
    session.save_now()
    qtbot.waitUntil(lambda: session.autosave.state == "saved", timeout=10_000)


def mask(session: Session) -> Path:
    return mask_path(session.project.folder, KEY)


def change_outside(session: Session, class_id: int) -> None:
    shape = session.document.shape
    write_class_map(mask(session), np.full(shape, class_id, np.uint8), None)


def corner(session: Session) -> int:
    return int(session.document.class_plane.read(CORNER)[0, 0])


def test_images_that_come_and_go_are_noticed(qtbot: QtBot, session: Session) -> None:
    root, told = session.project.root, []
    session.items_changed.connect(lambda: told.append(len(session.project.items)))
    num = len(session.project.items)
    Image.new("RGB", (20, 20)).save(root / "new.png")
    session.folder_watch.look()
    qtbot.waitUntil(lambda: told == [num + 1])
    os.rename(root / "new.png", root / "newer.png")
    session.folder_watch.look()
    qtbot.waitUntil(lambda: len(told) == 2)
    keys = [item.key for item in session.project.items]
    assert "newer.png" in keys
    assert "new.png" not in keys
    (root / "newer.png").unlink()
    session.folder_watch.look()
    qtbot.waitUntil(lambda: told[2:] == [num])


def test_labels_whose_image_was_renamed_are_told_of_once(qtbot: QtBot, session: Session) -> None:
    paint(session, 0)
    save(qtbot, session)
    session.go_to("photo_1.png")
    qtbot.waitUntil(lambda: session.document.item_key == "photo_1.png")
    root, told = session.project.root, []
    session.items_changed.connect(lambda: told.append(True))
    os.rename(root / KEY, root / "holiday.png")
    session.folder_watch.look()
    qtbot.waitUntil(lambda: len(told) == 1)
    Image.new("RGB", (20, 20)).save(root / "new.png")
    session.folder_watch.look()
    qtbot.waitUntil(lambda: len(told) == 2)
    (notice,) = (message for message in session.seen if "labels of 1 image" in getattr(message, "title", ""))
    assert KEY in notice.detail


def test_a_look_at_a_folder_in_which_nothing_changed_reads_and_says_nothing(
    qtbot: QtBot, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(Project, "rescan", fail)
    session.seen.clear()
    session.folder_watch.look()
    done: list[bool] = []
    from pspnet_studio.jobs.runner import Lane, Priority

    session.runner.call(Lane.IO, lambda: None, name="end", priority=Priority.TIDY, on_done=lambda _: done.append(True))
    qtbot.waitUntil(lambda: bool(done))
    assert session.seen == []


def test_a_mask_that_was_changed_outside_is_shown_where_nothing_was_painted_since(
    qtbot: QtBot, session: Session
) -> None:
    paint(session, 0)
    save(qtbot, session)
    change_outside(session, 1)
    session.folder_watch.look()
    qtbot.waitUntil(lambda: corner(session) == 1)
    assert session.asked == []
    assert any("changed by another program" in getattr(message, "title", "") for message in session.seen)
    paint(session, 0)
    save(qtbot, session)
    found = read_class_map(mask(session))
    assert (found[:10, :10] == 0).all()
    assert (found[10:] == 1).all()


@pytest.mark.parametrize("keeps_ours", [True, False])
def test_it_is_asked_where_both_were_changed(qtbot: QtBot, session: Session, keeps_ours: bool) -> None:
    paint(session, 0)
    save(qtbot, session)
    change_outside(session, 1)
    paint(session, 255)
    session.save_now()
    qtbot.waitUntil(lambda: session.asked == [KEY], timeout=10_000)
    assert session.autosave.state == "failed"
    assert (read_class_map(mask(session)) == 1).all()  # nothing was written over
    if keeps_ours:
        session.folder_watch.keep_ours(KEY)
        qtbot.waitUntil(lambda: session.autosave.state == "saved", timeout=10_000)
        assert (read_class_map(mask(session))[:10, :10] == 255).all()
        theirs = session.project.backups.masks(KEY)[0]
        assert (session.project.backups.read_mask(theirs)[0] == 1).all()
    else:
        session.folder_watch.take_theirs(KEY)
        qtbot.waitUntil(lambda: corner(session) == 1, timeout=10_000)
        qtbot.waitUntil(lambda: session.autosave.state == "saved", timeout=10_000)
        assert (read_class_map(mask(session)) == 1).all()
        paint(session, 0)
        save(qtbot, session)
    assert session.asked == [KEY]


def test_a_mask_that_was_put_there_outside_is_not_written_over(qtbot: QtBot, session: Session) -> None:
    change_outside(session, 1)
    paint(session, 0)
    session.save_now()
    qtbot.waitUntil(lambda: session.asked == [KEY], timeout=10_000)
    session.folder_watch.decide_later(KEY)
    assert (read_class_map(mask(session)) == 1).all()
    session.folder_watch.keep_ours(KEY)
    qtbot.waitUntil(lambda: session.autosave.state == "saved", timeout=10_000)


def test_pages_that_were_not_counted_in_time_come_by_themselves(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "scans")
    frames = [Image.new("L", (30, 20), n) for n in range(3)]
    frames[0].save(folder / "scan.tif", save_all=True, append_images=frames[1:])
    monkeypatch.setattr(PageCounts.paged, "__defaults__", (0.0,))
    session.open_folder(folder)
    qtbot.waitUntil(lambda: session.project is not None and session.project.root == folder)
    qtbot.waitUntil(lambda: any(item.key == "scan.tif#3" for item in session.project.items), timeout=10_000)
