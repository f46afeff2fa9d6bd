"""The picture of the open image as the window reads it: by pieces, never decoding."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging import tiff_source
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.imaging.source import ArraySource
from pspnet_core.imaging.tiff_source import TiffSource
from pspnet_core.types import UNLABELLED, Rect
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.jobs.blocks import BlockRequests
from pspnet_studio.jobs.runner import JobRunner
from pspnet_studio.model import pixels as pixels_module
from pspnet_studio.model.document import Document
from pspnet_studio.model.pixels import ImagePixels
from pspnet_studio.model.tool_state import ToolState

HEIGHT, WIDTH = 1500, 2101


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    assert runner.shutdown(5)


@pytest.fixture
def image() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x // 16, y // 16, (x // 64 + y // 64) % 2 * 255], axis=2).astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> TiffSource:
    """Read by pieces; its levels from the third on have to be prepared."""
    monkeypatch.setattr(tiff_source, "_SMALL_PX", 600)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(256, 256), compression="deflate")
    return TiffSource(tmp_path / "a.tif")


def preview_of(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[::32, ::32])


def by_pieces(source: TiffSource, image: np.ndarray, runner: JobRunner) -> ImagePixels:
    return ImagePixels(WIDTH, HEIGHT, preview_of(image), source, runner)


def seen(view: CanvasView) -> np.ndarray:
    grabbed = view.grab().toImage()
    pixels = np.frombuffer(grabbed.constBits(), np.uint8).reshape(grabbed.height(), grabbed.width(), 4)
    return pixels[..., 2::-1].astype(int)


def test_an_image_in_memory_is_there_at_once(image: np.ndarray) -> None:
    pixels = ImagePixels.of_array(image)
    assert pixels.is_loaded
    assert pixels.array is image
    part = pixels.read(Rect(5, 6, 70, 80))
    assert part is not None
    assert np.shares_memory(part, image)
    assert np.array_equal(pixels.reader(Rect(5, 6, 70, 80))(), image[6:86, 5:75])


def test_pieces_are_read_by_another_thread_and_then_there(
    qtbot: QtBot, runner: JobRunner, source: TiffSource, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    read_stored = TiffSource._read_stored

    def spy(self: TiffSource, area: Rect, level: int) -> np.ndarray:
        threads.append(threading.current_thread())
        return read_stored(self, area, level)

    monkeypatch.setattr(TiffSource, "_read_stored", spy)
    pixels = by_pieces(source, image, runner)
    changed: list[Rect] = []
    pixels.changed.connect(changed.append)
    rect = Rect(500, 490, 600, 50)
    assert pixels.read(rect) is None
    assert pixels.array is None
    qtbot.waitUntil(lambda: pixels.read(rect) is not None)
    part = pixels.read(rect)
    assert part is not None
    assert np.array_equal(part, image[rect.slices])
    qtbot.waitUntil(lambda: any(rect.intersect(c) == rect for c in [*changed, _around(changed)]))
    half = Rect(0, 0, 300, 300)
    qtbot.waitUntil(lambda: pixels.read(half, 1) is not None)
    assert threads
    assert threading.main_thread() not in threads


def _around(rects: list[Rect]) -> Rect:
    out = Rect(0, 0, 0, 0)
    for rect in rects:
        out = out.union(rect)
    return out


def test_small_levels_come_together_and_the_smallest_from_the_last(
    qtbot: QtBot, runner: JobRunner, source: TiffSource, image: np.ndarray
) -> None:
    pixels = by_pieces(source, image, runner)
    with qtbot.waitSignal(pixels.changed):  # prepared
        assert pixels.read(Rect(0, 0, 200, 200), 2) is None
    assert source.is_prepared
    for level in (2, 3, 5, 9):
        whole = Rect(0, 0, -(-WIDTH >> level), -(-HEIGHT >> level))
        qtbot.waitUntil(lambda rect=whole, at=level: pixels.read(rect, at) is not None)
        part = pixels.read(whole, level)
        assert part is not None
        assert part.shape == (whole.h, whole.w, 3)
        step = min(1 << level, 1 << source.num_levels - 1)  # from there on, every n-th pixel
        assert abs(int(part[0, 0, 0]) - int(image[:step, :step, 0].mean())) < 2


def test_pieces_stay_within_their_budget(
    qtbot: QtBot, runner: JobRunner, source: TiffSource, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels_module, "_BLOCKS_BYTES", 3 * 512 * 512 * 3)
    pixels = by_pieces(source, image, runner)
    for x in range(0, 2048, 512):
        for y in range(0, 1024, 512):
            rect = Rect(x, y, 64, 64)
            qtbot.waitUntil(lambda at=rect: pixels.read(at) is not None)
    assert sum(block.nbytes for block in pixels._blocks.values()) == pixels._nbytes <= 3 * 512 * 512 * 3


def test_a_part_that_cannot_be_read_is_told_once(
    qtbot: QtBot, runner: JobRunner, source: TiffSource, image: np.ndarray, tmp_path: Path
) -> None:
    pixels = by_pieces(source, image, runner)
    qtbot.waitUntil(lambda: source.is_prepared)
    (tmp_path / "a.tif").unlink()
    errors: list[object] = []
    pixels.failed.connect(errors.append)
    assert pixels.read(Rect(0, 0, 100, 100)) is None
    qtbot.waitUntil(lambda: bool(errors))
    assert pixels.read(Rect(900, 0, 100, 100)) is None
    qtbot.wait(50)
    assert len(errors) == 1
    assert isinstance(errors[0], ImageReadError)


def test_jobs_read_any_part_and_are_told_when_it_is_too_early(
    runner: JobRunner, source: TiffSource, image: np.ndarray
) -> None:
    rect = Rect(700, 800, 90, 60)
    assert np.array_equal(by_pieces(source, image, runner).reader(rect)(), image[rect.slices])
    early = ImagePixels(WIDTH, HEIGHT, preview_of(image))
    read = early.reader(rect)
    with pytest.raises(ImageReadError, match="still being read"):
        read()


def test_requests_are_taken_newest_batch_first_and_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    requests = BlockRequests()
    for n in range(4):
        requests.add((0, 0, n))
    now = 1.0
    for n in range(2):
        requests.add((0, 1, n))
    assert [requests.take() for _ in range(3)] == [(0, 1, 0), (0, 1, 1), (0, 0, 0)]
    for n in range(100):
        requests.add((1, n, 0))
    assert len(requests) == 64
    assert (0, 0, 3) not in [requests.take() for _ in range(64)]
    assert requests.take() is None


# --- on the canvas


def make_view(qtbot: QtBot) -> CanvasView:
    view = CanvasView(ToolState())
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.show()
    return view


def make_document(pixels: ImagePixels) -> Document:
    return Document("a", pixels, PlaneStore(WIDTH, HEIGHT, UNLABELLED), PlaneStore(WIDTH, HEIGHT, 0))


def test_the_canvas_shows_the_preview_and_then_the_pieces(
    qtbot: QtBot, runner: JobRunner, source: TiffSource, image: np.ndarray
) -> None:
    view = make_view(qtbot)
    view.set_document(make_document(by_pieces(source, image, runner)))
    view.set_zoom(1.0)
    area = view.visible_rect()
    coarse = seen(view)
    # Every pixel of the preview stands for 32 x 32.
    assert np.abs(coarse[..., :2] - image[area.slices][..., :2]).max() <= 4
    qtbot.waitUntil(lambda: view.is_complete)
    assert np.array_equal(seen(view), image[area.slices].astype(int))


def test_parts_that_were_forgotten_come_when_they_are_looked_at_again(
    qtbot: QtBot, runner: JobRunner, source: TiffSource, image: np.ndarray
) -> None:
    view = make_view(qtbot)
    pixels = by_pieces(source, image, runner)
    view.set_document(make_document(pixels))
    view.set_zoom(1.0)
    seen(view)
    pixels.pause()
    while pixels._requests.take() is not None:
        pass
    view.set_zoom(2.0)
    view.set_zoom(1.0)
    qtbot.waitUntil(lambda: view.is_complete)
    assert np.array_equal(seen(view), image[view.visible_rect().slices].astype(int))


def test_one_can_paint_before_the_image_is_there_and_it_comes_sharp(qtbot: QtBot, image: np.ndarray) -> None:
    pixels = ImagePixels(WIDTH, HEIGHT, preview_of(image))
    document = make_document(pixels)
    view = make_view(qtbot)
    view.set_document(document)
    view.set_zoom(1.0)
    seen(view)
    assert not view.is_complete
    document.begin_edit("brush")
    document.paint(Rect(10, 10, 5, 5), np.ones((5, 5), np.bool_), 1)
    assert document.commit_edit()
    with pytest.raises(ImageReadError):
        _ = document.image
    with qtbot.waitSignals([pixels.loaded, pixels.changed]):
        pixels.set_source(ArraySource(image))
    qtbot.waitUntil(lambda: view.is_complete)
    assert np.array_equal(seen(view), image[view.visible_rect().slices].astype(int))
    assert document.image is image
