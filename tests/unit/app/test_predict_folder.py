"""Predicting a folder from the window: the question, the progress, the end, cancelling."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QLineEdit, QProgressDialog
from pytestqt.qtbot import QtBot

torch = pytest.importorskip("torch")

from pspnet_core.errors import DataError, PspnetError, StorageError  # noqa: E402
from pspnet_core.inference.folder import ImageFailed, ImagePredicted  # noqa: E402
from pspnet_core.models import PSPNet, PSPNetConfig  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, save_checkpoint  # noqa: E402
from pspnet_studio.bootstrap import Studio  # noqa: E402
from pspnet_studio.dialogs.predict_folder import PredictFolderDialog  # noqa: E402
from pspnet_studio.jobs.folder_prediction import (  # noqa: E402
    FolderRequest,
    FolderWork,
    look_at_folder,
    predict_folder,
)
from pspnet_studio.windows import predict_folder_flow  # noqa: E402
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


def test_failures_are_told_when_the_disk_is_full_in_the_end(
    qtbot: QtBot, studio: Studio, request_: FolderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(request: FolderRequest, work: FolderWork) -> Iterator[Any]:
        yield ImageFailed(Path("a.png"), PspnetError("It is damaged."), 1, 3)
        yield predicted(2, None)
        raise StorageError("The disk is full.")

    monkeypatch.setattr(predict_folder_flow, "predict_folder", full)
    told: list[Any] = []
    flow = PredictFolderFlow(studio.session, studio.training, studio.window, told.append)
    flow.start(request_)
    qtbot.waitUntil(lambda: len(told) == 3, timeout=60_000)
    failed, written, error = told
    assert failed.title == "1 image could not be predicted."
    assert written.startswith("1 class map was written")
    assert error.title == "The disk is full."


def test_the_folder_is_looked_at_outside_of_the_torch_lane(
    qtbot: QtBot, studio: Studio, request_: FolderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: list[str] = []

    def look(request: FolderRequest) -> Iterator[Any]:
        lanes.append(threading.current_thread().name)
        yield FolderWork({}, False)

    def predict(request: FolderRequest, work: FolderWork) -> Iterator[Any]:
        lanes.append(threading.current_thread().name)
        yield None

    monkeypatch.setattr(predict_folder_flow, "look_at_folder", look)
    monkeypatch.setattr(predict_folder_flow, "predict_folder", predict)
    told: list[Any] = []
    PredictFolderFlow(studio.session, studio.training, studio.window, told.append).start(request_)
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    assert lanes == ["lane-io", "lane-torch"]


def test_looking_yields_after_each_file(request_: FolderRequest) -> None:
    *steps, work = look_at_folder(request_)
    assert len(steps) >= 3 * 4  # found, compared, looked at what is there
    assert all(step is None for step in steps)
    assert isinstance(work, FolderWork)
    assert len(work.names) == 4
    assert not work.is_much


@pytest.mark.parametrize("is_much", [False, True])
def test_the_fastest_way_to_compute_is_looked_for_where_there_is_much_to_do(
    request_: FolderRequest, monkeypatch: pytest.MonkeyPatch, is_much: bool
) -> None:
    from pspnet_core.inference import engines, folder

    tuned: list[bool] = []
    steps = engines.engine_steps

    def spy(*args: Any) -> Iterator[Any]:
        tuned.append(True)
        yield from steps(*args)

    monkeypatch.setattr(engines, "engine_steps", spy)
    if is_much:
        monkeypatch.setattr(folder, "_MUCH_FILES", 4)
    *_, work = look_at_folder(request_)
    assert work is not None
    assert len([event for event in predict_folder(request_, work) if isinstance(event, ImagePredicted)]) == 4
    assert tuned == [True] * is_much


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
