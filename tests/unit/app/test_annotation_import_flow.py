"""Import from the window: a look first, painted pixels stay, and all of it can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError
from pspnet_core.project.project import Notice, Project
from pspnet_core.types import Provenance
from pspnet_studio.bootstrap import Studio
from pspnet_studio.dialogs.export import ExportDialog
from pspnet_studio.dialogs.import_annotations import ImportAnnotationsDialog
from pspnet_studio.windows.annotation_import_flow import AnnotationImportFlow
from tests.helpers.folders import make_folder
from tests.helpers.formats import export
from tests.helpers.studio import open_paths, running_studio

CLASSES = ClassSet().add("thing", (200, 60, 40), 1).add("sea", (10, 20, 200), 4)


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """COCO annotations of two of the three images: the left half is sea, the right one a thing."""
    make_folder(tmp_path / "theirs", with_classes=False)
    project = Project.open(tmp_path / "theirs")
    project.set_classes(CLASSES)
    class_map = np.full((120, 160), 1, np.uint8)
    class_map[:, :80] = 4
    for key in ("photo_0.png", "photo_1.png"):
        project.save_annotation(project.item(key), class_map, np.full_like(class_map, 2))
    export(project, tmp_path / "coco", "coco")
    return tmp_path / "coco"


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def flow(studio: Studio, told: list[Any]) -> AnnotationImportFlow:
    commands = studio.window.commands
    return AnnotationImportFlow(
        studio.session, studio.window.canvas, commands._steps, commands._convert_flow, studio.window, told.append
    )


def project_of(studio: Studio) -> Project:
    assert studio.session.project is not None
    return studio.session.project


def saved(project: Project, key: str) -> tuple[np.ndarray, np.ndarray]:
    annotation = project.load_annotation(project.item(key), 160, 120)
    return annotation.class_map, annotation.provenance


def test_an_import_reaches_open_and_closed_images_and_is_taken_back(
    qtbot: QtBot, studio: Studio, flow: AnnotationImportFlow, told: list[Any], source: Path, tmp_path: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    document = studio.session.document
    assert document is not None
    document.begin_edit("brush")
    rect = document.rect._replace(h=10)
    document.write(rect, np.ones((10, 160), np.bool_), np.zeros((10, 160), np.uint8), Provenance.PAINTED)
    document.commit_edit()
    flow.start(project_of(studio), source)
    qtbot.waitUntil(lambda: len(told) == 2, timeout=20_000)
    assert told[0] == "2 images were changed. New classes: sea."
    assert isinstance(told[1], Notice)
    assert "labelled by hand" in told[1].detail
    project = project_of(studio)
    assert project.classes.names == ("ground", "thing", "sea")
    assert project.classes[4].color == (10, 20, 200)
    class_map = document.class_plane.to_array()
    assert set(class_map[:10].ravel()) == {0}
    assert set(class_map[10:, :80].ravel()) == {4}
    assert set(document.provenance_plane.to_array()[10:].ravel()) == {Provenance.IMPORTED}
    closed = saved(project, "photo_1.png")
    assert set(closed[0][:, :80].ravel()) == {4}
    assert set(closed[1].ravel()) == {Provenance.IMPORTED}
    studio.window.commands._convert_flow.take_back()
    qtbot.waitUntil(lambda: (saved(project, "photo_1.png")[0] == 255).all(), timeout=20_000)
    assert set(document.class_plane.to_array()[10:].ravel()) == {255}
    assert set(document.class_plane.to_array()[:10].ravel()) == {0}


def test_the_dialog_says_what_would_happen_and_changes_nothing(
    qtbot: QtBot, studio: Studio, flow: AnnotationImportFlow, source: Path, tmp_path: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    project = project_of(studio)
    dialog = ImportAnnotationsDialog(project.classes, studio.window)
    dialog.question_changed.connect(lambda: flow._look(dialog, project))
    assert not dialog._import.isEnabled()
    dialog.set_source(source)
    qtbot.waitUntil(lambda: "38,400 pixels of 2 images would change" in dialog._result.text(), timeout=20_000)
    assert "New classes: sea." in dialog._result.text()
    assert dialog._import.isEnabled()
    boxes = [dialog._list.itemWidget(dialog._list.topLevelItem(n), 1) for n in range(2)]
    assert all(isinstance(box, QComboBox) for box in boxes)
    assert [box.currentText() for box in boxes] == ["thing", "New class: sea"]
    dialog.choose("sea", "")
    qtbot.waitUntil(lambda: "19,200 pixels of 2 images" in dialog._result.text(), timeout=20_000)
    assert project.classes.names == ("ground", "thing")
    dialog.set_source(tmp_path / "nowhere")
    qtbot.waitUntil(lambda: "could not be read" in dialog._result.text(), timeout=20_000)
    assert not dialog._import.isEnabled()
    flow._stop_looking()


def test_an_import_that_fails_is_told(
    qtbot: QtBot, studio: Studio, flow: AnnotationImportFlow, told: list[Any], tmp_path: Path
) -> None:
    open_paths(qtbot, studio, make_folder(tmp_path / "meadow"))
    flow.start(project_of(studio), tmp_path / "nowhere")
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert isinstance(told[0], PspnetError)
    assert "nowhere" in told[0].title


def test_the_export_dialog_tells_what_a_format_keeps(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = ExportDialog(tmp_path, 3)
    qtbot.addWidget(dialog)
    assert not dialog.options["with_images"]
    dialog.set_format("yolo")
    assert dialog.options["with_images"]
    assert "no width" in dialog._keeps.text()
    dialog._tolerance.setValue(1.5)
    assert dialog.options["tolerance_px"] == 1.5
    dialog.set_format("voc")
    assert dialog.options["tolerance_px"] == 0
