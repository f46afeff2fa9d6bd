"""Which files become items, with which key, split and mask."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pspnet_core.project.discovery import find_items, natural_key
from pspnet_core.project.records import Split


def touch(root, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def keys(root, **options) -> list[str]:
    return [item.key for item in find_items(root, **options).items]


def masks(root) -> dict[str, str | None]:
    return {
        item.key: None if item.found_mask is None else item.found_mask.relative_to(root).as_posix()
        for item in find_items(root).items
    }


def test_walks_into_folders_in_natural_order_and_leaves_hidden_ones_out(tmp_path) -> None:
    touch(tmp_path, "b10.jpg", "b9.JPG", "B1.jpeg", "sub/x.tiff", "sub/deep/y.webp", "z.bmp", "a.png")
    touch(tmp_path, ".hidden/a.jpg", ".pspnet-studio/masks/a.jpg.png", "._a.jpg", "notes.txt", "sub/data.csv")
    found = find_items(tmp_path)
    assert [i.key for i in found.items] == [
        "a.png", "B1.jpeg", "b9.JPG", "b10.jpg", "sub/deep/y.webp", "sub/x.tiff", "z.bmp",
    ]  # fmt: skip
    assert found.num_other_files == 2
    assert found.items[5].image_path == tmp_path / "sub" / "x.tiff"


@given(st.lists(st.integers(0, 10**9)))
def test_natural_order_counts(numbers: list[int]) -> None:
    ordered = sorted((f"img{n}.jpg" for n in numbers), key=natural_key)
    assert ordered == [f"img{n}.jpg" for n in sorted(numbers)]


def test_natural_key_tells_equal_looking_keys_apart() -> None:
    assert sorted(["a10", "A2", "a2", "a1/b", "a1-b"], key=natural_key) == ["a1/b", "a1-b", "A2", "a2", "a10"]
    assert natural_key("a01") != natural_key("a1")
    assert natural_key("²") != natural_key("2")


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", Split.TRAIN), ("Training", Split.TRAIN), ("val", Split.VAL), ("valid", Split.VAL),
        ("VALIDATION", Split.VAL), ("test", Split.TEST), ("testing", Split.TEST), ("tests", Split.NONE),
        ("other", Split.NONE), ("test/train", Split.TRAIN), ("images/test/city", Split.TEST),
    ],
)  # fmt: skip
def test_split_from_folder_names(tmp_path, folder, split) -> None:
    touch(tmp_path, f"{folder}/train.jpg")
    assert find_items(tmp_path).items[0].split is split


def test_the_name_of_the_root_is_no_split(tmp_path) -> None:
    touch(tmp_path, "train/a.jpg")
    assert find_items(tmp_path / "train").items[0].split is Split.NONE


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/train/a.jpg", "masks/train/a.png"),
        ("images/a.jpg", "masks/a.png"),
        ("a.jpg", "masks/a.png"),
        ("sub/a.jpg", "sub/masks/a.png"),
        ("photos/a.jpg", "masks/a.png"),
        ("photos/deep/a.jpg", "masks/deep/a.png"),
        ("deep/images/a.jpg", "deep/Masks/a.tif"),
        ("images/a.jpg", "labels/a.png"),
        ("images/test/a.jpg", "annotations/test/a.bmp"),
        ("images/a.b.jpg", "masks/a.b.png"),
        ("images/a.jpg", "masks/a.jpg.png"),
    ],
)
def test_masks_by_mirrored_path_and_stem(tmp_path, image, mask) -> None:
    touch(tmp_path, image, mask)
    assert masks(tmp_path) == {image: mask}


@pytest.mark.parametrize(
    "paths",
    [
        ("images/train/a.jpg", "masks/test/a.png"),
        ("images/a.jpg", "masks/b.png"),
        ("images/a.jpg", "masks/A.png"),
        ("images/a.jpg", "masks/a.jpg"),
        ("images/a.jpg", "masks/a.json"),
    ],
)
def test_what_does_not_match_is_neither_mask_nor_item(tmp_path, paths) -> None:
    touch(tmp_path, *paths)
    assert masks(tmp_path) == {paths[0]: None}


def test_photographs_in_folders_named_like_masks_stay_items(tmp_path) -> None:
    touch(tmp_path, "masks/venice.jpg", "labels/bottle.png", "photos/dog.jpg")
    assert keys(tmp_path) == ["labels/bottle.png", "masks/venice.jpg", "photos/dog.jpg"]


def test_nearest_mask_folder_wins(tmp_path) -> None:
    touch(tmp_path, "images/a.jpg", "images/masks/a.png", "masks/a.png")
    assert masks(tmp_path) == {"images/a.jpg": "images/masks/a.png"}


def test_one_mask_for_two_images_is_used_for_neither_and_told(tmp_path) -> None:
    touch(tmp_path, "images/a.jpg", "images/a.png", "images/b.jpg", "masks/a.png", "masks/b.png")
    found = find_items(tmp_path)
    assert masks(tmp_path) == {"images/a.jpg": None, "images/a.png": None, "images/b.jpg": "masks/b.png"}
    assert {notice.item_key for notice in found.notices} == {"images/a.jpg", "images/a.png"}
    assert all("a.png" in notice.title and notice.remedy for notice in found.notices)


def test_whole_names_settle_it(tmp_path) -> None:
    touch(tmp_path, "images/a.jpg", "images/a.png", "masks/a.jpg.png", "masks/a.png")
    assert masks(tmp_path) == {"images/a.jpg": "masks/a.jpg.png", "images/a.png": "masks/a.png"}


def test_two_masks_for_one_image_take_the_png_and_tell(tmp_path) -> None:
    touch(tmp_path, "images/a.jpg", "masks/a.tif", "masks/a.png")
    found = find_items(tmp_path, prefix="@more/")
    assert found.items[0].found_mask == tmp_path / "masks" / "a.png"
    assert found.notices[0].item_key == "@more/images/a.jpg"


def test_accents_match_in_either_encoding(tmp_path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "images/Türme.jpg") for form in ("NFC", "NFD"))
    touch(tmp_path, decomposed, unicodedata.normalize("NFC", "masks/Türme.png"))
    item = find_items(tmp_path).items[0]
    assert item.key == composed
    assert item.image_path == tmp_path / decomposed
    assert item.found_mask is not None
    assert keys(tmp_path, only=[composed]) == [composed] == keys(tmp_path, only=[decomposed])
    if os.name != "posix":
        return
    touch(tmp_path, composed)
    if len(list((tmp_path / "images").iterdir())) == 2:  # a file system that keeps both
        assert len(set(keys(tmp_path))) == 2


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_once_and_loops_end(tmp_path) -> None:
    touch(tmp_path, "real/a.jpg", "real/sub/b.jpg")
    touch(tmp_path / "elsewhere", "c.jpg")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    (tmp_path / "aaa").symlink_to(tmp_path / "real" / "sub")
    (tmp_path / "real" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert keys(tmp_path) == ["elsewhere/c.jpg", "real/a.jpg", "real/sub/b.jpg"]
    assert keys(tmp_path / "real") == ["a.jpg", "out/c.jpg", "sub/b.jpg"]


@pytest.mark.skipif(os.name != "posix", reason="names are Unicode elsewhere")
def test_names_that_are_no_text_are_left_out_and_told(tmp_path) -> None:
    touch(tmp_path, "good.jpg")
    try:
        with open(os.fsencode(tmp_path) + b"/bad\xff.jpg", "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    found = find_items(tmp_path)
    assert [item.key for item in found.items] == ["good.jpg"]
    assert "not valid Unicode" in found.notices[0].title


def test_only_limits_to_files_and_folders(tmp_path) -> None:
    touch(tmp_path, "a.jpg", "ab.jpg", "sub/c.jpg", "sub/d.jpg", "masks/a.png")
    assert keys(tmp_path, only=["a.jpg", "sub"]) == ["a.jpg", "sub/c.jpg", "sub/d.jpg"]
    assert keys(tmp_path, only=["sub/d.jpg"]) == ["sub/d.jpg"]
    assert keys(tmp_path, only=[]) == []


def test_an_unreadable_folder_is_told(tmp_path, monkeypatch) -> None:
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find_items(tmp_path)
    assert [item.key for item in found.items] == ["a.jpg"]
    assert "locked" in found.notices[0].title
