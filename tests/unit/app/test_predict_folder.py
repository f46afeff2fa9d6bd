"""Predicting a folder from the window: the question, the progress, the end, cancelling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QLineEdit, QProgressDialog
from pytestqt.qtbot import QtBot

torch = pytest.importorskip("torch")

from pspnet_core.errors import DataError, PspnetError  # noqa: E402
from pspnet_core.inference.folder import ImageFailed, ImagePredicted  # noqa: E402
from pspnet_core.models import PSPNet, PSPNetConfig  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, save_checkpoint  # noqa: E402
from pspnet_studio.bootstrap import Studio  # noqa: E402
from pspnet_studio.dialogs.predict_folder import PredictFolderDialog  # noqa: E402
from pspnet_studio.jobs.folder_prediction import FolderRequest  # noqa: E402
from pspnet_studio.windows.predict_folder_flow import (  # noqa: E402
    PredictFolderFlow,
    words_of_end,
    words_of_progress,
)
from tests.helpers.folders import make_data_set  # noqa: E402
from tests.helpers.studio import open_paths, running_studio  # noqa: E402


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path) -> Iterator[Studio]:
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        yield studio


@pytest.fixture
def request_(qtbot: QtBot, studio: Studio, tmp_path: Path) -> FolderRequest:
    folder = make_data_set(tmp_path / "discs", train=3, test=1)
    open_paths(qtbot, studio, folder)
    project = studio.session.project
    assert project is not None
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    model = PSPNet(PSPNetConfig.studio_fast(len(project.classes))).eval()
    save_checkpoint(Checkpoint(model, project.classes), path)
    return FolderRequest(path, folder / "images", tmp_path / "out", device="cpu")


def predicted(done: int, left: float | None, was_there: bool = False) -> ImagePredicted:
    return ImagePredicted(Path("a.png"), Path("o/a.png"), None, 1.0, was_there, done, 10, left)


def test_class_maps_are_written_once(qtbot: QtBot, studio: Studio, request_: FolderRequest, tmp_path: Path) -> None:
    told: list[Any] = []
    flow = PredictFolderFlow(studio.session, studio.training, studio.window, told.append)
    flow.start(request_)
    (dialog,) = studio.window.findChildren(QProgressDialog)
    assert dialog.isVisible()
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    assert told == [f"4 class maps were written to {tmp_path / 'out'}."]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4
    flow.start(request_)
    qtbot.waitUntil(lambda: len(told) == 2, timeout=60_000)
    assert told[1] == f"0 class maps were written to {tmp_path / 'out'}. 4 images were predicted before."


def test_cancel_leaves_whole_files(qtbot: QtBot, studio: Studio, request_: FolderRequest, tmp_path: Path) -> None:
    told: list[Any] = []
    flow = PredictFolderFlow(studio.session, studio.training, studio.window, told.append)
    flow.start(request_)
    (dialog,) = studio.window.findChildren(QProgressDialog)
    qtbot.waitUntil(lambda: len(list((tmp_path / "out").rglob("*.png"))) > 0, timeout=60_000)
    dialog.canceled.emit()
    qtbot.waitUntil(lambda: not any("predicting a folder" in name for name in studio.runner.jobs), timeout=20_000)
    assert not told
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_an_empty_folder_is_told(qtbot: QtBot, studio: Studio, request_: FolderRequest, tmp_path: Path) -> None:
    told: list[Any] = []
    (tmp_path / "empty").mkdir()
    flow = PredictFolderFlow(studio.session, studio.training, studio.window, told.append)
    flow.start(FolderRequest(request_.checkpoint, tmp_path / "empty", tmp_path / "out"))
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    assert isinstance(told[0], DataError)


def test_what_was_written_below_the_images_is_not_predicted(
    qtbot: QtBot, studio: Studio, request_: FolderRequest
) -> None:
    told: list[Any] = []
    flow = PredictFolderFlow(studio.session, studio.training, studio.window, told.append)
    inside = FolderRequest(request_.checkpoint, request_.images, request_.images / "out", device="cpu")
    for count in (1, 2):
        flow.start(inside)
        qtbot.waitUntil(lambda count=count: len(told) == count, timeout=60_000)  # type: ignore[misc]
    assert len(list((request_.images / "out").rglob("*.png"))) == 4


def test_the_command_needs_a_version(qtbot: QtBot, studio: Studio, tmp_path: Path) -> None:
    action = studio.window.actions_by_id["predict_folder"]
    assert not action.isEnabled()
    open_paths(qtbot, studio, make_data_set(tmp_path / "discs", train=2, test=1))
    assert not action.isEnabled()


def test_the_dialog_wants_two_folders(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = PredictFolderDialog(tmp_path / "in", tmp_path / "out", 3)
    qtbot.addWidget(dialog)
    assert (dialog.images, dialog.out) == (tmp_path / "in", tmp_path / "out")
    assert not dialog.confidence
    assert not dialog.flip
    start = dialog._start
    assert start.isEnabled()
    dialog.findChildren(QLineEdit)[1].setText("  ")
    assert not start.isEnabled()


def test_words_of_progress() -> None:
    assert words_of_progress(predicted(3, None)) == "3 of 10 images"
    assert words_of_progress(predicted(3, 0.2)) == "3 of 10 images · 1 s left"
    assert words_of_progress(predicted(3, 600)) == "3 of 10 images · 10 min left"
    assert words_of_progress(predicted(10, 0.0)) == "10 of 10 images"


def test_words_of_the_end() -> None:
    failures = [ImageFailed(Path(f"{n}.png"), PspnetError("It is damaged."), n, 9) for n in range(5)]
    request = FolderRequest(Path("c"), Path("i"), Path("/o"))
    error, sentence = words_of_end(Counter({False: 1}), failures, request)
    assert isinstance(error, PspnetError)
    assert error.title == "5 images could not be predicted."
    assert "0.png: It is damaged." in error.detail
    assert "and 2 more" in error.detail
    assert sentence == "1 class map was written to /o."
