"""Pages of TIFF files: which of them are pictures, and files made to keep a program busy."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pspnet_core.errors import ImageReadError
from pspnet_core.imaging import tiff_chain
from pspnet_core.imaging.read import read_image, read_info
from pspnet_core.imaging.tiff_chain import own_pages


def pages(path: Path, *shapes: tuple[int, ...], **options: object) -> Path:
    with tifffile.TiffWriter(
        path, bigtiff=bool(options.pop("bigtiff", False)), byteorder=options.pop("order", "<")
    ) as out:  # type: ignore[arg-type]
        for n, shape in enumerate(shapes):
            out.write(np.full(shape, n, np.uint8), photometric="minisblack", metadata=None, **options)
    return path


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_pages_are_counted_as_the_decoder_counts_them(tmp_path: Path, bigtiff: bool, order: str) -> None:
    path = pages(tmp_path / "a.tif", (20, 30), (20, 30), (25, 31), bigtiff=bigtiff, order=order)
    assert own_pages(path) == [0, 1, 2]
    assert read_info(path).num_pages == 3
    assert [int(read_image(path, page)[0, 0, 0]) for page in range(3)] == [0, 1, 2]


def test_reduced_pictures_and_masks_are_no_pages_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as out:
        for n, (shape, kind) in enumerate([((64, 96), 0), ((10, 12), 1), ((64, 96), 4), ((64, 96), 0), ((32, 48), 0)]):
            values = np.zeros(shape, bool) if kind & 4 else np.full(shape, n, np.uint8)
            out.write(values, photometric="minisblack", subfiletype=kind, metadata=None)
    assert own_pages(path) == [0, 3]  # the last one is exactly half of the fourth


def test_a_slide_is_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as out:
        out.write(np.zeros((64, 96), np.uint8), description="Aperio Image Library v1\r\nslide", metadata=None)
        out.write(np.zeros((30, 70), np.uint8), metadata=None)
    assert own_pages(path) == [0]
    with tifffile.TiffWriter(path) as out:
        out.write(np.zeros((64, 96), np.uint8), metadata=None, extratags=[(65420, 4, 1, 1, True)])
        out.write(np.zeros((30, 70), np.uint8), metadata=None)
    assert own_pages(path) == [0]


def test_other_and_broken_files_have_one_page(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"hello")
    Image.new("L", (4, 4)).save(tmp_path / "b.tif", "PNG")
    pages(tmp_path / "c.tif", (20, 30), (20, 31))
    data = (tmp_path / "c.tif").read_bytes()
    for size in range(0, len(data), 7):
        (tmp_path / "d.tif").write_bytes(data[:size])
        assert own_pages(tmp_path / "d.tif") in ([0], [0, 1])
    assert [own_pages(tmp_path / name) for name in ("a.tif", "b.tif", "gone.tif")] == [[0], [0], [0]]


def circle(path: Path) -> Path:
    pages(path, (20, 30))
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("reader", [read_info, read_image])
def test_pages_that_lead_back_to_themselves_are_refused(tmp_path: Path, reader: object) -> None:
    with pytest.raises(ImageReadError, match="lead back"):
        reader(circle(tmp_path / "a.tif"))  # type: ignore[operator]
    assert own_pages(tmp_path / "a.tif") == [0]


def test_too_many_pages_or_tags_are_refused_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pages(tmp_path / "a.tif", *[(20, 30)] * 6)
    with monkeypatch.context() as patched:
        patched.setattr(tiff_chain, "MAX_PAGES", 5)
        with pytest.raises(ImageReadError, match="more than 5 pages, which is the limit"):
            read_info(path)
    monkeypatch.setattr(tiff_chain, "MAX_TAGS", 3)
    with pytest.raises(ImageReadError, match="the limit is 3"):
        read_info(path)
