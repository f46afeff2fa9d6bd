"""The folders that the command line takes as DATA."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from pspnet_core.errors import DataError, ImageReadError, ProjectError
from pspnet_core.project.dataset import evenly_spaced, open_dataset
from pspnet_core.project.project import Project, Split, Status
from tests.helpers.tiny_files import half_mask, put_image, put_mask


def test_data_set_folder(tmp_path) -> None:
    for split, name in [("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")]:
        put_image(tmp_path / f"images/{split}/{name}.jpg")
        put_mask(tmp_path / f"masks/{split}/{name}.png", half_mask(class_id=1, other=0))
    put_image(tmp_path / "images/train/unlabelled.jpg")
    table = {"classes": [{"index": i, "name": n, "color": [i, 0, 0]} for i, n in enumerate(["x", "y"])]}
    (tmp_path / "classes.json").write_text(json.dumps(table))
    data = open_dataset(tmp_path)
    assert data.classes.names == ("x", "y")
    assert {split: [i.key for i in items] for split, items in data.items.items()} == {
        Split.NONE: [],
        Split.TRAIN: ["images/train/a.jpg", "images/train/b.jpg"],
        Split.VAL: ["images/val/c.jpg"],
        Split.TEST: ["images/test/d.jpg"],
    }
    image, class_map = data.load(data.items[Split.TRAIN][0])
    assert image.shape == (8, 12, 3)
    np.testing.assert_array_equal(class_map, half_mask(class_id=1, other=0))
    assert not (tmp_path / ".pspnet-studio").exists()
    assert data.project is None  # nothing says whose it is


def test_project_folder_gives_painted_images(tmp_path) -> None:
    put_image(tmp_path / "a.jpg")
    put_image(tmp_path / "b.jpg")
    with pytest.raises(DataError, match="no labelled image"):
        open_dataset(tmp_path)
    project = Project.open(tmp_path)
    project.set_classes(project.classes.add("roof"))
    project.save_annotation(project.item("b.jpg"), half_mask(class_id=0), np.zeros((8, 12), np.uint8))
    data = open_dataset(tmp_path)
    assert [item.key for item in data.items[Split.NONE]] == ["b.jpg"]
    assert data.classes.names == ("roof",)
    assert data.project == project.uuid


def test_skipped_images_take_no_part(tmp_path) -> None:
    for name in "ab":
        put_image(tmp_path / f"images/{name}.png")
        put_mask(tmp_path / f"masks/{name}.png", half_mask(class_id=1, other=0))
    project = Project.open(tmp_path)
    project.set_state("images/a.png", status=Status.SKIPPED)
    project.save()
    assert [item.key for item in open_dataset(tmp_path).items[Split.NONE]] == ["images/b.png"]


def test_without_a_class_table_the_classes_are_complete(tmp_path) -> None:
    for number in range(30):
        put_image(tmp_path / f"images/{number}.png")
        put_mask(tmp_path / f"masks/{number}.png", half_mask(class_id=number, other=100))
    assert sorted(open_dataset(tmp_path).classes.indices) == [*range(30), 100]


def test_a_mask_that_does_not_fit_is_logged(tmp_path, caplog) -> None:
    put_image(tmp_path / "images/a.png")
    put_mask(tmp_path / "masks/a.png", half_mask(9, 9))
    (tmp_path / "classes.json").write_text('{"classes": [{"index": 1, "name": "x"}]}')
    data = open_dataset(tmp_path)
    assert (data.load(data.items[Split.NONE][0])[1] == 255).all()
    assert "9 × 9" in caplog.text


def test_no_folder_and_no_image(tmp_path) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(ProjectError):
            open_dataset(path)


def test_an_id_outside_the_class_table_is_refused_before_anything_is_trained(tmp_path) -> None:
    for number in range(9):
        put_image(tmp_path / f"images/train/{number}.png")
        put_mask(tmp_path / f"masks/train/{number}.png", half_mask(class_id=77 if number == 8 else 1, other=0))
    (tmp_path / "classes.json").write_text('{"classes": [{"index": 0, "name": "x"}, {"index": 1, "name": "y"}]}')
    with pytest.raises(DataError, match="ids that classes") as caught:
        open_dataset(tmp_path)
    assert str(tmp_path / "masks/train/8.png") in caught.value.detail
    assert "77" in caught.value.detail
    Project.open(tmp_path).save()  # a person works with it now, and such a class is named in the program
    assert open_dataset(tmp_path).classes.indices == (0, 1, 77)


def test_an_unreadable_image_counts_only_when_it_is_loaded(tmp_path) -> None:
    for split in ("train", "test"):
        put_image(tmp_path / f"images/{split}/a.png")
        put_mask(tmp_path / f"masks/{split}/a.png", half_mask(class_id=1, other=0))
    (tmp_path / "images/train/a.png").write_bytes(b"broken")
    data = open_dataset(tmp_path)
    assert data.classes.indices == (0, 1)
    assert data.load(data.items[Split.TEST][0])[0].shape == (8, 12, 3)
    with pytest.raises(ImageReadError):
        data.load(data.items[Split.TRAIN][0])


def put_voc(folder, *names: str) -> None:
    for name in names:
        put_image(folder / "JPEGImages" / f"{name}.jpg")
        put_mask(folder / "SegmentationClass" / f"{name}.png", half_mask(class_id=15, other=0))
    (folder / "ImageSets" / "Segmentation").mkdir(parents=True)


@pytest.mark.parametrize("given", ["", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_voc_of_another_year_has_test_masks(tmp_path, given) -> None:
    folder = tmp_path / "VOCdevkit" / "VOC2007"
    put_voc(folder, "000001")
    (folder / "ImageSets/Segmentation/test.txt").write_text("000001\n")
    data = open_dataset(tmp_path / given)
    assert [item.key for item in data.items[Split.TEST]] == ["JPEGImages/000001.jpg"]


def test_voc_masks_with_foreign_ids_are_refused(tmp_path) -> None:
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    put_voc(folder, "a")
    put_mask(folder / "SegmentationClass" / "a.png", half_mask(class_id=21))
    (folder / "ImageSets/Segmentation/train.txt").write_text("a\n")
    with pytest.raises(DataError, match="Pascal VOC") as caught:
        open_dataset(tmp_path)
    assert "21" in caught.value.detail


@pytest.mark.parametrize("given", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_folder(tmp_path, given) -> None:
    root = tmp_path / "VOCdevkit/VOC2012"
    for name in ("2007_1", "2007_2", "2007_3"):
        put_image(root / "JPEGImages" / f"{name}.jpg")
        mask = Image.fromarray(half_mask(class_id=15, other=0))
        mask.putpalette([v for i in range(256) for v in (255 - i, i, i)])
        (root / "SegmentationClass").mkdir(exist_ok=True)
        mask.save(root / "SegmentationClass" / f"{name}.png")
    put_mask(root / "SegmentationClass" / "2007_3.png", half_mask(5, 5))
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_1\n2007_gone\n")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_2\n2007_3\n")
    data = open_dataset(tmp_path / given)
    assert len(data.classes) == 21
    assert data.classes[15].name == "person"
    assert [data.classes[i].color for i in (1, 8, 15, 20)] == [
        (128, 0, 0), (64, 0, 0), (192, 128, 128), (0, 64, 128),
    ]  # fmt: skip
    assert [len(data.items[split]) for split in (Split.TRAIN, Split.VAL, Split.TEST)] == [1, 2, 0]
    assert set(np.unique(data.load(data.items[Split.TRAIN][0])[1])) == {0, 15}
    with pytest.raises(DataError, match="does not fit"):
        data.load(data.items[Split.VAL][1])


def test_cityscapes_folder(tmp_path) -> None:
    put_image(tmp_path / "leftImg8bit/train/ulm/ulm_0_leftImg8bit.png")
    put_image(tmp_path / "leftImg8bit/val/bonn/bonn_0_leftImg8bit.png")
    put_mask(tmp_path / "gtFine/train/ulm/ulm_0_gtFine_labelIds.png", half_mask(class_id=26, other=3))
    (tmp_path / "gtFine_trainvaltest.zip").touch()
    data = open_dataset(tmp_path)
    assert len(data.classes) == 19
    assert data.classes.indices == tuple(range(19))
    assert data.classes[0].color == (128, 64, 128)
    (item,) = data.items[Split.TRAIN]
    _, class_map = data.load(item)
    assert data.classes[int(class_map[0, 0])].name == "car"
    assert set(np.unique(class_map)) == {13, 255}


def test_a_stray_file_among_the_cities_is_told(tmp_path) -> None:
    put_image(tmp_path / "leftImg8bit/train/ulm/ulm_0_leftImg8bit.png")
    put_mask(tmp_path / "gtFine/train/ulm/ulm_0_gtFine_labelIds.png", half_mask(class_id=26, other=3))
    (tmp_path / "leftImg8bit/train/readme.txt").touch()
    with pytest.raises(DataError, match="could not be listed") as caught:
        open_dataset(tmp_path)
    assert "readme.txt" in caught.value.detail


def test_evenly_spaced() -> None:
    assert evenly_spaced(range(48), 8) == [0, 6, 12, 18, 24, 30, 36, 42]
    assert evenly_spaced("abc", 5) == ["a", "b", "c"]
    assert len(set(evenly_spaced(range(184), 48))) == 48
    with pytest.raises(ValueError, match="at least 1"):
        evenly_spaced([], 0)
