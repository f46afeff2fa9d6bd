"""Exports opened by readers that are not ours, compared pixel by pixel."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pspnet_core.classes import ClassSet
from tests.helpers.formats import CLASSES, export, make_project, ring_map
from tests.helpers.tiny_files import half_mask

MAPS = {
    "images/train/a.png": ring_map(),
    "images/train/b.jpg": half_mask(14, 10, 0),
    "images/val/c.png": half_mask(14, 10, 7, 1),
}


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "root", MAPS)


def by_name(class_map: np.ndarray, ids: dict[str, int]) -> np.ndarray:
    """Our class map in the ids of a reader, 255 unlabelled."""
    table = np.full(256, 255, np.uint8)
    for c in CLASSES:
        table[c.index] = ids[c.name]
    return table[class_map]


@pytest.mark.parametrize("form", ["coco", "coco-rle"])
def test_coco_by_pycocotools(form, project, tmp_path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    export(project, tmp_path / "out", form)
    for split, keys in (("train", list(MAPS)[:2]), ("val", list(MAPS)[2:])):
        read = coco.COCO(str(tmp_path / f"out/annotations/instances_{split}.json"))
        assert [image["file_name"] for image in read.loadImgs(read.getImgIds())] == keys
        ids = {category["name"]: category["class_id"] for category in read.loadCats(read.getCatIds())}
        assert ids == {c.name: c.index for c in CLASSES}
        for image in read.loadImgs(read.getImgIds()):
            found = np.full((image["height"], image["width"]), 255, np.uint8)
            for annotation in read.loadAnns(read.getAnnIds(image["id"])):
                mask = read.annToMask(annotation).astype(bool)
                assert mask.sum() == annotation["area"]
                found[mask] = read.cats[annotation["category_id"]]["class_id"]
            np.testing.assert_array_equal(found, MAPS[image["file_name"]])


def test_voc_by_torchvision(project, tmp_path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    export(project, tmp_path / "out", "voc")
    read = datasets.VOCSegmentation(str(tmp_path / "out"), "2012", "train")
    assert len(read) == 2
    for (image, mask), expected in zip(read, list(MAPS.values())[:2], strict=True):
        assert image.size == mask.size
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.array(mask), expected)
    assert mask.getpalette()[3:6] == [128, 0, 0]
    assert len(datasets.VOCSegmentation(str(tmp_path / "out"), "2012", "trainval")) == 3


def test_cityscapes_by_torchvision(project, tmp_path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    export(project, tmp_path / "out", "cityscapes")
    read = datasets.Cityscapes(str(tmp_path / "out"), "train", target_type=["semantic", "color"])
    assert len(read) == 2
    pictures = {}
    for place, (image, (mask, color)) in zip(read.images, read, strict=True):
        name = Path(place).name.split("_")[1]
        key = next(key for key in MAPS if Path(key).stem == name)
        np.testing.assert_array_equal(np.array(mask), MAPS[key])
        assert image.size == mask.size == color.size
        pictures[name] = np.array(image)
    with Image.open(tmp_path / "root/images/train/a.png") as original:
        np.testing.assert_array_equal(pictures["a"], np.array(original.convert("RGB")))


def test_cityscapes_has_its_own_ids_where_the_names_are_its_own(tmp_path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    classes = ClassSet().add("road").add("car")
    project = make_project(tmp_path / "root", {"images/val/a.png": half_mask(class_id=1, other=255)}, classes)
    export(project, tmp_path / "out", "cityscapes")
    mask = np.array(datasets.Cityscapes(str(tmp_path / "out"), "val", target_type="semantic")[0][1])
    ids = {c.name: c.id for c in datasets.Cityscapes.classes}
    np.testing.assert_array_equal(mask, half_mask(class_id=ids["car"], other=ids["unlabeled"]))


def test_labelme_by_what_its_own_reader_does(project, tmp_path) -> None:
    """Polygons by Pillow and masks by corners that belong to them, as ``labelme.utils`` (6.3.1) does.

    labelme draws the outline, too: of a polygon only pixels beside it may differ.
    """
    import base64
    import io

    export(project, tmp_path / "out", "labelme")
    data = json.loads((tmp_path / "out/train/a.json").read_text())
    found = np.full((data["imageHeight"], data["imageWidth"]), 255, np.uint8)
    ids = {c.name: c.index for c in CLASSES}
    for shape in data["shapes"]:
        if shape["shape_type"] == "mask":
            (x1, y1), (x2, y2) = shape["points"]
            mask = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))).astype(bool)
            assert mask.shape == (y2 - y1 + 1, x2 - x1 + 1)
            found[y1 : y2 + 1, x1 : x2 + 1][mask] = ids[shape["label"]]
        else:
            assert len(shape["points"]) > 2
    holes = ring_map().copy()
    kept = found != 255
    assert kept.sum() == (np.array(ring_map()[1:8, 1:9]) == 0).sum() + (ring_map()[2:5, 11:14] == 1).sum()
    np.testing.assert_array_equal(found[kept], holes[kept])


@pytest.mark.parametrize("shapes", ["mask", "auto"])
def test_labelme_by_labelme(shapes, project, tmp_path) -> None:
    utils = pytest.importorskip("labelme.utils")
    export(project, tmp_path / "out", "labelme", shapes=shapes)
    ids = {c.name: c.index + 1 for c in CLASSES}
    for key, place in zip(MAPS, ("train/a", "train/b", "val/c"), strict=True):
        data = json.loads((tmp_path / f"out/{place}.json").read_text())
        for shape in data["shapes"]:
            if shape["mask"] is not None:
                shape["mask"] = utils.img_b64_to_arr(shape["mask"]).astype(bool)
        found, _ = utils.shapes_to_label((data["imageHeight"], data["imageWidth"]), data["shapes"], ids)
        found = np.where(found == 0, 255, found - 1)
        if shapes == "mask":
            np.testing.assert_array_equal(found, MAPS[key])
        else:  # its fill holds the outline, so that polygons gain a pixel on the right and below
            grown = cv2.dilate((MAPS[key] != 255).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
            assert (found[MAPS[key] != 255] != 255).all()
            assert (found[~grown] == 255).all()


def test_yolo_by_opencv(project, tmp_path) -> None:
    """Shares times size, filled as supervision and ultralytics do; OpenCV's fill holds the outline, too."""
    export(project, tmp_path / "out", "yolo")
    text = (tmp_path / "out/data.yaml").read_text()
    assert '0: "field"\n  1: "roof: red"\n  2: "water"' in text
    for key, place in (("images/train/b.jpg", "train/b"), ("images/val/c.png", "val/c")):
        assert list((tmp_path / "out/images").glob(f"{place}.*"))
        expected = by_name(MAPS[key], {"field": 0, "roof: red": 1, "water": 2})
        found = np.full(expected.shape, 255, np.uint8)
        for line in (tmp_path / f"out/labels/{place}.txt").read_text().splitlines():
            number, *shares = line.split()
            corners = np.array(shares, float).reshape(-1, 2) * expected.shape[::-1]
            mask = np.zeros((expected.shape[0] * 8, expected.shape[1] * 8), np.uint8)
            cv2.fillPoly(mask, [np.round(corners * 8 - 0.5).astype(np.int32)], 1)
            found[mask[4::8, 4::8].astype(bool)] = int(number)
        np.testing.assert_array_equal(found, expected)


