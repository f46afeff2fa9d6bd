"""What is on screen, pixel by pixel, against a computation of its own: at all zooms and scale factors.

The pictures come from a real window in a process of its own (``QT_SCALE_FACTOR`` holds for a whole process), out of the
window's backing store: seams between tiles, or a canvas that lies half a pixel beside the screen's grid, would show.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from pspnet_core.sample import CLASSES
from tests.helpers.canvas_snapshot import MARGINS, OPACITY, make_data

ROOT = Path(__file__).resolve().parents[3]
RATIOS = ("1", "1.25", "1.5", "2")
BORDER_PX = 4
"""The outermost pixels of the view and of the image are left out: half covered, or paired with themselves."""

Floats = NDArray[np.float64]


class Layers(NamedTuple):
    """Photograph (H, W, 3), and the overlay: premultiplied colour (H, W, 3) and opacity (H, W, 1), all 0 to 255."""

    photo: Floats
    color: Floats
    alpha: Floats

    def blended(self, outlines: bool) -> Floats:
        opacity = OPACITY**0.25 if outlines else OPACITY  # lines are thin: they are drawn stronger
        return self.photo * (1 - self.alpha / 255 * opacity) + self.color * opacity


@functools.cache
def data() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Photograph, shown class ids, and which of them are predicted."""
    image, class_map, provenance, predicted = make_data()
    is_predicted = provenance == 0
    return image, np.where(is_predicted, predicted, class_map), is_predicted


