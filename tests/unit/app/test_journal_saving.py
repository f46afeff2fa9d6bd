"""The session and its journals: strokes are safe at once, come back after a crash, and can still be undone then."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from pspnet_core.errors import JournalError, StorageError
from pspnet_core.project.journal_budget import unsaved_items
from pspnet_core.project.journal_log import Kind, read_log
from pspnet_core.project.project import Project
from pspnet_core.types import Rect
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model import autosave
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.folders import make_folder

KEY = "photo_0.png"


@pytest.fixture
def sessions(qtbot: QtBot) -> Iterator[list[Session]]:
    """Sessions of one test; all are ended."""
    opened: list[Session] = []
    yield opened
    for session in opened:
        assert session.runner.shutdown(5)


@pytest.fixture
def no_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hand never rests: only journals are written."""
    monkeypatch.setattr(autosave, "_IDLE_MS", 3_600_000)


def start(qtbot: QtBot, sessions: list[Session], folder: Path) -> Session:
    session = Session(JobRunner(), ToolState())
    sessions.append(session)
    session.seen = []  # type: ignore[attr-defined]
    session.notice.connect(session.seen.append)  # type: ignore[attr-defined]
    session.open_folder(folder)
    qtbot.waitUntil(lambda: session.document is not None and not session.is_loading)
    return session


def project_of(session: Session) -> Project:
    assert session.project is not None
    return session.project


def document_of(session: Session) -> Document:
    assert session.document is not None
    return session.document


def paint(session: Session, number: int) -> None:
    document = document_of(session)
    document.begin_edit("brush")
    document.paint(Rect(8 * number, 5 * number, 20, 15), np.ones((15, 20), bool), number % 2)
    document.commit_edit()


def state_of(session: Session) -> tuple[bytes, bytes]:
    document = document_of(session)
    return document.class_plane.to_array().tobytes(), document.provenance_plane.to_array().tobytes()


def crash(session: Session, to: Path) -> Path:
    """What the disk holds at this moment; the session goes on, but nobody looks."""
    assert session.project is not None
    return Path(shutil.copytree(session.project.root, to))


def told(session: Session) -> str:
    return " ".join(getattr(message, "title", str(message)) for message in session.seen)  # type: ignore[attr-defined]


def journaled(session: Session) -> bool:
    return session.autosave.state == "journaled"


def go_to(qtbot: QtBot, session: Session, key: str) -> None:
    session.go_to(key)
    qtbot.waitUntil(lambda: document_of(session).item_key == key and not session.is_loading)


def journal_files(folder: Path, key: str = KEY) -> list[Path]:
    return sorted((folder / ".pspnet-studio" / "journal" / key).glob("*.journal"))


def test_each_stroke_is_in_the_journal_before_any_mask(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, no_masks: None
) -> None:
    folder = make_folder(tmp_path / "photos")
    session = start(qtbot, sessions, folder)
    for number in range(3):
        paint(session, number)
        qtbot.waitUntil(lambda: journaled(session), timeout=1000)
        (path,) = journal_files(folder)
        assert sum(record.kind is Kind.STROKE for record in read_log(path).records) == number + 1
    document_of(session).undo()
    qtbot.waitUntil(lambda: read_log(path).records[-1].kind is Kind.GO, timeout=1000)
    assert not (folder / ".pspnet-studio" / "masks").exists()
    assert (folder / ".pspnet-studio" / "project.json").exists(), "a stroke means little without the classes"


