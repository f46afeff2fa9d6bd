"""Export from the window: what is told, what is asked of the disk, and what a failed save or a cancel leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QCheckBox, QProgressDialog, QPushButton
from pytestqt.qtbot import QtBot

from pspnet_core.errors import PspnetError
from pspnet_core.export.masks import ExportFinished
from pspnet_core.project.project import Notice, Project
from pspnet_core.project.records import Split
from pspnet_studio.bootstrap import Studio
from pspnet_studio.dialogs.export import ExportDialog
from pspnet_studio.windows.export_flow import ExportFlow, words_of
from tests.helpers.folders import make_data_set, make_folder
from tests.helpers.studio import open_paths, running_studio


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def flow(studio: Studio, told: list[Any]) -> ExportFlow:
    return ExportFlow(studio.session, studio.window, told.append)


def project_of(studio: Studio) -> Project:
    assert studio.session.project is not None
    return studio.session.project


def dialogs(studio: Studio) -> list[QProgressDialog]:
    return studio.window.findChildren(QProgressDialog)


def test_failures_come_first_and_name_the_files_and_the_way_out() -> None:
    failures = tuple(Notice("The mask is cut off.", "", "", f"photo_{n}.png") for n in range(5))
    report = ExportFinished(Path("/out"), 7, 2, failures, (Notice("The mask was rotated.", "", "", "b.png"),))
    first, second, third = words_of(report)
    assert isinstance(first, PspnetError)
    assert first.title == "5 masks could not be exported."
    assert "photo_0.png: The mask is cut off." in first.detail
    assert "photo_2.png" in first.detail
    assert "photo_3.png" not in first.detail
    assert "and 2 more" in first.detail
    assert "export again" in first.remedy
    assert second == "7 masks were written to /out. 2 images without any label were left out."
    assert isinstance(third, Notice)
    assert "b.png: The mask was rotated." in third.detail


def test_one_is_one() -> None:
    assert words_of(ExportFinished(Path("/out"), 1, 0, (), ())) == ["1 mask was written to /out."]


def test_an_unreadable_mask_is_told_after_an_export(
    qtbot: QtBot, studio: Studio, flow: ExportFlow, told: list[Any], tmp_path: Path
) -> None:
    folder = make_data_set(tmp_path / "meadow")
    open_paths(qtbot, studio, folder)
    (folder / "images" / "train" / "03.png").write_bytes(b"no picture any more")
    flow.start(project_of(studio), tmp_path / "out", "png")
    qtbot.waitUntil(lambda: len(told) >= 2, timeout=10_000)
    assert isinstance(told[0], PspnetError)
    assert "images/train/03.png" in told[0].detail
    assert "5 masks were written" in told[1]


def test_counting_masks_does_not_look_at_the_disk(
    qtbot: QtBot, studio: Studio, flow: ExportFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    document = studio.session.document
    assert document is not None
    assert flow.num_masks(project_of(studio)) == 0
    studio.tool_state.set_class_id(1)
    document.fill_unlabelled(1)
    studio.session.save_now()
    monkeypatch.setattr(Project, "has_annotation", lambda *_: pytest.fail("looks at the disk"))
    assert flow.num_masks(project_of(studio)) == 1, "also before it is written"
    qtbot.waitUntil(lambda: studio.session.autosave.state == "saved")
    assert flow.num_masks(project_of(studio)) == 1


def test_a_failed_save_ends_the_export(
    qtbot: QtBot, studio: Studio, flow: ExportFlow, told: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    document = studio.session.document
    assert document is not None
    document.fill_unlabelled(1)

    def fail(*_: object) -> None:
        raise PspnetError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(Project, "save_annotation", fail)
        flow.start(project_of(studio), tmp_path / "out", "png")
        assert len(dialogs(studio)) == 1
        qtbot.waitUntil(lambda: "The disk is full." in studio.window.message_bar.text)
        qtbot.waitUntil(lambda: dialogs(studio) == [])
        qtbot.wait(600)  # longer than the patience of the dialog
    assert dialogs(studio) == []
    assert told == []
    assert not (tmp_path / "out").exists()
    flow.start(project_of(studio), tmp_path / "out", "png")
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert told == [f"1 mask was written to {tmp_path / 'out'}."]


def test_cancel_works_also_before_the_job_has_begun(
    qtbot: QtBot, studio: Studio, flow: ExportFlow, told: list[Any], tmp_path: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    document = studio.session.document
    assert document is not None
    document.fill_unlabelled(1)  # has to be saved first
    flow.start(project_of(studio), tmp_path / "out", "png")
    dialogs(studio)[0].canceled.emit()
    qtbot.waitUntil(lambda: studio.session.autosave.state == "saved")
    qtbot.wait(200)
    assert told == []
    assert not (tmp_path / "out").exists()
    assert dialogs(studio) == []


def test_with_nothing_labelled_the_dialog_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = ExportDialog(tmp_path, 0)
    qtbot.addWidget(dialog)
    assert not dialog._export.isEnabled()
    dialog._folder.setText("elsewhere")
    assert not dialog._export.isEnabled()


def test_reading_the_folder_again_finds_new_images_and_retries_thumbnails(
    qtbot: QtBot, studio: Studio, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "meadow")
    broken = folder / "z_broken.png"
    broken.write_bytes(b"")
    open_paths(qtbot, studio, folder)
    thumbnails = studio.window.images_panel._thumbnails
    qtbot.waitUntil(lambda: isinstance(thumbnails.thumbnail("z_broken.png"), PspnetError), timeout=10_000)
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(broken)
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(folder / "late.png")
    studio.window.actions_by_id["rescan"].trigger()
    qtbot.waitUntil(lambda: "late.png" in [item.key for item in project_of(studio).items], timeout=10_000)
    qtbot.waitUntil(lambda: not isinstance(thumbnails.thumbnail("z_broken.png"), PspnetError | None), timeout=10_000)


def test_listeners_of_an_image_are_connected_once_after_a_failed_load(
    qtbot: QtBot, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "meadow")
    open_paths(qtbot, studio, folder)
    document = studio.session.document
    assert document is not None
    for _ in range(2):
        (folder / "photo_1.png").write_bytes(b"")
        changes: list[bool] = []
        studio.session.document_changed.connect(lambda changes=changes: changes.append(True))
        studio.session.go_to("photo_1.png")
        qtbot.waitUntil(lambda changes=changes: bool(changes), timeout=10_000)
    assert studio.session.document is document
    for signal in ("history_changed()", "edited()"):
        before = document.receivers(f"2{signal}")
        studio.session.document_changed.emit()
        assert document.receivers(f"2{signal}") == before


@pytest.mark.parametrize(
    "splits", [{}, {Split.TRAIN: 2}, {Split.TRAIN: 2, Split.TEST: 0}, {Split.TRAIN: 2, Split.VAL: 1}]
)
def test_masks_of_one_split_or_of_several_can_be_exported(
    qtbot: QtBot, tmp_path: Path, splits: dict[Split, int]
) -> None:
    dialog = ExportDialog(tmp_path, 3, splits=splits)
    qtbot.addWidget(dialog)
    export = next(b for b in dialog.findChildren(QPushButton) if b.text() == "Export")
    assert export.isEnabled()
    assert dialog.options["splits"] is None
    boxes = [box for box in dialog.findChildren(QCheckBox) if "(" in box.text()]
    assert len(boxes) == (2 if Split.VAL in splits else 0)
    for box in boxes:
        box.setChecked(False)
    assert export.isEnabled() == (not boxes)
