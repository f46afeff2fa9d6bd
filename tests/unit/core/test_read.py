"""Every kind of image file gives the right pixels or a clear message."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging import decoding, read
from pspnet_core.imaging.read import oriented, read_image, read_info
from pspnet_core.imaging.source import ArraySource
from pspnet_core.types import Rect

LOSSLESS = {"png": {}, "tif": {}, "bmp": {}, "webp": {"lossless": True, "exact": True}}


def scene(height=24, width=40) -> np.ndarray:
    """Smooth, without symmetry, so that JPEG keeps it and every turn of it is another picture."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 2], axis=2).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_give_the_exact_pixels(tmp_path, suffix) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(scene()), **LOSSLESS[suffix])
    pixels = read_image(path)
    np.testing.assert_array_equal(pixels, scene())
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    info = read_info(path)
    assert (info.width, info.height, info.bits, info.orientation, info.num_pages) == (40, 24, 8, 1, 1)


def test_jpeg_is_close_and_reduced_decoding_keeps_shape_and_colours(tmp_path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(scene(480, 800)), quality=95)
    assert np.abs(read_image(path).astype(int) - scene(480, 800)).mean() < 3
    small = read_image(path, max_side=100)
    assert small.shape == (60, 100, 3)
    reference = np.array(Image.fromarray(scene(480, 800)).resize((100, 60), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - reference).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix) -> None:
    """The stored pixels are made with Pillow's own inverse, so that the upright picture must come back."""
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    upright = Image.fromarray(scene())
    stored = upright.transpose(inverse[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[274] = orientation
    path = save(tmp_path / f"a.{suffix}", stored, exif=exif, **LOSSLESS.get(suffix, {"quality": 100}))
    assert np.abs(read_image(path).astype(int) - scene()).mean() < 3
    info = read_info(path)
    assert (info.width, info.height, info.orientation) == (40, 24, orientation)
    assert info.stored_size == stored.size
    assert read_image(path, max_side=20).shape == (12, 20, 3)
    np.testing.assert_array_equal(oriented(np.asarray(stored), orientation), scene())


def test_unknown_orientation_is_ignored_or_refused(tmp_path) -> None:
    exif = Image.Exif()
    exif[274] = 77
    path = save(tmp_path / "a.png", Image.fromarray(scene()), exif=exif)
    assert read_info(path).orientation == 1
    with pytest.raises(ValueError, match="1 to 8"):
        oriented(scene(), 9)


def test_grey_palette_bilevel_and_one_pixel(tmp_path) -> None:
    grey = scene()[..., 0]
    np.testing.assert_array_equal(
        read_image(save(tmp_path / "l.png", Image.fromarray(grey))), np.repeat(grey[..., None], 3, 2)
    )
    palette = Image.fromarray(scene() // 64 * 64).quantize(256)
    np.testing.assert_array_equal(read_image(save(tmp_path / "p.png", palette)), np.array(palette.convert("RGB")))
    black_white = Image.fromarray(grey > 100)
    assert set(np.unique(read_image(save(tmp_path / "1.png", black_white)))) == {0, 255}
    for suffix in ("png", "jpg", "tif", "bmp", "webp"):
        dot = save(tmp_path / f"dot.{suffix}", Image.new("RGB", (1, 1), (200, 200, 200)))
        assert read_image(dot).shape == (1, 1, 3)
        assert read_image(dot, max_side=1).shape == (1, 1, 3)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_transparency_is_laid_over_white(tmp_path, suffix) -> None:
    rgba = np.dstack([scene(), np.full((24, 40), 255, np.uint8)])
    rgba[:, :20, 3] = 0
    pixels = read_image(save(tmp_path / f"a.{suffix}", Image.fromarray(rgba), **LOSSLESS[suffix]))
    assert (pixels[:, :20] == 255).all()
    np.testing.assert_array_equal(pixels[:, 20:], scene()[:, 20:])


def test_transparent_colour_of_a_palette_is_laid_over_white(tmp_path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    pixels = read_image(save(tmp_path / "a.png", image, transparency=0))
    assert pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_cmyk(tmp_path) -> None:
    for suffix in ("jpg", "tif"):
        path = save(tmp_path / f"a.{suffix}", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
        assert np.abs(read_image(path).astype(int) - [255, 0, 0]).max() < 6


def test_sixteen_bits_become_eight_by_the_high_byte(tmp_path) -> None:
    grey = (np.arange(24 * 40).reshape(24, 40) * 68).astype(np.uint16)
    expected = np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, 2)
    for suffix in ("png", "tif"):
        path = save(tmp_path / f"g.{suffix}", Image.fromarray(grey))
        np.testing.assert_array_equal(read_image(path), expected)
        assert read_info(path).bits == 16


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_of_either_layout(tmp_path, dtype, planar, bigtiff) -> None:
    colors = scene().astype(dtype) * (257 if dtype == np.uint16 else 1)
    colors = colors.astype(dtype)
    path = tmp_path / "a.tif"
    data = np.moveaxis(colors, 2, 0) if planar == "separate" else colors
    tifffile.imwrite(path, data, photometric="rgb", planarconfig=planar, bigtiff=bigtiff)
    np.testing.assert_array_equal(read_image(path), scene())
    info = read_info(path)
    assert (info.width, info.height) == (40, 24)
    assert read_image(path, max_side=10).shape == (6, 10, 3)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_more_bands_show_the_first_three(tmp_path, planar) -> None:
    bands = np.concatenate([scene(), scene()[..., ::-1]], axis=2).astype(np.uint16) * 257
    data = np.moveaxis(bands, 2, 0) if planar == "separate" else bands
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(read_image(path), scene())


def test_sixteen_bit_alpha_in_planes_is_laid_over_white(tmp_path) -> None:
    alpha = np.full((24, 40, 1), 255, np.uint8)
    alpha[:5] = 0
    planes = np.moveaxis(np.dstack([scene(), alpha]).astype(np.uint16) * 257, 2, 0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"])
    pixels = read_image(path)
    assert (pixels[:5] == 255).all()
    np.testing.assert_array_equal(pixels[5:], scene()[5:])


def test_pages_of_a_tiff(tmp_path) -> None:
    path = tmp_path / "a.tif"
    second = Image.fromarray(255 - scene(10, 12))
    Image.fromarray(scene()).save(path, save_all=True, append_images=[second])
    assert read_info(path).num_pages == 2
    assert read_info(path, page=1).width == 12
    np.testing.assert_array_equal(read_image(path, page=1), np.asarray(second))
    for reader in (read_info, read_image):
        with pytest.raises(ImageReadError, match="no page 3"):
            reader(path, page=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint32, np.int16])
def test_numbers_without_a_fixed_range_are_stretched(tmp_path, dtype) -> None:
    path, values = tmp_path / "a.tif", np.array([[-100, 0], [100, 300]])
    if dtype == np.uint32:
        values = values + 1000
    tifffile.imwrite(path, values.astype(dtype))
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 64], [128, 255]])
    assert read_info(path).bits == np.dtype(dtype).itemsize * 8
    assert read_image(path, max_side=1).shape == (1, 1, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int16])
