"""16-bit values: read whole, shown through a window; over the full range as the rest of the program sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.deep import MAX_VALUE, DeepImage, Window, read_deep
from pspnet_core.imaging.read import read_bits, read_image, read_info
from pspnet_core.types import Rect

COLORS = np.random.default_rng(0).integers(0, 65536, (24, 40, 3), np.uint16)
GREY = COLORS[..., 0]
FULL = Window().table()


def write(path: Path, kind: str) -> Path:
    match kind:
        case "grey.png":
            Image.fromarray(GREY).save(path)
        case "rgb.png":
            cv2.imwrite(str(path), COLORS[..., ::-1])
        case "rgba.png":
            alpha = np.full((24, 40, 1), 65535, np.uint16)
            cv2.imwrite(str(path), np.concatenate([COLORS[..., ::-1], alpha], axis=2))
        case "grey.tif":
            Image.fromarray(GREY).save(path)
        case "grey-lzw.tif":
            Image.fromarray(GREY).save(path, compression="tiff_lzw")
        case "rgb.tif":
            tifffile.imwrite(path, COLORS, photometric="rgb")
        case "rgb-planes.tif":
            tifffile.imwrite(path, np.moveaxis(COLORS, 2, 0), photometric="rgb", planarconfig="separate")
        case "rgb-turned.tif":
            tifffile.imwrite(path, COLORS, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
        case "rgb-lzw.tif":
            cv2.imwrite(str(path), COLORS[..., ::-1])
    return path


KINDS = ["grey.png", "rgb.png", "rgba.png", "grey.tif", "grey-lzw.tif", "rgb.tif", "rgb-planes.tif", "rgb-lzw.tif"]


@pytest.mark.parametrize("kind", [*KINDS, "rgb-turned.tif"])
def test_over_the_full_range_it_shows_what_everything_else_reads(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / kind, kind)
    info = read_info(path)
    assert (info.bits, read_bits(path)) == (16, 16)
    deep = read_deep(path)
    assert deep.shape == (info.height, info.width)
    whole = deep.read(Rect(0, 0, info.width, info.height), FULL)
    np.testing.assert_array_equal(whole, read_image(path))


@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_is_lost(tmp_path: Path, kind: str) -> None:
    deep = read_deep(write(tmp_path / kind, kind))
    low_byte = np.tile(np.arange(256, dtype=np.uint8), 256)
    expected = COLORS if "rgb" in kind else np.repeat(GREY[..., None], 3, axis=2)
    part = Rect(3, 2, 20, 10)
    np.testing.assert_array_equal(deep.read(part, low_byte), (expected[part.slices] & 255).astype(np.uint8))
    np.testing.assert_array_equal(deep.thinned(4, low_byte), (expected[::4, ::4] & 255).astype(np.uint8))


def test_pages_of_a_tiff_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(COLORS, photometric="rgb")
        writer.write(COLORS[:10, :12], photometric="rgb")
    assert read_deep(path, 1).shape == (10, 12)


def test_eight_bits_and_damage_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "eight.png"
    Image.new("RGB", (4, 4)).save(path)
    assert read_bits(path) == 8
    with pytest.raises(ImageReadError, match="8 bits"):
        read_deep(path)
    path = write(tmp_path / "cut.png", "rgb.png")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ImageReadError):
        read_deep(path)


def test_alpha_lies_over_white_whatever_the_window() -> None:
    values = np.zeros((1, 2, 4), np.uint16)
    values[0, 1, 3] = 65535
    shown = DeepImage(values, has_alpha=True).read(Rect(0, 0, 2, 1), Window(100, 200).table())
    assert shown.tolist() == [[[255, 255, 255], [0, 0, 0]]]


@given(low=st.integers(0, MAX_VALUE - 1), width=st.integers(1, MAX_VALUE))
def test_a_window_rises_from_black_to_white(low: int, width: int) -> None:
    window = Window(low, min(MAX_VALUE, low + width))
    table = window.table().astype(int)
    assert (np.diff(table) >= 0).all()
    assert (table[: window.low + 1] == 0).all()
    assert (table[window.high :] >= 128).all()
    if window.high - window.low >= 255:
        assert (table[window.high :] == 255).all()


def test_the_full_window_is_the_high_byte() -> None:
    np.testing.assert_array_equal(FULL, (np.arange(65536) >> 8).astype(np.uint8))
    assert Window().is_full
    assert not Window(0, 4095).is_full


def test_auto_finds_twelve_bits_and_leaves_out_specks() -> None:
    values = np.random.default_rng(1).integers(500, 4096, (300, 400), np.uint16)
    values[0, 0] = 65535
    window = DeepImage(values).auto_window()
    assert 500 <= window.low < 600
    assert 3900 < window.high < 4096
    assert DeepImage(np.full((4, 4), 7, np.uint16)).auto_window() == Window(7, 8)
    assert DeepImage(np.full((4, 4), 65535, np.uint16)).auto_window() == Window(65534, 65535)


def test_histogram_counts_colours_without_alpha() -> None:
    values = np.zeros((2, 3, 4), np.uint16)
    values[..., 3] = 65535
    values[0, 0, 0] = 65535
    deep = DeepImage(values, has_alpha=True)
    assert deep.histogram(4).tolist() == [17, 0, 0, 1]
    assert deep.histogram(2, stop=100).tolist() == [17, 0]
    assert deep.max_value == 65535


@pytest.mark.parametrize(("low", "high"), [(5, 5), (-1, 4), (3, 65536)])
def test_impossible_windows_are_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="window"):
        Window(low, high)
    assert 0 <= Window.between(low, high).low < Window.between(low, high).high <= MAX_VALUE
