"""Two windows with one project: each image can be changed in one of them, and the other one says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.project import locks
from pspnet_core.project.plane_files import mask_path
from pspnet_core.project.project import Project
from pspnet_core.project.records import Notice
from pspnet_core.types import Rect
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model import autosave, edit_locks
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.folders import make_folder

FIRST, SECOND = "photo_0.png", "photo_1.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = make_folder(tmp_path / "photos")
    project = Project.open(folder)
    if not project.classes.indices:
        project.add_class("road")
    project.save()
    return folder


@pytest.fixture
def sessions(qtbot: QtBot, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Session]]:
    monkeypatch.setattr(edit_locks, "_LOOK_MS", 50)
    made = []
    for _ in range(2):
        session = Session(JobRunner(), ToolState())
        session.seen = []  # type: ignore[attr-defined]
        session.notice.connect(session.seen.append)  # type: ignore[attr-defined]
        made.append(session)
    yield made
    for session in made:
        assert session.runner.shutdown(10)


def open_image(qtbot: QtBot, session: Session, folder: Path, key: str = FIRST) -> None:
    if session.project is None:
        session.open_folder(folder)
        qtbot.waitUntil(lambda: session.document is not None and not session.is_loading)
    session.go_to(key)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == key)


def paint(session: Session, class_id: int = 0) -> bool:
    assert session.document is not None
    session.document.begin_edit("brush")
    session.document.paint(Rect(0, 0, 10, 10), np.ones((10, 10), bool), class_id)
    return session.document.commit_edit()


def save(qtbot: QtBot, session: Session) -> None:
    session.save_now()
    qtbot.waitUntil(lambda: session.autosave.state == "saved", timeout=10_000)


def on_disk(folder: Path) -> int:
    class_map = read_class_map(mask_path(folder / ".pspnet-studio", FIRST))[:10, :10]
    assert (class_map == class_map[0, 0]).all()
    return int(class_map[0, 0])


def titles(session: Session) -> list[str]:
    return [getattr(message, "title", str(message)) for message in session.seen]  # type: ignore[attr-defined]


def test_the_second_window_shows_the_image_and_changes_nothing(
    qtbot: QtBot, sessions: list[Session], folder: Path
) -> None:
    first, second = sessions
    open_image(qtbot, first, folder)
    assert paint(first)
    save(qtbot, first)
    open_image(qtbot, second, folder)
    assert second.document is not None
    assert second.document.is_read_only
    assert any("is being changed by" in title for title in titles(second))
    assert (second.document.class_plane.read(Rect(0, 0, 10, 10)) == 0).all()
    second.seen.clear()  # type: ignore[attr-defined]
    assert not paint(second, 1)
    assert any("is being changed by" in title for title in titles(second))
    assert not second.document.fill_unlabelled(0)
    assert second.document.revision == 0
    assert not first.document.is_read_only
    assert second.autosave.state == "saved"


def test_each_window_can_change_another_image(qtbot: QtBot, sessions: list[Session], folder: Path) -> None:
    first, second = sessions
    open_image(qtbot, first, folder, FIRST)
    open_image(qtbot, second, folder, SECOND)
    assert not second.document.is_read_only
    assert paint(first)
    assert paint(second)
    save(qtbot, first)
    save(qtbot, second)
    assert all(Project.open(folder).has_annotation(item) for item in Project.open(folder).items[:2])


def test_it_can_be_changed_as_soon_as_it_is_left_there(qtbot: QtBot, sessions: list[Session], folder: Path) -> None:
    first, second = sessions
    open_image(qtbot, first, folder)
    open_image(qtbot, second, folder)
    assert second.document.is_read_only
    paint(first)
    open_image(qtbot, first, folder, SECOND)
    qtbot.waitUntil(lambda: second.document is not None and not second.document.is_read_only, timeout=10_000)
    assert (second.document.class_plane.read(Rect(0, 0, 10, 10)) == 0).all()  # what was painted there meanwhile
    assert any("can be changed here now" in title for title in titles(second))
    assert paint(second, 255)
    save(qtbot, second)


def test_a_lock_without_a_heartbeat_is_taken_over(
    qtbot: QtBot, sessions: list[Session], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sessions
    open_image(qtbot, first, folder)
    paint(first)
    save(qtbot, first)
    first.edit_locks._beat_timer.stop()  # it hangs
    monkeypatch.setattr(locks, "_machine", lambda: "another machine")
    monkeypatch.setattr(locks, "STALE_S", 0.3)
    open_image(qtbot, second, folder)
    assert second.document.is_read_only
    qtbot.waitUntil(lambda: second.edit_locks.can_take_over, timeout=10_000)
    assert any("was not heard of" in title for title in titles(second))
    second.edit_locks.take_over()
    qtbot.waitUntil(lambda: second.document is not None and not second.document.is_read_only, timeout=10_000)
    assert paint(second, 255)
    save(qtbot, second)
    assert paint(first, 1)  # it does not know yet
    first.edit_locks._beat()
    qtbot.waitUntil(lambda: first.document.is_read_only, timeout=10_000)
    assert any("was taken over" in title for title in titles(first))
    first.autosave.flush()
    qtbot.waitUntil(lambda: first.autosave.state == "failed", timeout=10_000)
    assert on_disk(folder) == 255


@pytest.fixture
def taken(
    qtbot: QtBot, sessions: list[Session], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Session, Session]:
    """The first window slept, and the second has taken its image over; the first has painted class 1, unsaved."""
    first, second = sessions
    monkeypatch.setattr(autosave, "_RETRY_MS", 200)
    open_image(qtbot, first, folder)
    paint(first)
    save(qtbot, first)
    first.edit_locks._beat_timer.stop()
    monkeypatch.setattr(locks, "_machine", lambda: "another machine")
    monkeypatch.setattr(locks, "STALE_S", 0.2)
    open_image(qtbot, second, folder)
    qtbot.waitUntil(lambda: second.edit_locks.can_take_over, timeout=10_000)
    second.edit_locks.take_over()
    qtbot.waitUntil(lambda: second.document is not None and not second.document.is_read_only, timeout=10_000)
    assert paint(first, 1)
    return first, second


def test_a_window_that_lost_its_lock_goes_on_when_nobody_changed_the_image(
    qtbot: QtBot, taken: tuple[Session, Session], folder: Path
) -> None:
    first, second = taken
    document = first.document
    assert document is not None
    first.edit_locks._beat()
    qtbot.waitUntil(lambda: document.is_read_only, timeout=10_000)
    open_image(qtbot, second, folder, SECOND)
    qtbot.waitUntil(lambda: not document.is_read_only, timeout=10_000)
    assert first.document is document
    assert document.history.can_undo
    qtbot.waitUntil(lambda: first.autosave.state == "saved", timeout=10_000)
    assert on_disk(folder) == 1
    assert any("can be changed here now" in title for title in titles(first))
    assert not any("another program" in title for title in titles(first))
    open_image(qtbot, second, folder, FIRST)
    assert second.document is not None
    assert second.document.is_read_only


@pytest.mark.parametrize("is_reopened", [False, True])
@pytest.mark.parametrize("keeps_ours", [False, True])
def test_a_person_chooses_when_the_image_was_changed_by_who_took_it_over(
    qtbot: QtBot, taken: tuple[Session, Session], folder: Path, keeps_ours: bool, is_reopened: bool
) -> None:
    first, second = taken
    asked: list[str] = []
    first.folder_watch.mask_changed.connect(asked.append)
    paint(second, 255)
    save(qtbot, second)
    first.edit_locks._beat()
    qtbot.waitUntil(lambda: first.document is not None and first.document.is_read_only, timeout=10_000)
    if is_reopened:
        open_image(qtbot, first, folder, "photo_2.png")
    open_image(qtbot, second, folder, SECOND)
    if is_reopened:
        open_image(qtbot, first, folder, FIRST)
    qtbot.waitUntil(lambda: bool(asked), timeout=10_000)
    assert set(asked) == {FIRST}
    assert on_disk(folder) == 255
    (first.folder_watch.keep_ours if keeps_ours else first.folder_watch.take_theirs)(FIRST)
    qtbot.waitUntil(
        lambda: first.document is not None and not first.document.is_read_only and first.autosave.state == "saved",
        timeout=10_000,
    )
    expected = 1 if keeps_ours else 255
    assert on_disk(folder) == expected
    assert first.document is not None
    qtbot.waitUntil(lambda: (first.document.class_plane.read(Rect(0, 0, 10, 10)) == expected).all(), timeout=10_000)
    assert paint(first, 0)
    save(qtbot, first)
    assert on_disk(folder) == 0


@pytest.mark.skipif(os.name == "nt", reason="there a file that is open cannot be moved away")
def test_a_folder_that_is_away_for_a_moment_makes_nothing_read_only(
    qtbot: QtBot, sessions: list[Session], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autosave, "_RETRY_MS", 200)
    first, second = sessions
    open_image(qtbot, first, folder)
    paint(first)
    save(qtbot, first)
    away = folder.with_name("away")
    folder.rename(away)
    assert paint(first, 1)
    first.edit_locks._beat()
    first.autosave.flush()
    qtbot.waitUntil(lambda: first.autosave.state == "failed", timeout=10_000)
    away.rename(folder)
    qtbot.waitUntil(lambda: first.autosave.state == "saved", timeout=10_000)
    assert first.document is not None
    assert not first.document.is_read_only
    assert not any("is being changed by" in title for title in titles(first))
    assert on_disk(folder) == 1
    open_image(qtbot, second, folder)
    assert second.document is not None
    assert second.document.is_read_only


def test_of_two_windows_with_a_new_folder_the_one_that_paints_first_may_go_on(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autosave, "_RETRY_MS", 200)
    fresh = make_folder(tmp_path / "fresh")
    first, second = sessions
    asked: list[str] = []
    second.folder_watch.mask_changed.connect(asked.append)
    for session in sessions:
        open_image(qtbot, session, fresh)
    assert paint(first)
    lock = fresh / ".pspnet-studio" / "locks" / f"{FIRST}.lock"
    qtbot.waitUntil(lock.exists, timeout=10_000)  # with the first edit, not with the first save
    assert second.document is not None
    assert not second.document.is_read_only
    second.seen.clear()  # type: ignore[attr-defined]
    assert paint(second, 1)
    document = second.document
    qtbot.waitUntil(lambda: document.is_read_only, timeout=10_000)
    assert any("is being changed by" in title for title in titles(second))
    told = [message for message in second.seen if isinstance(message, Notice)]  # type: ignore[attr-defined]
    assert any("kept in the journal" in message.detail for message in told)
    save(qtbot, first)
    assert on_disk(fresh) == 0
    second.autosave.flush()
    open_image(qtbot, first, fresh, SECOND)
    qtbot.waitUntil(lambda: bool(asked), timeout=10_000)
    second.folder_watch.keep_ours(FIRST)
    qtbot.waitUntil(lambda: not document.is_read_only and second.autosave.state == "saved", timeout=10_000)
    assert on_disk(fresh) == 1


def test_a_save_that_is_refused_makes_the_image_read_only(qtbot: QtBot, sessions: list[Session], folder: Path) -> None:
    first, second = sessions
    open_image(qtbot, first, folder)
    open_image(qtbot, second, folder, SECOND)
    assert second.project is not None
    assert first.project is not None
    first.project.locks.release(FIRST)
    assert second.project.locks.acquire(FIRST) is None
    first.edit_locks._is_claimed = True  # only the save asks for the lock
    assert paint(first, 1)
    first.autosave.flush()
    qtbot.waitUntil(lambda: first.document is not None and first.document.is_read_only, timeout=10_000)
    second.project.locks.release(FIRST)
    qtbot.waitUntil(lambda: first.autosave.state == "saved", timeout=10_000)
    assert first.document is not None
    assert not first.document.is_read_only
    assert on_disk(folder) == 1


def test_nothing_is_made_by_looking_at_a_folder(qtbot: QtBot, sessions: list[Session], tmp_path: Path) -> None:
    fresh = make_folder(tmp_path / "fresh")
    open_image(qtbot, sessions[0], fresh)
    assert not (fresh / ".pspnet-studio").exists()