def test_numbers_within_eight_bits_stay(tmp_path, dtype) -> None:
    path, values = tmp_path / "a.tif", np.array([[3, 200], [100, 7]])
    tifffile.imwrite(path, values.astype(dtype))
    np.testing.assert_array_equal(read_image(path)[..., 1], values)


def test_floats_from_zero_to_one_are_colours(tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, scene().astype(np.float32) / 255, photometric="rgb")
    np.testing.assert_array_equal(read_image(path), scene())


def test_what_was_not_measured_is_black_and_does_not_count(tmp_path) -> None:
    values = np.array([[np.nan, -9999, 1000], [3000, -np.inf, 2000]], np.float32)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, extratags=[(42113, 2, 6, "-9999", True)])
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 0, 0], [255, 0, 128]])
    tifffile.imwrite(path, np.full((2, 2), np.nan, np.float32))
    assert not read_image(path).any()
    two = np.stack([values, values], axis=-1)  # not by Pillow
    tifffile.imwrite(
        path, two, planarconfig="contig", photometric="minisblack", extratags=[(42113, 2, 6, "-9999", True)]
    )
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 0, 0], [255, 0, 128]])


def test_complex_numbers_are_refused(tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((4, 4), np.complex64))
    with pytest.raises(ImageReadError, match="cannot be shown"):
        read_image(path)


def test_the_orientation_of_a_png_is_found_without_decoding_it(tmp_path, monkeypatch) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = save(tmp_path / "a.png", Image.fromarray(scene()), exif=exif)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    size = 12 + int.from_bytes(data[start : start + 4], "big")
    chunk, rest = data[start : start + size], data[:start] + data[start + size :]
    end = rest.index(b"IEND") - 4
    path.write_bytes(rest[:end] + chunk + rest[end:])  # behind the pixels, where the standard allows it, too
    plain = save(tmp_path / "plain.png", Image.fromarray(scene()))

    def fail(*args: object) -> None:
        raise AssertionError("it was decoded")

    with monkeypatch.context() as patched:
        patched.setattr(PngImagePlugin.PngImageFile, "load", fail)
        info = read_info(path)
        assert read_info(plain).orientation == 1
    assert (info.width, info.height, info.orientation) == (24, 40, 6)
    np.testing.assert_array_equal(read_image(path), oriented(scene(), 6))


def test_wrong_suffix_is_no_hindrance(tmp_path) -> None:
    save(tmp_path / "a.png", Image.fromarray(scene())).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), scene())