def is_edge(ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    padded = np.pad(ids, 1, mode="edge")
    neighbours = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    return np.any([n != ids for n in neighbours], axis=0)


def layers(outlines: bool, step: int) -> Layers:
    """Everything at ``1 / step`` of its size: means, but of outlines every n-th pixel."""
    image, ids, is_predicted = data()
    colors = np.zeros((256, 3))
    for c in CLASSES:
        colors[c.index] = c.color
    if outlines:
        ids, is_predicted = ids[::step, ::step], is_predicted[::step, ::step]
    alpha = np.where(ids == 255, 0.0, np.where(is_predicted, 0.6 * 255, 255.0))
    if outlines:
        alpha = alpha * is_edge(ids)
    color = colors[ids] * alpha[..., None] / 255
    alpha = alpha[..., None]
    if not outlines:
        color, alpha = means(color, step), means(alpha, step)
    return Layers(means(image.astype(float), step), color, alpha)


def means(values: Floats, step: int) -> Floats:
    height, width = (-(-n // step) * step for n in values.shape[:2])
    padded = np.pad(values, ((0, height - values.shape[0]), (0, width - values.shape[1]), (0, 0)), mode="edge")
    return padded.reshape(height // step, step, width // step, step, -1).mean(axis=(1, 3))


def interpolated(values: Floats, rows: Floats, columns: Floats) -> Floats:
    """Bilinear, at positions that count from the centre of the first value."""

    def along(values: Floats, at: Floats) -> Floats:
        first = np.clip(np.floor(at).astype(int), 0, len(values) - 2)
        part = np.clip(at - first, 0, 1)[:, None, None]
        return values[first] * (1 - part) + values[first + 1] * part

    return along(along(values, rows).swapaxes(0, 1), columns).swapaxes(0, 1)


def contrasting(pixels: Floats) -> Floats:
    is_light = pixels[..., 1:2] >= 128
    return np.where(is_light, pixels * 0.75, pixels + (255 - pixels) / 4)


class Shot(NamedTuple):
    """A part of the view inside of the image: device rows and columns, and what was on screen there."""

    picture: Floats
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scale: float
    offset: tuple[float, float]

    def centres(self) -> tuple[Floats, Floats]:
        """Rows and columns of the image under the centres of the device pixels."""
        x, y = self.offset
        return (self.rows + 0.5 - y) / self.scale, (self.columns + 0.5 - x) / self.scale


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, NDArray[np.float64]]]:
    found = {}
    for ratio in RATIOS:
        path = tmp_path_factory.mktemp("snapshots") / f"{ratio}.npz"
        environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": ratio}
        command = [sys.executable, "-m", "tests.helpers.canvas_snapshot", str(path)]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        with np.load(path) as stored:
            found[ratio] = dict(stored)
        assert found[ratio]["ratio"] == float(ratio)
    return found


def shot(snapshots: dict[str, dict[str, NDArray[np.float64]]], ratio: str, zoom: float, look: str) -> Shot:
    stored = snapshots[ratio]
    view_w, view_h, scale, offset_x, offset_y = stored[f"{zoom}_{look}_viewport"]
    assert scale == zoom
    image = data()[0]
    # The canvas stands on whole pixels of the screen, wherever its window puts it.
    left, top = (round(m * float(ratio)) for m in MARGINS[:2])
    limits = (view_w, offset_x, image.shape[1]), (view_h, offset_y, image.shape[0])
    spans = []
    for size, offset, length in limits:
        first, stop = max(0, offset) + BORDER_PX, min(size, offset + length * scale) - BORDER_PX
        spans.append(np.arange(int(first), int(stop)))
    columns, rows = spans
    picture = stored[f"{zoom}_{look}_picture"][rows[0] + top :, columns[0] + left :][: len(rows), : len(columns)]
    return Shot(picture.astype(float), rows, columns, scale, (offset_x, offset_y))


def expected_squares(seen: Shot, outlines: bool) -> Floats:
    rows, columns = (np.floor(at).astype(int) for at in seen.centres())
    whole = layers(outlines, 1)
    part = Layers(*(values[rows[:, None], columns] for values in whole)).blended(outlines)
    if seen.scale >= 12:
        before_row, before_column = (
            np.floor((line[0] - 0.5 - offset) / seen.scale).astype(int)
            for line, offset in ((seen.rows, seen.offset[1]), (seen.columns, seen.offset[0]))
        )
        new_row = np.diff(rows, prepend=before_row) != 0
        new_column = np.diff(columns, prepend=before_column) != 0
        line = new_row[:, None] | new_column
        part = np.where(line[..., None], contrasting(part), part)
    return part


@pytest.mark.parametrize("look", ["regions", "outlines"])
@pytest.mark.parametrize("zoom", [1.0, 3.0, 16.0])
@pytest.mark.parametrize("ratio", RATIOS)
def test_squares_are_exact(
    snapshots: dict[str, dict[str, NDArray[np.float64]]], ratio: str, zoom: float, look: str
) -> None:
    seen = shot(snapshots, ratio, zoom, look)
    rows, columns = seen.centres()
    assert rows[0] < 508 < 516 < rows[-1], "a corner between four tiles is in sight"
    assert columns[0] < 508 < 516 < columns[-1]
    error = np.abs(seen.picture - expected_squares(seen, look == "outlines"))
    assert error.max() <= 3


@pytest.mark.parametrize("look", ["regions", "outlines"])
@pytest.mark.parametrize("ratio", RATIOS)
def test_half_size_is_the_mean_of_four(
    snapshots: dict[str, dict[str, NDArray[np.float64]]], ratio: str, look: str
) -> None:
    seen = shot(snapshots, ratio, 0.5, look)
    whole = layers(look == "outlines", 2)
    rows, columns = (np.floor(at / 2).astype(int) for at in seen.centres())
    expected = Layers(*(values[rows[:, None], columns] for values in whole)).blended(look == "outlines")
    assert np.abs(seen.picture - expected).max() <= 4


@pytest.mark.parametrize("look", ["regions", "outlines"])
@pytest.mark.parametrize("ratio", RATIOS)
def test_three_percent_is_smooth_and_lies_where_it_should(
    snapshots: dict[str, dict[str, NDArray[np.float64]]], ratio: str, look: str
) -> None:
    seen = shot(snapshots, ratio, 0.03, look)
    whole = layers(look == "outlines", 32)
    rows, columns = (at / 32 - 0.5 for at in seen.centres())

    def error(down: float, right: float) -> float:
        parts = (interpolated(values, rows + down, columns + right) for values in whole)
        return float(np.abs(seen.picture - Layers(*parts).blended(look == "outlines")).mean())

    assert error(0, 0) < 4
    for shift in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)):
        assert error(*shift) > 1.5 * error(0, 0), f"it lies {shift} of a pixel beside its place"
