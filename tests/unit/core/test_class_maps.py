"""Class map files: raw values in, raw values out, everything else refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pspnet_core.classes import ClassSet
from pspnet_core.errors import ClassMapError
from pspnet_core.imaging.class_maps import ids_of, read_class_map, write_class_map


def some_map(height=30, width=50) -> np.ndarray:
    out = np.full((height, width), 255, np.uint8)
    out[:10, :20] = 3
    out[10:20, 5:] = 0
    out[25:, 30:] = 254
    return out


CLASSES = ClassSet().add("a").add("b")


@pytest.mark.parametrize("classes", [None, CLASSES])
def test_written_values_come_back_and_the_palette_shows_the_colours(tmp_path, classes) -> None:
    path = tmp_path / "deep" / "folder" / "m.png"
    write_class_map(path, some_map(), classes)
    np.testing.assert_array_equal(read_class_map(path), some_map())
    with Image.open(path) as image:
        assert image.mode == ("L" if classes is None else "P")
        if classes is not None:
            assert image.convert("RGB").getpixel((10, 15)) == classes[0].color
    assert [p.name for p in path.parent.iterdir()] == ["m.png"]


def test_all_256_values_survive(tmp_path) -> None:
    values = np.arange(256, dtype=np.uint8).repeat(16).reshape(64, 64)
    for classes in (None, CLASSES):
        write_class_map(tmp_path / "m.png", values, classes)
        np.testing.assert_array_equal(read_class_map(tmp_path / "m.png"), values)
    assert ids_of(values) == tuple(range(255))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_grey_palette_and_bilevel_are_read_raw(tmp_path, suffix) -> None:
    values = some_map() % 250
    Image.fromarray(values).save(tmp_path / f"l.{suffix}")
    np.testing.assert_array_equal(read_class_map(tmp_path / f"l.{suffix}"), values)
    palette = Image.fromarray(values)
    palette.putpalette([v for i in range(256) for v in (255 - i, i, 7)])
    palette.save(tmp_path / f"p.{suffix}")
    np.testing.assert_array_equal(read_class_map(tmp_path / f"p.{suffix}"), values)
    Image.fromarray(values > 0).save(tmp_path / f"b.{suffix}")
    np.testing.assert_array_equal(read_class_map(tmp_path / f"b.{suffix}"), values > 0)


def test_sixteen_bits_only_where_they_fit(tmp_path) -> None:
    wide = some_map().astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_class_map(tmp_path / "m.png"), some_map())
    wide[0, 0] = 256
    Image.fromarray(wide).save(tmp_path / "m.png")
    with pytest.raises(ClassMapError, match="256"):
        read_class_map(tmp_path / "m.png")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_pictures_are_refused(tmp_path, mode) -> None:
    Image.new(mode, (9, 9)).save(tmp_path / "m.tif")
    with pytest.raises(ClassMapError, match="not a class map") as caught:
        read_class_map(tmp_path / "m.tif")
    assert mode in caught.value.detail
    assert "class id" in caught.value.remedy


def test_a_grey_photograph_is_refused_but_many_flat_classes_are_not(tmp_path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(ClassMapError, match="photograph"):
        read_class_map(tmp_path / "photo.png")
    flat = rng.integers(0, 255, (16, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(flat).save(tmp_path / "flat.png")
    np.testing.assert_array_equal(read_class_map(tmp_path / "flat.png"), flat)


def test_missing_empty_and_truncated_files_never_give_an_empty_map(tmp_path) -> None:
    path = tmp_path / "m.png"
    with pytest.raises(ClassMapError, match=r"m\.png") as caught:
        read_class_map(path)
    assert "not there" in caught.value.detail
    write_class_map(path, some_map(300, 500), CLASSES)
    data = path.read_bytes()
    for cut in (0, 20, len(data) // 2, len(data) - 20):
        path.write_bytes(data[:cut])
        with pytest.raises(ClassMapError) as caught:
            read_class_map(path)
        assert caught.value.remedy


def test_only_class_maps_are_written(tmp_path) -> None:
    with pytest.raises(ValueError, match="uint8"):
        write_class_map(tmp_path / "m.png", np.zeros((3, 3), np.int64), None)
    assert not list(tmp_path.iterdir())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_one_wrong_byte_never_gives_other_ids(tmp_path_factory, data) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.png"
    write_class_map(path, some_map(), CLASSES)
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    with pytest.raises(ClassMapError):
        read_class_map(path)