def test_after_a_crash_the_strokes_are_restored_saved_and_told(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(autosave, "_IDLE_MS", 3_600_000)
        session = start(qtbot, sessions, make_folder(tmp_path / "photos"))
        for number in range(3):
            paint(session, number)
        qtbot.waitUntil(lambda: journaled(session))
        copy = crash(session, tmp_path / "copy")
    after = start(qtbot, sessions, copy)
    assert state_of(after) == state_of(session)
    assert "3 strokes that had not been saved were restored." in told(after)
    assert after.autosave.state != "saved"
    qtbot.waitUntil(lambda: after.autosave.state == "saved")
    assert (copy / ".pspnet-studio" / "masks" / f"{KEY}.png").exists()
    last = start(qtbot, sessions, crash(after, tmp_path / "again"))
    assert told(last) == ""
    for either in (session, last):
        for _ in range(3):
            document_of(either).undo()
        assert not document_of(either).history.can_undo
    assert state_of(last) == state_of(session)
    document_of(last).go_to(3)
    assert state_of(last) == state_of(after)


def test_strokes_of_a_crash_in_an_image_that_is_not_opened_are_told(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, no_masks: None
) -> None:
    session = start(qtbot, sessions, make_folder(tmp_path / "photos"))
    paint(session, 0)
    go_to(qtbot, session, "photo_1.png")
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    paint(session, 1)
    qtbot.waitUntil(lambda: journaled(session))
    after = start(qtbot, sessions, crash(session, tmp_path / "copy"))
    assert document_of(after).item_key == KEY
    qtbot.waitUntil(lambda: "photo_1.png has strokes that had not been saved" in told(after))
    go_to(qtbot, after, "photo_1.png")
    assert state_of(after) == state_of(session)
    after.save_now()
    qtbot.waitUntil(lambda: after.autosave.state == "saved")
    last = start(qtbot, sessions, crash(after, tmp_path / "again"))
    assert [key for key in unsaved_items(project_of(last).folder) if key] == []


def test_undo_survives_closing_and_opening(qtbot: QtBot, sessions: list[Session], tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    session = start(qtbot, sessions, folder)
    for number in range(4):
        paint(session, number)
    document_of(session).undo()
    go_to(qtbot, session, "photo_1.png")
    paint(session, 5)
    session.close_project()
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    assert session.runner.shutdown(5)
    after = start(qtbot, sessions, folder)
    go_to(qtbot, after, KEY)
    document = document_of(after)
    assert (document.history.num_done, document.history.num_steps) == (3, 4)
    document.redo()
    paint(after, 6)
    assert (document.history.num_done, document.history.can_redo) == (5, False)
    qtbot.waitUntil(lambda: after.autosave.state == "saved")
    (path,) = journal_files(folder)
    assert after.project is not None
    assert path.stem == after.project.session
    assert told(after) == ""


def test_switching_images_keeps_one_history_each(qtbot: QtBot, sessions: list[Session], tmp_path: Path) -> None:
    session = start(qtbot, sessions, make_folder(tmp_path / "photos"))
    for turn in range(3):
        for number, key in enumerate((KEY, "photo_1.png")):
            go_to(qtbot, session, key)
            paint(session, 3 * turn + number)
            assert document_of(session).history.num_done == turn + 1
    assert told(session) == ""
    assert len(journal_files(tmp_path / "photos")) == 1


def test_who_never_rests_is_saved_all_the_same(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_masks: None
) -> None:
    monkeypatch.setattr(autosave, "_LATEST_MS", 300)
    session = start(qtbot, sessions, make_folder(tmp_path / "photos"))
    paint(session, 0)
    qtbot.waitUntil(lambda: session.autosave.state == "saved")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_disk_that_takes_nothing_is_told_and_tried_again(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(autosave, "_RETRY_MS", 300)
    folder = make_folder(tmp_path / "photos")
    session = start(qtbot, sessions, folder)
    paint(session, 0)
    qtbot.waitUntil(lambda: session.autosave.state == "saved")

    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        paint(session, 1)
        qtbot.waitUntil(lambda: session.autosave.state == "failed")
        paint(session, 2)
        go_to(qtbot, session, "photo_1.png")
        go_to(qtbot, session, KEY)
        assert document_of(session).history.num_done == 3
    assert isinstance(session.seen[0], StorageError)  # type: ignore[attr-defined]
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    after = start(qtbot, sessions, crash(session, tmp_path / "copy"))
    assert state_of(after) == state_of(session)
    assert document_of(after).history.num_done == 3


def test_a_folder_that_is_away_for_a_while_loses_no_stroke(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autosave, "_RETRY_MS", 300)
    folder = make_folder(tmp_path / "photos")
    session = start(qtbot, sessions, folder)
    paint(session, 0)
    qtbot.waitUntil(lambda: journaled(session), timeout=1000)
    away = folder.rename(tmp_path / "away")
    paint(session, 1)
    qtbot.waitUntil(lambda: session.autosave.state == "failed")
    assert "not there any more" in told(session)
    assert not folder.exists()
    away.rename(folder)
    paint(session, 2)
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    after = start(qtbot, sessions, crash(session, tmp_path / "copy"))
    assert state_of(after) == state_of(session)
    assert document_of(after).history.num_done == 3


def test_without_a_place_for_journals_masks_are_saved_and_it_is_told(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autosave, "_RETRY_MS", 200)
    folder = make_folder(tmp_path / "photos")
    (folder / ".pspnet-studio").mkdir()
    (folder / ".pspnet-studio" / "journal").write_text("in the way")
    session = start(qtbot, sessions, folder)
    paint(session, 1)
    qtbot.waitUntil(lambda: (folder / ".pspnet-studio" / "masks" / f"{KEY}.png").exists())
    assert session.autosave.state == "failed"
    assert "could not be written" in told(session)
    (folder / ".pspnet-studio" / "journal").unlink()
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    assert len(journal_files(folder)) == 1


def test_one_mask_that_cannot_be_written_keeps_nothing_else_from_the_disk(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autosave, "_RETRY_MS", 300)
    folder = make_folder(tmp_path / "photos")
    session = start(qtbot, sessions, folder)
    in_the_way = folder / ".pspnet-studio" / "masks" / f"{KEY}.png"
    in_the_way.mkdir(parents=True)
    (in_the_way / "x").write_text("a folder that is not empty")
    paint(session, 1)
    session.autosave.flush()
    qtbot.waitUntil(lambda: session.autosave.state == "failed")
    go_to(qtbot, session, "photo_1.png")
    for number in range(3):
        paint(session, number)
        qtbot.waitUntil(
            lambda n=number: (
                [r.kind for path in journal_files(folder, "photo_1.png") for r in read_log(path).records].count(
                    Kind.STROKE
                )
                == n + 1
            )
        )
    qtbot.waitUntil(lambda: (in_the_way.parent / "photo_1.png.png").exists())
    assert session.autosave.state in ("failed", "saving"), "the other one is not written"
    assert session.project is not None
    assert session.autosave.unsaved_planes(session.project, KEY) is not None
    shutil.rmtree(in_the_way)
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    after = start(qtbot, sessions, crash(session, tmp_path / "copy"))
    for key in (KEY, "photo_1.png"):
        go_to(qtbot, session, key)
        go_to(qtbot, after, key)
        assert state_of(after) == state_of(session)


def test_a_mask_that_was_changed_between_two_visits_drops_the_undo(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "photos")
    session = start(qtbot, sessions, folder)
    paint(session, 1)
    go_to(qtbot, session, "photo_1.png")
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    Image.fromarray(np.zeros((120, 160), np.uint8)).save(folder / ".pspnet-studio" / "masks" / f"{KEY}.png")
    go_to(qtbot, session, KEY)
    assert not document_of(session).class_plane.to_array().any()
    assert not document_of(session).history.can_undo
    assert "changed outside" in told(session)
    paint(session, 3)
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    after = start(qtbot, sessions, crash(session, tmp_path / "copy"))
    assert told(after) == ""
    assert document_of(after).history.num_done == 1


def test_a_damaged_journal_blocks_its_image_only(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, no_masks: None
) -> None:
    session = start(qtbot, sessions, make_folder(tmp_path / "photos"))
    paint(session, 0)
    paint(session, 1)
    qtbot.waitUntil(lambda: journaled(session))
    copy = crash(session, tmp_path / "copy")
    (path,) = journal_files(copy)
    data = bytearray(path.read_bytes())
    data[read_log(path).records[1].offset + 40] ^= 255
    path.write_bytes(data)
    after = Session(JobRunner(), ToolState())
    sessions.append(after)
    errors: list[object] = []
    after.notice.connect(errors.append)
    after.open_folder(copy)
    qtbot.waitUntil(lambda: bool(errors))
    assert isinstance(errors[0], JournalError)
    assert str(path) in errors[0].detail
    assert after.document is None
    after.step(1)
    qtbot.waitUntil(lambda: after.document is not None)
    assert path.read_bytes() == bytes(data)
    path.rename(tmp_path / "away")
    go_to(qtbot, after, KEY)
    assert document_of(after).class_plane.is_blank


def test_a_conversion_of_an_image_that_is_not_open_can_be_undone_there(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path
) -> None:
    from pspnet_core.project.conversion import convert_class

    session = start(qtbot, sessions, make_folder(tmp_path / "photos"))
    paint(session, 1)
    before = state_of(session)
    go_to(qtbot, session, "photo_1.png")
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    assert session.project is not None
    for event in convert_class(session.project, 1, 0, skip=("photo_1.png",)):
        session.item_rewritten(event.item_key)
    go_to(qtbot, session, KEY)
    document = document_of(session)
    assert (document.history.num_done, (document.class_plane.to_array() == 1).any()) == (2, np.False_)
    document.undo()
    assert state_of(session) == before
    assert told(session) == ""


def test_the_command_line_sees_strokes_of_a_crash(
    qtbot: QtBot, sessions: list[Session], tmp_path: Path, no_masks: None
) -> None:
    session = start(qtbot, sessions, make_folder(tmp_path / "photos"))
    paint(session, 1)
    qtbot.waitUntil(lambda: journaled(session))
    project = Project.open(crash(session, tmp_path / "copy"))
    annotation = project.load_annotation(project.item(KEY), 160, 120)
    assert annotation.class_map.tobytes() == state_of(session)[0]
