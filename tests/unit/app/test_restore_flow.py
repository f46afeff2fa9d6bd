"""Earlier versions come back from the menu; a damaged file blocks, and a backup opens it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.project.backups import Backup
from pspnet_core.project.places import journal_folder
from pspnet_core.project.plane_files import mask_path
from pspnet_core.project.project import Project, Status
from pspnet_core.types import Rect
from pspnet_studio.dialogs.restore import RestoreDialog
from pspnet_studio.jobs.restoring import Restorable, What, restorables
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.windows.restore_flow import RestoreFlow
from tests.helpers.folders import make_folder

KEY = "photo_0.png"
CORNER = Rect(0, 0, 10, 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose first image was labelled 1 once, and is labelled 0 now."""
    folder = make_folder(tmp_path / "photos")
    project = Project.open(folder)
    project.add_class("road")
    for class_id in (1, 0):
        save(folder, class_id)
    return folder


def save(folder: Path, class_id: int) -> None:
    project = Project.open(folder)
    class_map = np.full((120, 160), class_id, np.uint8)
    project.save_annotation(project.item(KEY), class_map, np.full_like(class_map, 2))
    project.save()


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    runner = JobRunner()
    session = Session(runner, ToolState())
    session.seen = []  # type: ignore[attr-defined]
    session.notice.connect(session.seen.append)  # type: ignore[attr-defined]
    yield session
    assert runner.shutdown(10)


@pytest.fixture
def flow(qtbot: QtBot, session: Session) -> RestoreFlow:
    window = QWidget()
    qtbot.addWidget(window)
    flow = RestoreFlow(session, window, session.seen.append, session.seen.append)  # type: ignore[attr-defined]
    flow.window = window  # type: ignore[attr-defined]
    return flow


def open_image(qtbot: QtBot, session: Session, folder: Path, key: str = KEY) -> None:
    session.open_folder(folder)
    qtbot.waitUntil(lambda: session.document is not None and not session.is_loading, timeout=10_000)
    if session.document.item_key != key:
        session.go_to(key)
        qtbot.waitUntil(lambda: session.document.item_key == key)


def corner(session: Session) -> int:
    return int(session.document.class_plane.read(CORNER)[0, 0])


def titles(session: Session) -> list[str]:
    return [getattr(message, "title", str(message)) for message in session.seen]


def take(what: What, seen: list[Restorable]):
    def choose(_: str, found: Sequence[Restorable]) -> Restorable:
        seen.extend(found)
        return next(one for one in found if one.what is what)

    return choose


def test_a_mask_comes_back_as_a_step_that_can_be_undone(
    qtbot: QtBot, session: Session, flow: RestoreFlow, folder: Path
) -> None:
    open_image(qtbot, session, folder)
    assert corner(session) == 0
    found: list[Restorable] = []
    flow.choose = take(What.MASK, found)
    flow.ask()
    qtbot.waitUntil(lambda: corner(session) == 1, timeout=10_000)
    assert found[0].labelled == 1.0
    assert found[0].picture is not None
    session.save_now()
    qtbot.waitUntil(lambda: session.autosave.state == "saved", timeout=10_000)
    assert (read_class_map(mask_path(session.project.folder, KEY)) == 1).all()
    session.document.undo()
    assert corner(session) == 0


def test_an_image_with_a_damaged_mask_is_blocked_and_opens_with_a_backup(
    qtbot: QtBot, session: Session, flow: RestoreFlow, folder: Path
) -> None:
    open_image(qtbot, session, folder, "photo_1.png")
    path = mask_path(session.project.folder, KEY)
    path.write_bytes(b"damaged")
    session.go_to(KEY)
    qtbot.waitUntil(lambda: session.unreadable_key == KEY, timeout=10_000)
    assert path.read_bytes() == b"damaged"
    assert any("Restore a backup" in getattr(message, "title", "") for message in session.seen)
    flow.choose = take(What.MASK, [])
    flow.ask()
    qtbot.waitUntil(lambda: session.document.item_key == KEY, timeout=10_000)
    assert corner(session) == 1


def test_a_mask_that_another_window_changes_is_not_replaced(
    qtbot: QtBot, session: Session, flow: RestoreFlow, folder: Path
) -> None:
    open_image(qtbot, session, folder, "photo_1.png")
    path = mask_path(session.project.folder, KEY)
    path.unlink()
    path.write_bytes(b"damaged")
    session.go_to(KEY)
    qtbot.waitUntil(lambda: session.unreadable_key == KEY, timeout=10_000)
    session.project.locks.release(KEY)
    other = Project.open(folder)
    assert other.locks.acquire(KEY) is None
    flow.choose = take(What.MASK, [])
    flow.ask()
    qtbot.waitUntil(lambda: any("is being changed by" in title for title in titles(session)), timeout=10_000)
    assert path.read_bytes() == b"damaged"
    other.locks.release(KEY)


