"""Predicting folders: which images, what is left alone, and what one image without memory does to the others."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.errors import DataError, DeviceError  # noqa: E402
from pspnet_core.imaging import stamp as stamps  # noqa: E402
from pspnet_core.imaging.class_maps import read_class_map, write_class_map  # noqa: E402
from pspnet_core.inference.folder import (  # noqa: E402
    FolderEvent,
    ImageFailed,
    ImagePredicted,
    check_steps,
    check_targets,
    find_images,
    find_steps,
    output_names,
    predict_files,
)
from pspnet_core.inference.predictor import Predicted, WindowDone  # noqa: E402
from pspnet_core.types import Prediction  # noqa: E402

SIDE = 8
HAND = 77


class Zeros:
    """Predicts class 0 everywhere."""

    checkpoint = SimpleNamespace(classes=ClassSet().add("x"))
    engine = SimpleNamespace(device=torch.device("cpu"))
    description = "v"

    def predict_windows(self, source: Any) -> Iterator[Any]:
        yield WindowDone(1, 1)
        plane = np.zeros((source.height, source.width), np.uint8)
        yield Predicted(Prediction(plane, plane.copy()))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "ab":
        Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(folder / f"{name}.jpg")
    return folder


def begin(photos: Path, out: Path, predictor: Any = None, **options: Any) -> Iterator[FolderEvent]:
    names = output_names(find_images([photos], out))
    check_targets(names, out, False)
    return predict_files(predictor or Zeros(), names, out, **options)


def ends(events: Iterator[FolderEvent]) -> list[FolderEvent]:
    return [event for event in events if isinstance(event, ImagePredicted | ImageFailed)]


def put_map(path: Path, software: str = "") -> None:
    path.parent.mkdir(exist_ok=True)
    write_class_map(path, np.full((SIDE, SIDE), HAND, np.uint8), None, software)


@pytest.mark.parametrize("again", [False, True])
def test_a_file_that_comes_while_others_are_predicted_is_left_alone(photos, tmp_path, again):
    out = tmp_path / "out"
    events = begin(photos, out, again=again)
    while not isinstance(next(events), ImagePredicted):
        pass
    put_map(out / "b.png")
    (failed,) = ends(events)
    assert isinstance(failed, ImageFailed)
    assert failed.image.name == "b.jpg"
    assert (failed.done, failed.total) == (2, 2)
    assert (read_class_map(out / "b.png") == HAND).all()


def test_a_file_that_comes_while_its_image_is_predicted_is_left_alone(photos, tmp_path):
    out = tmp_path / "out"
    events = begin(photos, out)
    next(events)  # the window of a.jpg is done
    put_map(out / "a.png")
    failed, predicted = ends(events)
    assert isinstance(failed, ImageFailed)
    assert isinstance(predicted, ImagePredicted)
    assert (read_class_map(out / "a.png") == HAND).all()


def test_a_map_that_was_corrected_by_an_editor_that_keeps_the_stamp_is_left_alone(photos, tmp_path):
    out = tmp_path / "out"
    assert len(ends(begin(photos, out))) == 2
    with Image.open(out / "b.png") as image:
        software = image.info["Software"]
    events = begin(photos, out, again=True)
    put_map(out / "b.png", software)
    assert [type(event) for event in ends(events)] == [ImagePredicted, ImageFailed]
    assert (read_class_map(out / "b.png") == HAND).all()


def test_confidences_are_checked_too(photos, tmp_path):
    out = tmp_path / "out"
    events = begin(photos, out, confidence=True)
    put_map(out / "a.confidence.png")
    assert [type(event) for event in ends(events)] == [ImageFailed, ImagePredicted]
    assert (read_class_map(out / "a.confidence.png") == HAND).all()
    assert not (out / "a.png").exists()


def test_a_process_looks_at_its_own_targets(photos, tmp_path):
    out = tmp_path / "out"
    put_map(out / "b.png")
    names = output_names(find_images([photos], out))
    first, second = names
    check_targets(names, out, False, own=[first])
    with pytest.raises(DataError, match="in the way"):
        check_targets(names, out, False, own=[second])
    with pytest.raises(DataError, match="in the way"):
        check_targets(names, out, False)


def test_the_images_may_lie_in_the_folder_that_is_written_to(photos, tmp_path):
    names = output_names(find_images([photos], tmp_path))
    assert [str(name) for name in names.values()] == ["a.png", "b.png"]


def test_a_folder_below_the_images_is_no_input(photos):
    put_map(photos / "out" / "x.png")
    assert len(find_images([photos], photos / "out")) == 2
    assert len(find_images([photos], photos / "elsewhere")) == 3


@pytest.mark.parametrize("by_name", [False, True])
def test_class_maps_beside_their_images_are_no_images(photos, by_name):
    put_map(photos / "a.png")  # by another program
    assert len(ends(begin(photos, photos))) == 3
    inputs = sorted(photos.iterdir()) if by_name else [photos]
    found = find_images(inputs, photos)
    assert [image.name for image, _ in found] == ["a.jpg", "a.png", "b.jpg"]


def test_class_maps_beside_their_images_are_there_the_second_time(photos):
    assert [event.was_there for event in ends(begin(photos, photos))] == [False, False]  # type: ignore[union-attr]
    assert [event.was_there for event in ends(begin(photos, photos))] == [True, True]  # type: ignore[union-attr]


def test_looking_is_done_file_by_file(photos, tmp_path):
    for number in range(20):
        (photos / f"{number}.txt").write_text("")
    assert len(list(find_steps([photos], tmp_path / "out"))) == 22
    put_map(tmp_path / "out" / "a.png")
    steps = check_steps(output_names(find_images([photos], tmp_path / "out")), tmp_path / "out", True)
    for _ in range(4):  # two images, two targets: the error comes in the end
        next(steps)
    with pytest.raises(DataError):
        list(steps)


def test_a_png_without_stamp_is_not_decoded(tmp_path, monkeypatch):
    put_map(tmp_path / "plain.png")
    put_map(tmp_path / "stamped.png", stamps.stamp("prediction", np.full((SIDE, SIDE), HAND, np.uint8)))
    put_map(tmp_path / "changed.png", f"{stamps.SOFTWARE} prediction 00000000")
    assert (
        stamps.stamped_kind(tmp_path / "stamped.png") == stamps.claimed_kind(tmp_path / "stamped.png") == "prediction"
    )
    assert stamps.claimed_kind(tmp_path / "changed.png") == "prediction"
    assert stamps.stamped_kind(tmp_path / "changed.png") is None
    assert stamps.stamped_kind(tmp_path / "none.png") is None

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} is decoded")

    monkeypatch.setattr(stamps, "open_raw", refuse)
    assert stamps.stamped_kind(tmp_path / "plain.png") is None
    assert stamps.claimed_kind(tmp_path / "stamped.png") == "prediction"


class Pixels(np.ndarray):
    """An array that can be watched."""


class Short(Zeros):
    """Has no memory for the first image."""

    def __init__(self, error: BaseException) -> None:
        self._error: BaseException | None = error
        self.watched: list[weakref.ref[Any]] = []

    def predict_windows(self, source: Any) -> Iterator[Any]:
        plane = np.zeros((4, 4), np.uint8).view(Pixels)
        self.watched.append(weakref.ref(plane))
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        yield from super().predict_windows(source)


@pytest.mark.parametrize("error", [MemoryError("planes"), RuntimeError("CUDA out of memory.")])
def test_an_image_without_memory_does_not_end_the_others(photos, tmp_path, error):
    predictor = Short(error)
    failed, predicted = ends(begin(photos, tmp_path / "out", predictor))
    assert isinstance(failed, ImageFailed)
    assert isinstance(failed.error, DeviceError)
    assert "memory" in failed.error.title
    assert "a.jpg" in failed.error.title
    assert isinstance(predicted, ImagePredicted)
    assert (tmp_path / "out" / "b.png").exists()


def test_a_failed_image_is_not_kept_in_memory(photos, tmp_path):
    predictor = Short(MemoryError("planes"))
    failed, _ = ends(begin(photos, tmp_path / "out", predictor))
    predictor._error = None
    gc.collect()
    assert isinstance(failed, ImageFailed)
    assert predictor.watched[0]() is None


def test_another_error_is_no_lack_of_memory(photos, tmp_path):
    with pytest.raises(RuntimeError, match="shape"):
        ends(begin(photos, tmp_path / "out", Short(RuntimeError("shape mismatch"))))
