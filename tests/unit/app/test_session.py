"""Opening, going on, saving by itself, adding: the session with real files and real threads."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Project, Status
from pspnet_core.types import Provenance, Rect
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model.session import Session
from pspnet_studio.model.tool_state import ToolState
from tests.helpers.folders import files_below, make_folder


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


def go_to(qtbot: QtBot, session: Session, key: str) -> None:
    session.go_to(key)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == key)


def paint(session: Session, rect: Rect, class_id: int) -> None:
    assert session.document is not None
    session.document.begin_edit("brush")
    session.document.paint(rect, np.ones((rect.h, rect.w), bool), class_id)
    session.document.commit_edit()


class Disk:
    """A disk that can be full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        self._replace = os.replace
        monkeypatch.setattr(os, "replace", self.replace)

    def replace(self, *args: Any) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._replace(*args)


def count_on_disk(folder: Path, key: str, class_id: int) -> int:
    project = Project.open(folder)
    return int(np.count_nonzero(project.load_annotation(project.item(key), 160, 120).class_map == class_id))


def saved(session: Session) -> bool:
    return session.autosave.state == "saved"


def test_open_shows_the_first_image_and_its_class(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    assert session.current_key == "photo_0.png"
    assert session.document is not None
    assert session.document.image.shape == (120, 160, 3)
    assert session.tool_state.class_id == 0


def test_paint_is_saved_by_itself_and_comes_back(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    before = files_below(folder)
    open_folder(qtbot, session, folder)
    paint(session, Rect(3, 4, 10, 20), 1)
    assert session.autosave.state == "unsaved"
    qtbot.waitUntil(lambda: saved(session))
    project = Project.open(folder)
    annotation = project.load_annotation(project.item("photo_0.png"), 160, 120)
    assert np.count_nonzero(annotation.class_map == 1) == 200
    assert (annotation.provenance[4:24, 3:13] == Provenance.PAINTED).all()
    assert project.state("photo_0.png").status is Status.IN_PROGRESS
    assert project.state("photo_0.png").labelled_px == 200
    assert project.state("photo_0.png").painted_px == 200
    assert project.state("photo_0.png").accepted_px == 0
    assert files_below(folder) == before


def test_what_an_older_program_did_not_count_is_counted_when_it_is_opened(
    qtbot: QtBot, session: Session, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "photos")
    project = Project.open(folder)
    class_map, provenance = np.full((120, 160), 255, np.uint8), np.zeros((120, 160), np.uint8)
    class_map[:10], provenance[:4], provenance[4:10] = 1, Provenance.PAINTED, Provenance.ACCEPTED
    project.save_annotation(project.item("photo_0.png"), class_map, provenance)
    project.set_state("photo_0.png", painted_px=None, accepted_px=None)
    project.save()
    told: list[str] = []
    session.state_changed.connect(told.append)
    open_folder(qtbot, session, folder)
    assert session.project is not None
    state = session.project.state("photo_0.png")
    assert (state.painted_px, state.accepted_px) == (4 * 160, 6 * 160)
    assert told == ["photo_0.png"]


def test_going_on_saves_and_coming_back_keeps_undo(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    paint(session, Rect(0, 0, 5, 5), 1)
    go_to(qtbot, session, "photo_1.png")
    go_to(qtbot, session, "photo_0.png")
    assert session.document is not None
    assert np.count_nonzero(session.document.class_plane.to_array() == 1) == 25
    session.document.undo()
    assert np.count_nonzero(session.document.class_plane.to_array() == 1) == 0


def test_fast_browsing_ends_at_the_last_wish(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos", count=12))
    shown: list[str] = []
    session.document_changed.connect(lambda: shown.append(session.document.item_key if session.document else ""))
    for _ in range(11):
        session.step(1)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == "photo_11.png")
    assert shown[-1] == "photo_11.png"
    session.step(1)
    assert session.current_key == "photo_11.png"


def test_a_broken_image_leaves_the_old_one_on_screen(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    (folder / "photo_1.png").write_bytes(b"")
    open_folder(qtbot, session, folder)
    paint(session, Rect(0, 0, 5, 5), 1)
    session.go_to("photo_1.png")
    qtbot.waitUntil(lambda: bool(session.seen))  # type: ignore[attr-defined]
    error = session.seen[0]  # type: ignore[attr-defined]
    assert isinstance(error, PspnetError)
    assert "photo_1.png" in error.title
    assert session.current_key == "photo_0.png"
    assert session.document is not None
    assert session.document.item_key == "photo_0.png"
    paint(session, Rect(20, 20, 5, 5), 1)
    qtbot.waitUntil(lambda: saved(session))


def test_an_image_that_went_away_is_told(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    open_folder(qtbot, session, folder)
    (folder / "photo_2.png").unlink()
    session.go_to("photo_2.png")
    qtbot.waitUntil(lambda: bool(session.seen))  # type: ignore[attr-defined]
    assert isinstance(session.seen[0], PspnetError)  # type: ignore[attr-defined]
    assert session.current_key == "photo_0.png"


def test_a_folder_without_images_keeps_the_open_project(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    (tmp_path / "empty").mkdir()
    session.open_folder(tmp_path / "empty")
    qtbot.waitUntil(lambda: bool(session.seen))  # type: ignore[attr-defined]
    assert session.project is not None
    assert session.project.root == tmp_path / "photos"
    assert not list((tmp_path / "empty").iterdir())


def test_a_full_disk_is_told_and_tried_again(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pspnet_studio.model.autosave._RETRY_MS", 300)
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    disk = Disk(monkeypatch)
    disk.is_full = True
    paint(session, Rect(0, 0, 5, 5), 1)
    qtbot.waitUntil(lambda: session.autosave.state == "failed")
    qtbot.waitUntil(lambda: bool(session.seen))  # type: ignore[attr-defined]
    assert "disk is full" in session.seen[0].title  # type: ignore[attr-defined]
    disk.is_full = False
    qtbot.waitUntil(lambda: saved(session), timeout=5000)
    project = Project.open(tmp_path / "photos")
    assert np.count_nonzero(project.load_annotation(project.item("photo_0.png"), 160, 120).class_map == 1) == 25


def test_added_images_join_the_list(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    make_folder(tmp_path / "more", count=2, with_classes=False)
    assert session.project is not None
    session.add_paths([tmp_path / "more"])
    qtbot.waitUntil(lambda: session.project is not None and len(session.project.items) == 5)
    go_to(qtbot, session, session.project.items[-1].key)
    paint(session, Rect(0, 0, 5, 5), 1)
    qtbot.waitUntil(lambda: saved(session))
    assert not (tmp_path / "more" / ".pspnet-studio").exists()


def test_status_and_classes_are_kept(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos", with_classes=False))
    assert session.project is not None
    session.set_classes(session.project.classes.add("sky").add("sea", (1, 2, 3)))
    session.set_status("photo_1.png", Status.DONE)
    qtbot.waitUntil(lambda: saved(session))
    project = Project.open(tmp_path / "photos")
    assert project.classes.names == ("sky", "sea")
    assert project.state("photo_1.png").status is Status.DONE
    assert session.tool_state.class_id == 0


def test_locked_classes_are_kept_with_the_project(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    open_folder(qtbot, session, folder)
    first = session.add_class("road")
    second = session.add_class("roof")
    session.set_locked(first, True)
    session.set_locked(second, True)
    session.set_locked(first, False)
    assert session.tool_state.locked == {second}
    qtbot.waitUntil(lambda: session.autosave.state == "saved")
    session.close_project()
    assert session.tool_state.locked == set()
    session.document = None
    open_folder(qtbot, session, folder)
    assert session.tool_state.locked == {second}
    assert session.project is not None
    for nonsense in ("x", {"a": 1}, [None, 999, [1]], 7):
        session.project.settings["locked_classes"] = nonsense
        session.project.save()
        session.document = None
        open_folder(qtbot, session, folder)
        assert session.tool_state.locked == set()


def test_an_added_class_does_not_undo_one_that_a_mask_brought(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    assert session.project is not None
    ids = []

    def add_another(classes: ClassSet) -> ClassSet:  # as reading a mask in the other thread does
        return classes.add("brought")

    original = session.project.add_class

    def add_class(name: str) -> ClassSet:
        assert session.project is not None
        session.project.change_classes(add_another)
        return original(name)

    session.project.add_class = add_class  # type: ignore[method-assign]
    session.classes_changed.connect(lambda: ids.append(session.project.classes.indices))  # type: ignore[union-attr]
    assert session.add_class("boat") == 3
    assert ids == [(0, 1, 2, 3)]
    qtbot.waitUntil(lambda: saved(session))
    assert Project.open(tmp_path / "photos").classes.names == ("ground", "thing", "brought", "boat")


def test_found_masks_are_imported_and_never_written(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data" / "images")
    masks = tmp_path / "data" / "masks"
    masks.mkdir()
    Image.fromarray(np.full((120, 160), 1, np.uint8)).save(masks / "photo_0.png")
    before = files_below(tmp_path / "data")
    open_folder(qtbot, session, tmp_path / "data")
    assert session.document is not None
    assert (session.document.provenance_plane.to_array() == Provenance.IMPORTED).all()
    paint(session, Rect(0, 0, 5, 5), 0)
    qtbot.waitUntil(lambda: saved(session))
    assert files_below(tmp_path / "data") == before
    assert folder.exists()


def test_closing_saves(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    paint(session, Rect(0, 0, 5, 5), 1)
    session.close_project()
    done: list[bool] = []
    session.save_now(then=lambda: done.append(True))
    qtbot.waitUntil(lambda: bool(done))
    project = Project.open(tmp_path / "photos")
    assert np.count_nonzero(project.load_annotation(project.item("photo_0.png"), 160, 120).class_map == 1) == 25


def test_what_could_not_be_saved_survives_going_on_and_closing(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pspnet_studio.model.autosave._RETRY_MS", 200)
    folder = make_folder(tmp_path / "photos")
    disk = Disk(monkeypatch)
    open_folder(qtbot, session, folder)
    disk.is_full = True
    paint(session, Rect(0, 0, 5, 5), 1)
    go_to(qtbot, session, "photo_1.png")
    paint(session, Rect(0, 0, 4, 4), 1)
    qtbot.waitUntil(lambda: session.autosave.state == "failed")
    go_to(qtbot, session, "photo_0.png")
    assert session.document is not None
    assert np.count_nonzero(session.document.class_plane.to_array() == 1) == 25, "newer than the disk"
    session.close_project()
    disk.is_full = False
    qtbot.waitUntil(lambda: saved(session), timeout=5000)
    assert count_on_disk(folder, "photo_0.png", 1) == 25
    assert count_on_disk(folder, "photo_1.png", 1) == 16


def test_whoever_waits_for_a_save_is_told_that_it_failed(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "photos"))
    disk = Disk(monkeypatch)
    disk.is_full = True
    paint(session, Rect(0, 0, 5, 5), 1)
    done: list[object] = []
    failed: list[PspnetError] = []
    session.save_now(then=lambda: done.append(1), on_failed=failed.append)
    qtbot.waitUntil(lambda: bool(failed))
    assert not done
    disk.is_full = False
    session.save_now(then=lambda: done.append(1), on_failed=failed.append)
    qtbot.waitUntil(lambda: bool(done))
    assert len(failed) == 1


def test_there_and_back_again_keeps_what_was_painted_meanwhile(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    open_folder(qtbot, session, folder)
    before = session.document
    session.go_to("photo_1.png")
    session.go_to("photo_0.png")
    paint(session, Rect(0, 0, 4, 4), 1)
    done: list[bool] = []
    session.save_now(then=lambda: done.append(True))
    qtbot.waitUntil(lambda: bool(done))
    assert session.document is before
    assert session.current_key == "photo_0.png"
    assert not session.is_loading
    assert count_on_disk(folder, "photo_0.png", 1) == 16


def test_an_edit_under_way_is_ended_before_its_image_is_left(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    open_folder(qtbot, session, folder)
    document = session.document
    assert document is not None
    document.begin_edit("brush")
    document.paint(Rect(0, 0, 4, 4), np.ones((4, 4), bool), 1)

    def end() -> None:
        if document.is_editing:
            document.commit_edit()

    session.document_leaving.connect(end)
    go_to(qtbot, session, "photo_1.png")
    qtbot.waitUntil(lambda: saved(session))
    assert count_on_disk(folder, "photo_0.png", 1) == 16


def test_a_stroke_that_is_aborted_later_is_never_saved(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    open_folder(qtbot, session, folder)
    document = session.document
    assert document is not None
    paint(session, Rect(0, 0, 4, 4), 1)
    document.begin_edit("brush")
    document.paint(Rect(50, 50, 5, 5), np.ones((5, 5), bool), 1)
    qtbot.waitUntil(lambda: saved(session), timeout=5000)
    assert document.is_editing
    document.abort_edit()
    assert count_on_disk(folder, "photo_0.png", 1) == 16


def test_two_folders_open_together(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    first, second = make_folder(tmp_path / "a"), make_folder(tmp_path / "b", with_classes=False)
    session.open_folder(first, others=[second])
    qtbot.waitUntil(lambda: session.document is not None and not session.is_loading)
    assert session.project is not None
    assert len(session.project.items) == 6


def test_adding_goes_on_while_an_image_is_opened(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    open_folder(qtbot, session, make_folder(tmp_path / "a"))
    told: list[bool] = []
    session.items_changed.connect(lambda: told.append(True))
    session.add_paths([make_folder(tmp_path / "b", with_classes=False)])
    session.step(1)
    qtbot.waitUntil(lambda: bool(told) and not session.is_loading)
    assert session.project is not None
    assert len(session.project.items) == 6


def test_reading_the_folder_again_finds_what_came(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a", count=2)
    open_folder(qtbot, session, folder)
    make_folder(folder, count=4)
    session.rescan()
    qtbot.waitUntil(lambda: session.project is not None and len(session.project.items) == 4)
    session.rescan()
    qtbot.waitUntil(lambda: bool(session.seen))  # type: ignore[attr-defined]
    assert "Nothing changed" in session.seen[0].title  # type: ignore[attr-defined]


def test_a_mask_that_came_meanwhile_is_shown_unless_it_was_painted_over(
    qtbot: QtBot, session: Session, tmp_path: Path
) -> None:
    make_folder(tmp_path / "data" / "images", count=2)
    open_folder(qtbot, session, tmp_path / "data")
    masks = tmp_path / "data" / "masks"
    masks.mkdir()
    Image.fromarray(np.full((120, 160), 1, np.uint8)).save(masks / "photo_0.png")
    session.rescan()
    qtbot.waitUntil(
        lambda: session.document is not None and bool((session.document.class_plane.to_array() == 1).all()),
        timeout=5000,
    )
    paint(session, Rect(0, 0, 4, 4), 0)
    Image.fromarray(np.full((120, 160), 0, np.uint8)).save(masks / "photo_1.png")
    session.rescan()
    qtbot.waitUntil(lambda: saved(session))
    assert count_on_disk(tmp_path / "data", "images/photo_0.png", 1) == 120 * 160 - 16


def test_stepping_gets_past_an_unreadable_image(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", count=4)
    (folder / "photo_1.png").write_bytes(b"no image")
    open_folder(qtbot, session, folder)
    session.step(1)
    qtbot.waitUntil(lambda: len(session.seen) == 1 and not session.is_loading)  # type: ignore[attr-defined]
    session.step(1)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == "photo_2.png")
    session.step(-1)
    qtbot.waitUntil(lambda: len(session.seen) == 2 and not session.is_loading)  # type: ignore[attr-defined]
    session.step(-1)
    qtbot.waitUntil(lambda: session.document is not None and session.document.item_key == "photo_0.png")
