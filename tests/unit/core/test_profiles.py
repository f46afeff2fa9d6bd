"""Colours of other profiles come out as sRGB, by every decoder alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from pspnet_core.imaging import profiles
from pspnet_core.imaging.deep import Window, read_deep
from pspnet_core.imaging.opening import open_source
from pspnet_core.imaging.read import read_draft, read_image
from pspnet_core.types import Rect
from tests.helpers.profiles import encoded, grey_profile, wide_gamut_profile, wide_to_srgb

WIDE = wide_gamut_profile()


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 2 % 255], axis=2).astype(np.uint8)


def check(found: np.ndarray, stored: np.ndarray, tolerance: float = 2.0) -> None:
    """Against the formulas; not where a colour lies beyond what sRGB has: what is done there is a matter of taste."""
    expected = wide_to_srgb(stored.astype(float))
    inside = ((expected > 1) & (expected < 254)).all(axis=-1)
    assert inside.mean() > 0.3
    assert np.abs(found.astype(float) - expected)[inside].max() <= tolerance
    assert np.abs(found.astype(float) - stored)[inside].max() > 20


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_a_wide_gamut_becomes_srgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(scene()).save(path, icc_profile=WIDE, **({"lossless": True} if suffix == "webp" else {}))
    check(read_image(path), scene())


def test_jpeg_files_also_where_they_are_reduced(tmp_path: Path) -> None:
    colors = np.full((1000, 1200, 3), (90, 200, 60), np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(colors).save(path, quality=100, icc_profile=WIDE)
    whole, draft = read_image(path), read_draft(path)
    assert draft is not None
    assert draft.shape[0] < 600
    for pixels in (whole[500, 600], draft[200, 200], read_image(path, max_side=50)[20, 20]):
        assert np.abs(pixels - wide_to_srgb(np.array([90.0, 200, 60]))).max() < 4


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_files_by_pieces_and_as_a_whole(tmp_path: Path, dtype: type, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    values = scene(200, 180).astype(dtype) * (257 if dtype == np.uint16 else 1)
    tag = (34675, 7, len(WIDE), WIDE, True)
    tifffile.imwrite(
        path, values.astype(dtype), photometric="rgb", tile=(64, 64), compression=compression, extratags=[tag]
    )
    whole = read_image(path)
    check(whole, scene(200, 180))
    pieces = open_source(path, whole_px=10)
    np.testing.assert_array_equal(pieces.read(Rect(0, 0, 999, 999)), whole)
    planes = tmp_path / "planes.tif"
    tifffile.imwrite(
        planes, np.moveaxis(values, 2, 0).astype(dtype), photometric="rgb", planarconfig="separate", extratags=[tag]
    )
    np.testing.assert_array_equal(read_image(planes), whole)


def test_pieces_that_pillow_decodes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(scene(200, 180)).save(path, compression="tiff_lzw", icc_profile=WIDE)
    check(read_image(path), scene(200, 180))
    np.testing.assert_array_equal(open_source(path, whole_px=10).read(Rect(0, 0, 999, 999)), read_image(path))


def test_a_window_over_all_sixteen_bits_shows_what_the_network_sees(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tag = (34675, 7, len(WIDE), WIDE, True)
    tifffile.imwrite(path, scene().astype(np.uint16) * 257, photometric="rgb", extratags=[tag])
    shown = read_deep(path).read(Rect(0, 0, 64, 48), Window().table())
    np.testing.assert_array_equal(shown, read_image(path))


def test_grey_values_have_profiles_too(tmp_path: Path) -> None:
    grey, path = scene()[..., 0], tmp_path / "a.png"
    Image.fromarray(grey).save(path, icc_profile=grey_profile(1.0))
    expected = encoded(grey / 255.0)
    assert np.abs(read_image(path) - expected[..., None]).max() <= 1
    with_alpha = np.dstack([grey, np.full_like(grey, 255)])
    Image.fromarray(with_alpha).save(path, icc_profile=grey_profile(1.0))
    assert np.abs(read_image(path) - expected[..., None]).max() <= 1


def test_transparent_and_palette_images_are_converted_before_they_are_laid_over_white(tmp_path: Path) -> None:
    rgba = np.dstack([scene(), np.full((48, 64), 255, np.uint8)])
    rgba[:, 40:, 3] = 0
    path = tmp_path / "a.png"
    Image.fromarray(rgba).save(path, icc_profile=WIDE)
    pixels = read_image(path)
    assert (pixels[:, 40:] == 255).all()
    check(pixels[:, :40], scene()[:, :40])
    few = Image.fromarray(scene()).quantize(64)
    few.save(path, icc_profile=WIDE)
    check(read_image(path), np.asarray(few.convert("RGB")))


def test_the_pixels_of_srgb_stay_as_they_are(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for suffix in ("png", "tif"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(scene()).save(path, icc_profile=srgb)
        np.testing.assert_array_equal(read_image(path), scene())


@pytest.mark.parametrize("profile", [b"no profile", WIDE[:200], grey_profile(1.0)])
def test_a_damaged_profile_or_one_of_other_channels_is_left_aside(tmp_path: Path, profile: bytes) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(scene()).save(path, icc_profile=profile)
    np.testing.assert_array_equal(read_image(path), scene())


def test_a_transform_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, build = [], ImageCms.buildTransform

    def counted(*args: object) -> object:
        made.append(args)
        return build(*args)

    monkeypatch.setattr(ImageCms, "buildTransform", counted)
    profiles._transform.cache_clear()
    for n in range(3):
        path = tmp_path / f"{n}.png"
        Image.fromarray(scene()).save(path, icc_profile=WIDE)
        read_image(path)
    assert len(made) == 1


@pytest.mark.parametrize("is_adobe", [False, True])
def test_inks_of_a_jpeg_also_as_adobe_turns_them(tmp_path: Path, is_adobe: bool) -> None:
    """A JPEG of inks by Adobe's programs holds 255 for "no ink", and says so in a marker of its own."""
    path = tmp_path / "a.jpg"
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    if is_adobe:
        inks.save(path, quality=100)
        assert b"Adobe" in path.read_bytes()[:200]
    else:
        inverted = Image.merge("CMYK", [band.point(lambda v: 255 - v) for band in inks.split()])
        inverted.save(path, quality=100)  # Pillow turns them once more, so these are plain
        data = path.read_bytes()
        at = data.index(b"\xff\xee")
        path.write_bytes(data[:at] + data[at + 16 :])
    assert np.abs(read_image(path).astype(int) - [255, 0, 0]).max() < 6


def test_lab_values_become_colours(tmp_path: Path) -> None:
    lab = np.zeros((4, 4, 3), np.uint8)
    lab[..., 0] = 255
    lab[2:, :, 0] = 0
    path = tmp_path / "a.tif"
    Image.frombytes("LAB", (4, 4), lab.tobytes()).save(path)
    pixels = read_image(path)
    assert pixels[:2].min() > 250
    assert pixels[2:].max() < 6