def test_yolo_by_supervision(project, tmp_path) -> None:
    supervision = pytest.importorskip("supervision")
    export(project, tmp_path / "out", "yolo")
    read = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "out/images/val"), str(tmp_path / "out/labels/val"), str(tmp_path / "out/data.yaml"), True
    )
    assert read.classes == ["field", "roof: red", "water"]
    ((_, _, found),) = list(read)
    expected = by_name(MAPS["images/val/c.png"], {"field": 0, "roof: red": 1, "water": 2})
    for mask, class_id in zip(found.mask, found.class_id, strict=True):
        own = expected == class_id
        assert (mask & own).sum() == own.sum(), "its outline lies on the pixels beside"
        assert (mask & ~own).sum() <= own.shape[0] + own.shape[1]


def test_cvat_xml_by_another_parser(project, tmp_path) -> None:
    export(project, tmp_path / "out", "cvat")
    root = ET.parse(tmp_path / "out/annotations.xml").getroot()
    assert [label.text for label in root.iterfind("meta/task/labels/label/name")] == list(CLASSES.names)
    ids = {c.name: c.index for c in CLASSES}
    for image in root.iterfind("image"):
        found = np.full((int(image.get("height")), int(image.get("width"))), 255, np.uint8)
        for mask in image.iterfind("mask"):
            left, top, width, height = (int(mask.get(name)) for name in ("left", "top", "width", "height"))
            values, inside = [], False
            for run in mask.get("rle").split(","):
                values += [inside] * int(run)
                inside = not inside
            found[top : top + height, left : left + width][np.array(values).reshape(height, width)] = ids[
                mask.get("label")
            ]
        for polygon in image.iterfind("polygon"):
            corners = np.array([point.split(",") for point in polygon.get("points").split(";")], float)
            large = np.zeros((found.shape[0] * 8, found.shape[1] * 8), np.uint8)
            cv2.fillPoly(large, [np.round(corners * 8 - 0.5).astype(np.int32)], 1)
            found[large[4::8, 4::8].astype(bool)] = ids[polygon.get("label")]
        np.testing.assert_array_equal(found, MAPS[image.get("name")])


def test_cvat_mask_by_its_label_map(project, tmp_path) -> None:
    export(project, tmp_path / "out", "cvat-mask")
    colors = {}
    for line in (tmp_path / "out/labelmap.txt").read_text().splitlines()[1:]:
        name, color, _, _ = line.split(":")
        colors[tuple(int(v) for v in color.split(","))] = name
    assert colors[0, 0, 0] == "background"
    ids = {c.name.replace(":", "_"): c.index for c in CLASSES} | {"background": 255}
    for name, expected in zip(("a", "b", "c"), MAPS.values(), strict=True):
        with Image.open(tmp_path / f"out/SegmentationClass/{name}.png") as image:
            pixels = np.array(image)
        found = np.array([[ids[colors[tuple(pixel)]] for pixel in row] for row in pixels.tolist()])
        np.testing.assert_array_equal(found, expected)
    assert (tmp_path / "out/ImageSets/Segmentation/default.txt").read_text() == "a\nb\nc\n"


def test_numpy_and_palette_without_us(project, tmp_path) -> None:
    export(project, tmp_path / "npy", "numpy")
    export(project, tmp_path / "png", "png-palette")
    np.testing.assert_array_equal(np.load(tmp_path / "npy/arrays/train/a.npy"), ring_map())
    with Image.open(tmp_path / "png/masks/train/a.png") as image:
        np.testing.assert_array_equal(np.array(image), ring_map())
