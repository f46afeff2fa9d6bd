"""Images are opened in steps, as a whole or by pieces."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging import opening
from pspnet_core.imaging.opening import file_version, open_source, open_steps, read_small
from pspnet_core.imaging.read import read_draft, read_image
from pspnet_core.imaging.source import ArraySource
from pspnet_core.imaging.tiff_source import TiffSource


def picture(height: int = 1500, width: int = 2000) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, x * 0], axis=2).astype(np.uint8)


def test_a_jpeg_comes_reduced_first(tmp_path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(picture()).save(path)
    first, last = open_steps(path)
    assert (first.width, first.height, first.source) == (2000, 1500, None)
    assert first.preview is not None
    assert first.preview.shape == (375, 500, 3)
    assert np.abs(first.preview.astype(int) - picture()[::4, ::4]).mean() < 3
    assert isinstance(last.source, ArraySource)
    np.testing.assert_array_equal(last.source.image, read_image(path))


def test_a_turned_jpeg_is_turned_in_both_steps(tmp_path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=exif)
    first, last = open_steps(tmp_path / "a.jpg")
    assert first.preview is not None
    assert last.source is not None
    assert (first.width, first.height) == (last.source.width, last.source.height) == (1500, 2000)
    assert first.preview.shape == (500, 375, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_small_images_and_other_formats_come_at_once(tmp_path, suffix) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture(300, 400)).save(path)
    (only,) = open_steps(path)
    assert only.source is not None
    assert read_draft(path) is None


def test_a_tiff_of_middle_size_comes_reduced_first(tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(256, 256))
    first, last = open_steps(path)
    assert first.preview is not None
    assert max(first.preview.shape) == 1024
    assert isinstance(last.source, ArraySource)


def test_a_large_tiff_is_read_by_pieces_and_other_files_as_a_whole(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", picture(), photometric="rgb", tile=(256, 256))
    (only,) = open_steps(tmp_path / "a.tif", whole_px=1_000_000)
    assert isinstance(only.source, TiffSource)
    assert only.preview is not None
    assert isinstance(open_source(tmp_path / "a.tif", whole_px=1_000_000), TiffSource)
    assert isinstance(open_source(tmp_path / "a.tif"), ArraySource)
    Image.fromarray(picture()).save(tmp_path / "a.png")
    assert isinstance(open_source(tmp_path / "a.png", whole_px=1_000_000), ArraySource)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_what_does_not_fit_into_memory_says_so(tmp_path, monkeypatch, suffix) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path)
    monkeypatch.setattr(opening, "available_memory", lambda: 10_000_000)
    for function in (lambda: list(open_steps(path)), lambda: open_source(path)):
        with pytest.raises(ImageReadError, match="not enough memory") as caught:
            function()
        assert "2000 × 1500" in caught.value.detail
        assert caught.value.remedy


@pytest.mark.parametrize("whole_px", [1_000_000, opening.WHOLE_PX])
def test_a_tiff_that_was_cut_off_says_so(tmp_path, whole_px) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(256, 256))
    path.write_bytes(path.read_bytes()[:4_000_000])
    with pytest.raises(ImageReadError) as caught:
        list(open_steps(path, whole_px=whole_px))
    assert caught.value.remedy


def test_a_small_picture_of_a_large_tiff_does_not_decode_all_of_it(tmp_path, monkeypatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", picture(), photometric="rgb", tile=(256, 256))
    Image.fromarray(picture()).save(tmp_path / "a.jpg")
    small = read_small(tmp_path / "a.jpg", 0, 128)
    assert small.shape == (96, 128, 3)
    monkeypatch.setattr(opening, "read_image", None)
    assert np.abs(read_small(tmp_path / "a.tif", 0, 128).astype(int) - small).mean() < 8


def test_a_file_has_another_version_when_it_was_written_again(tmp_path) -> None:
    path = tmp_path / "a.txt"
    assert file_version(path) is None
    path.write_text("a")
    before = file_version(path)
    assert before == file_version(path)
    path.write_text("ab")
    assert file_version(path) != before