@pytest.mark.parametrize("reader", [read_info, read_image])
def test_missing_empty_and_foreign_files_say_so(tmp_path, reader) -> None:
    with pytest.raises(ImageReadError, match="not there any more"):
        reader(tmp_path / "gone.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(ImageReadError, match=r"empty\.jpg is empty"):
        reader(tmp_path / "empty.jpg")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ImageReadError, match=r"text\.png could not be read"):
        reader(tmp_path / "text.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageReadError) as caught:
        reader(tmp_path / "folder.png")
    assert caught.value.title
    assert caught.value.detail
    assert caught.value.remedy


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
def test_truncated_files_say_so(tmp_path, suffix) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(scene(200, 300)))
    data = path.read_bytes()
    for share in (0.02, 0.3, 0.8):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ImageReadError) as caught:
            read_image(path)
        assert caught.value.remedy


def test_truncated_tiff_of_planes_says_so(tmp_path) -> None:
    path = tmp_path / "a.tif"
    planes = np.moveaxis(scene(200, 300).astype(np.uint16), 2, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageReadError):
        read_image(path)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]), st.data())
def test_damaged_bytes_give_an_image_or_a_message(tmp_path_factory, form, data) -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(scene()).save(stream, form, **({} if form == "BMP" else {"exif": exif}))
    damaged = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, min(300, len(damaged) - 1)))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged.{form.lower()}"
    path.write_bytes(damaged)
    for reader in (read_info, read_image):
        try:
            reader(path)
        except ImageReadError:
            continue  # any other exception fails the test


def test_a_tiff_with_empty_strips_says_so(tmp_path) -> None:
    """Found by flipping bytes: zero rows per strip make a decoder divide by zero."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, scene().astype(np.uint16), photometric="rgb", planarconfig="contig")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags["RowsPerStrip"]
        data[tag.valueoffset : tag.valueoffset + 2] = b"\0\0"
    path.write_bytes(data)
    try:
        assert read_image(path).shape == (24, 40, 3)
    except ImageReadError:
        return  # either is right; another exception is not


def test_decompression_bomb_names_size_and_limit(tmp_path, monkeypatch) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(scene()))
    monkeypatch.setattr(decoding, "MAX_PIXELS", 900)
    for reader in (read_info, read_image):
        with pytest.raises(ImageReadError, match="too large") as caught:
            reader(path)
        assert "40 × 24" in caught.value.detail
        assert "limit" in caught.value.detail
        assert "PSPNET_STUDIO_MAX_MEGAPIXELS" in caught.value.remedy
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(ImageReadError, match="too large"):
        read_image(path)


@pytest.mark.parametrize(
    ("variable", "limit"), [("0", 512 * 1024 * 1024), ("x", 512 * 1024 * 1024), ("2000", 2 * 10**9)]
)
def test_the_limit_of_pixels_can_be_raised(variable, limit) -> None:
    code = "from pspnet_core.imaging import decoding; print(decoding.MAX_PIXELS)"
    environment = {**os.environ, decoding.PIXELS_VARIABLE: variable}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(result.stdout) == limit


def test_a_bomb_of_metadata_names_the_limit(tmp_path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", " " * (decoding.MAX_METADATA_MB * 1_000_000 + 1), zip=True)
    path = save(tmp_path / "a.png", Image.fromarray(scene()), pnginfo=text)
    assert path.stat().st_size < 100_000
    with pytest.raises(ImageReadError, match="texts and profiles") as caught:
        read_image(path)
    assert "16 MB" in caught.value.detail
    assert "PSPNET_STUDIO_MAX_METADATA_MB" in caught.value.remedy


@pytest.mark.parametrize("error", [TypeError, AttributeError, KeyError, AssertionError, RuntimeError, ValueError])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_fault_of_our_own_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch, error, suffix) -> None:
    def fail(*args: object) -> None:
        raise error("ours")

    image = scene(8, 12)
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        Image.fromarray(image).save(path)
    else:  # separate 16-bit planes: read by tifffile
        planes = np.moveaxis(image.astype(np.uint16) << 8, -1, 0)
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(path), image)
    monkeypatch.setattr(read, "oriented", fail)
    with pytest.raises(error, match="ours"):
        read_image(path)
    monkeypatch.setattr(read, "check_size", fail)
    for function in (read_info, read_image):
        with pytest.raises(error, match="ours"):
            function(path)


def test_max_side_must_be_positive(tmp_path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        read_image(tmp_path / "a.png", max_side=0)


def test_array_source_reads_rectangles_and_levels() -> None:
    image = scene(700, 1101)
    source = ArraySource(image)
    assert (source.width, source.height, source.num_levels) == (1101, 700, 3)
    np.testing.assert_array_equal(source.read(Rect(1000, 690, 500, 500)), image[690:, 1000:])
    half = source.read(Rect(0, 0, 10_000, 10_000), level=1)
    assert half.shape == (350, 551, 3)
    assert half[3, 4].tolist() == np.rint(image[6:8, 8:10].mean((0, 1)) + 0.01).astype(int).tolist()
    assert source.read(source_rect := Rect(0, 0, 276, 175), level=2).shape == (source_rect.h, source_rect.w, 3)
    with pytest.raises(ValueError, match="level"):
        source.read(Rect(0, 0, 1, 1), level=3)
    with pytest.raises(ValueError, match="uint8"):
        ArraySource(np.zeros((4, 4), np.uint8))
