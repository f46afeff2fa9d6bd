"""TIFF files by pieces: the same pixels as the whole, and no more of the file than is needed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging import tiff_pages, tiff_source
from pspnet_core.imaging.decoding import DecoderError
from pspnet_core.imaging.read import read_image
from pspnet_core.imaging.source import ArraySource
from pspnet_core.imaging.tiff_source import NotInPiecesError, TiffSource
from pspnet_core.types import Rect

EVERYTHING = Rect(0, 0, 10_000, 10_000)


def scene(height: int = 300, width: int = 421) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x * y) % 251], axis=2).astype(np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(scene(height, width) // np.array([1, 1, 255], np.uint8))


def check_like_whole(path: Path) -> TiffSource:
    source, whole = TiffSource(path), read_image(path)
    assert (source.width, source.height) == (whole.shape[1], whole.shape[0])
    np.testing.assert_array_equal(source.read(EVERYTHING), whole)
    np.testing.assert_array_equal(source.read(Rect(-5, 200, 90, 900)), whole[200:, :85])
    np.testing.assert_array_equal(source.read(Rect(100, 33, 150, 61)), whole[33:94, 100:250])
    return source


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "deflate", "lzma"])
@pytest.mark.parametrize("tile", [None, (64, 48)])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_all_layouts_give_the_pixels_of_the_whole(tmp_path, dtype, planar, tile, compression, order) -> None:
    values = scene().astype(dtype)
    values *= 257 if dtype == np.uint16 else 1
    data = np.moveaxis(values, 2, 0) if planar == "separate" else values
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        data,
        photometric="rgb",
        planarconfig=planar,
        tile=tile,
        compression=compression,
        byteorder=order,
        bigtiff=order == "<",
        rowsperstrip=None if tile else 37,
        predictor=compression == "deflate" and planar == "contig",
    )
    check_like_whole(path)


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits", None])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "LA", "1", "YCbCr"])
def test_all_kinds_of_colours_come_out_as_of_the_whole(tmp_path, mode, compression) -> None:
    if compression == "jpeg" and mode in ("P", "1"):
        pytest.skip("there is no such file")
    picture = Image.fromarray(scene())
    if mode in ("RGBA", "LA"):
        picture.putalpha(Image.fromarray(scene()[..., 1]))
    picture = picture.quantize(200) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "a.tif", compression=compression)
    check_like_whole(tmp_path / "a.tif")


def test_sixteen_bit_grey_and_more_bands_than_three(tmp_path) -> None:
    grey = (np.arange(300 * 421) % 65_536).reshape(300, 421).astype(np.uint16)
    tifffile.imwrite(tmp_path / "grey.tif", grey, tile=(64, 64))
    check_like_whole(tmp_path / "grey.tif")
    bands = np.concatenate([scene(), scene()[..., ::-1]], axis=2)
    tifffile.imwrite(tmp_path / "bands.tif", bands, photometric="rgb", tile=(64, 64), compression="deflate")
    check_like_whole(tmp_path / "bands.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_at_every_level(tmp_path, orientation) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(smooth(600, 840)).save(tmp_path / "a.tif", exif=exif)
    source = check_like_whole(tmp_path / "a.tif")
    half = ArraySource(read_image(tmp_path / "a.tif")).read(EVERYTHING, 1)
    assert np.abs(source.read(EVERYTHING, 1).astype(int) - half).max() <= 2
    assert source.sketch(100).shape[:2] == ((71, 100) if orientation < 5 else (100, 71))


@pytest.mark.parametrize("shape", [(1100, 1543), (1537, 1024)])
@pytest.mark.parametrize("tile", [None, (128, 128)])
def test_levels_are_those_of_an_image_in_memory(tmp_path, shape, tile) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth(*shape), photometric="rgb", tile=tile, rowsperstrip=None if tile else 7)
    source, reference = TiffSource(tmp_path / "a.tif"), ArraySource(smooth(*shape))
    assert source.num_levels == reference.num_levels == 3
    for level in range(3):
        expected = reference.read(EVERYTHING, level)
        pixels = source.read(EVERYTHING, level)
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).max() <= 2
        part = Rect(expected.shape[1] - 70, expected.shape[0] - 50, 100, 100)
        np.testing.assert_array_equal(source.read(part, level), pixels[-50:, -70:])
    with pytest.raises(ValueError, match="level"):
        source.read(EVERYTHING, 3)


def write_pyramid(path: Path, image: np.ndarray, kind: str) -> None:
    halves = [image[: image.shape[0] // n * n : n, : image.shape[1] // n * n : n] for n in (2, 4)]
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(image, subifds=2 if kind == "subifd" else 0, tile=(128, 128), photometric="rgb")
        for half in halves:
            writer.write(255 - half, subfiletype=1, tile=(128, 128), photometric="rgb")


@pytest.mark.parametrize("kind", ["subifd", "pages"])
def test_levels_of_the_file_are_used(tmp_path, kind) -> None:
    """They are stored inverted here: what is read at a level can only come from the file's own picture."""
    image = smooth(1101, 1543)
    write_pyramid(tmp_path / "a.tif", image, kind)
    source = TiffSource(tmp_path / "a.tif")
    assert source.stored_levels == [0, 1, 2]
    np.testing.assert_array_equal(source.read(EVERYTHING), image)
    quarter = source.read(EVERYTHING, 2)
    assert quarter.shape == (276, 386, 3)  # the file rounds down, a level rounds up
    np.testing.assert_array_equal(quarter[:275, :385], 255 - image[:1100:4, :1540:4])
    np.testing.assert_array_equal(quarter[275], quarter[274])