def test_of_an_image_that_is_read_only_nothing_is_said_to_be_the_same(
    qtbot: QtBot, session: Session, flow: RestoreFlow, folder: Path
) -> None:
    other = Project.open(folder)
    assert other.locks.acquire(KEY) is None
    open_image(qtbot, session, folder)
    assert session.document.is_read_only
    session.seen.clear()
    flow.choose = take(What.MASK, [])
    flow.ask()
    qtbot.waitUntil(lambda: any("is being changed by" in title for title in titles(session)), timeout=10_000)
    assert not any("same already" in title for title in titles(session))
    assert corner(session) == 0
    other.locks.release(KEY)


def test_an_image_with_a_damaged_journal_opens_without_it(
    qtbot: QtBot, session: Session, flow: RestoreFlow, folder: Path
) -> None:
    open_image(qtbot, session, folder)
    for x in range(3):
        session.document.begin_edit("brush")
        session.document.paint(Rect(10 * x, 0, 10, 10), np.ones((10, 10), bool), 1)
        session.document.commit_edit()
        qtbot.waitUntil(lambda: session.autosave.state == "journaled", timeout=10_000)
    place = journal_folder(session.project.folder, KEY)
    journal = next(iter(place.iterdir()))
    data = bytearray(journal.read_bytes())  # as after kill -9: the strokes are in no mask
    session.save_now()
    qtbot.waitUntil(lambda: session.autosave.state == "saved", timeout=10_000)
    session.go_to("photo_1.png")
    qtbot.waitUntil(lambda: session.document.item_key == "photo_1.png")
    save(folder, 0)
    journal.unlink()
    data[len(data) // 3] ^= 0xFF
    journal.write_bytes(data)
    session.histories.drop(KEY)
    session.go_to(KEY)
    qtbot.waitUntil(lambda: session.unreadable_key == KEY, timeout=10_000)
    flow.choose = take(What.JOURNAL, [])
    flow.ask()
    qtbot.waitUntil(lambda: session.document.item_key == KEY, timeout=10_000)
    assert corner(session) == 0
    assert [path.suffix for path in place.iterdir() if path.suffix == ".aside"] == [".aside"]


def test_a_damaged_project_file_is_replaced_by_its_backup(
    qtbot: QtBot, session: Session, flow: RestoreFlow, folder: Path
) -> None:
    project = Project.open(folder)
    project.set_state(KEY, status=Status.DONE)
    project.save()
    project = Project.open(folder)
    project.settings["a"] = 1
    project.save()
    (folder / ".pspnet-studio" / "project.json").write_bytes(b"{")
    asked: list[Backup] = []
    flow.ask_project = lambda _, backup: asked.append(backup) or True  # type: ignore[func-returns-value]
    session.open_folder(folder)
    qtbot.waitUntil(lambda: session.document is not None and not session.is_loading, timeout=10_000)
    assert len(asked) == 1
    assert session.project.state(KEY).status is Status.DONE


def test_the_project_file_comes_back_from_the_menu(
    qtbot: QtBot, session: Session, flow: RestoreFlow, folder: Path
) -> None:
    open_image(qtbot, session, folder)
    before = session.project
    before.add_class("mistake")
    session.autosave.project_changed()
    session.save_now()
    qtbot.waitUntil(lambda: session.autosave.state == "saved", timeout=10_000)
    flow.choose = take(What.PROJECT, [])
    flow.ask()
    qtbot.waitUntil(lambda: session.project is not before and session.document is not None, timeout=10_000)
    assert "mistake" not in session.project.classes.names


def test_the_dialog_shows_each_mask_and_why_one_cannot_come_back(qtbot: QtBot, folder: Path) -> None:
    save(folder, 1)
    project = Project.open(folder)
    newest, oldest = project.backups.masks(KEY)[:2]
    newest.path.unlink()
    newest.path.write_bytes(b"x")
    found = restorables(project, KEY, is_unreadable=False)
    dialog = RestoreDialog(KEY, found)
    qtbot.addWidget(dialog)
    assert dialog.chosen.backup == Backup(newest.number, newest.path, dialog.chosen.backup.written_s, 1)
    assert not dialog.restore_button.isEnabled()
    dialog.list.setCurrentRow(1)
    assert dialog.restore_button.isEnabled()
    assert dialog.chosen.backup == oldest
    assert not dialog._picture.pixmap().isNull()
    dialog.list.setCurrentRow(dialog.list.count() - 1)
    assert dialog.chosen.what is What.PROJECT
    assert dialog._picture.pixmap().isNull()


def test_where_there_is_none_it_says_so(qtbot: QtBot, session: Session, flow: RestoreFlow, tmp_path: Path) -> None:
    open_image(qtbot, session, make_folder(tmp_path / "fresh"))
    flow.ask()
    qtbot.waitUntil(
        lambda: any("no backup" in getattr(message, "title", "") for message in session.seen), timeout=10_000
    )