def test_only_what_is_looked_at_is_decoded(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", scene(1024, 2048), photometric="rgb", tile=(128, 128), compression="deflate")
    source = TiffSource(tmp_path / "a.tif")
    before = source.num_decoded
    source.read(Rect(500, 500, 100, 100))
    assert source.num_decoded - before == 4
    source.read(Rect(510, 510, 50, 50))
    assert source.num_decoded - before == 4  # they are remembered


def test_decoded_segments_stay_within_their_budget(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", scene(1024, 2048), photometric="rgb", tile=(128, 128))
    source = TiffSource(tmp_path / "a.tif", cache_bytes=5 * 128 * 128 * 3)
    source.read(EVERYTHING)
    assert source.num_decoded >= 128
    assert sum(pixels.nbytes for pixels in source._cache.values()) == source._cached_bytes <= 5 * 128 * 128 * 3


@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_small_levels_are_made_once(tmp_path, monkeypatch, tile) -> None:
    monkeypatch.setattr(tiff_source, "_SMALL_PX", 300)
    monkeypatch.setattr(tiff_source, "_PIECE_PX", 1 << 16)
    image = smooth(1100, 1543)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=tile, rowsperstrip=None if tile else 8)
    source = TiffSource(tmp_path / "a.tif", cache_bytes=1_000_000)
    assert not source.is_prepared
    before = source.read(EVERYTHING, 2)
    shares = list(source.prepare())
    assert shares == sorted(shares)
    assert len(shares) > 5
    assert shares[-1] == 1
    assert source.is_prepared
    decoded = source.num_decoded
    # The level that was prepared is the third; the one before is still made from the file.
    assert np.abs(source.read(EVERYTHING, 2).astype(int) - before).max() <= 2
    assert list(source.prepare()) == []
    assert source.prepared_level == 3
    assert source.num_levels == 3
    assert source.num_decoded > decoded


def test_a_sketch_comes_from_a_few_segments(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tiff_source, "_SMALL_PX", 300)
    image = smooth(2048, 4096)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(64, 64))
    source = TiffSource(tmp_path / "a.tif")
    small = source.sketch(512, budget_s=0)
    assert source.num_decoded < 20
    assert small.shape == (256, 512, 3)
    assert np.abs(small[::4, ::4].astype(int) - image[::32, ::32]).mean() < 60
    fine = source.sketch(512, budget_s=60)
    assert np.abs(fine[::4, ::4].astype(int) - image[::32, ::32]).mean() < 4


def test_a_file_that_was_cut_off_is_refused_at_once(tmp_path) -> None:
    path = tmp_path / "a.tif"
    for compression in (None, "deflate"):
        for tile in (None, (64, 64)):
            tifffile.imwrite(path, scene(), photometric="rgb", tile=tile, compression=compression)
            data = path.read_bytes()
            for share in (0.95, 0.5, 0.1):
                path.write_bytes(data[: int(len(data) * share)])
                with pytest.raises(ImageReadError) as caught:
                    TiffSource(path)
                assert caught.value.remedy


def test_a_damaged_segment_is_told_when_it_is_read(tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, scene(), photometric="rgb", tile=(64, 64), compression="deflate")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[9]
    data = bytearray(path.read_bytes())
    data[offset : offset + 20] = bytes(20)
    path.write_bytes(data)
    source = TiffSource(path)
    source.read(Rect(0, 0, 60, 60))
    with pytest.raises(ImageReadError) as caught:
        source.read(EVERYTHING)
    assert caught.value.remedy


def test_a_file_that_changed_or_went_away_is_told(tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, scene(), photometric="rgb", tile=(64, 64))
    source = TiffSource(path)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    with pytest.raises(ImageReadError, match="was changed"):
        source.read(EVERYTHING)
    path.unlink()
    with pytest.raises(ImageReadError, match="not there"):
        source.read(EVERYTHING)


def test_a_picture_in_one_large_piece_is_left_to_others(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tiff_pages, "MAX_SEGMENT_BYTES", 100_000)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, scene(), photometric="rgb", compression="deflate", rowsperstrip=300)
    with pytest.raises(NotInPiecesError):
        TiffSource(path)
    monkeypatch.setattr(tiff_pages, "_RAW_SEGMENT_BYTES", 50_000)
    tifffile.imwrite(path, scene(), photometric="rgb", rowsperstrip=300)  # without compression rows can be counted off
    source = check_like_whole(path)
    assert source.num_decoded > 5


def test_values_whose_range_is_that_of_the_whole_picture_are_not_read_by_pieces(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((100, 100), np.float32), tile=(32, 32))
    with pytest.raises(NotInPiecesError):
        TiffSource(tmp_path / "a.tif")


def test_threads_share_a_source(tmp_path) -> None:
    image = scene(512, 777)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(64, 64), compression="deflate")
    source = TiffSource(tmp_path / "a.tif", cache_bytes=100_000)
    wrong: list[Rect] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(40):
            rect = Rect(int(rng.integers(700)), int(rng.integers(450)), 77, 62)
            if not np.array_equal(source.read(rect), image[rect.slices]):
                wrong.append(rect)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_give_pixels_or_a_message(tmp_path, seed) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, scene(64, 80), photometric="rgb", tile=(32, 32), compression="deflate" if seed % 2 else None)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for _ in range(4):
        data[int(rng.integers(min(400, len(data))))] = int(rng.integers(256))
    path.write_bytes(data)
    try:
        source = TiffSource(path)
        source.read(Rect(0, 0, 500, 500), source.num_levels - 1)
    except (ImageReadError, NotInPiecesError):
        return  # any other exception is a fault of ours
    except DecoderError:
        pytest.fail("an exception of the decoder came through")
