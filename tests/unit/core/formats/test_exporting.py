"""Exports are whole or not there, never over somebody else's file, and say what they lose."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from PIL import Image

from pspnet_core.classes import ClassSet
from pspnet_core.errors import ProjectError, PspnetError, StorageError
from pspnet_core.project.dataset import open_dataset
from pspnet_core.project.formats.catalogue import FORMATS
from pspnet_core.project.formats.exporting import export_project
from pspnet_core.project.formats.importing import ImportOptions, ItemImported, import_annotations
from pspnet_core.project.formats.names import Matcher, flat_names
from pspnet_core.project.formats.registry import guess_format
from pspnet_core.project.formats.shapes import bridged, outlines, polygon_area
from pspnet_core.project.formats.source_files import SourceFiles
from pspnet_core.project.project import Project, Split
from tests.helpers.formats import bare_copy, export, make_project, named, ring_map, take_over
from tests.helpers.tiny_files import contents, half_mask, put_image

MAPS = {"images/train/a.png": ring_map(), "images/test/b.png": half_mask(14, 10)}


@pytest.fixture
def project(tmp_path) -> Project:
    return make_project(tmp_path / "root", MAPS)


@pytest.mark.parametrize("form", FORMATS)
def test_cancelled_and_failed_exports_leave_nothing(form, project, tmp_path, monkeypatch) -> None:
    events = export_project(project, tmp_path / "out/deep", form)
    next(events)
    assert (tmp_path / "out/deep").exists()
    events.close()
    assert not (tmp_path / "out").exists()

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StorageError, match="full"):
            export(project, tmp_path / "out", form)
    assert not [path for path in tmp_path.glob("out/**/*") if path.is_file()]


@pytest.mark.parametrize("form", FORMATS)
def test_a_second_export_replaces_the_first_and_nothing_else(form, project, tmp_path) -> None:
    out = tmp_path / "out"
    (tmp_path / "out").mkdir()
    (out / "mine.txt").write_text("mine")
    export(project, out, form)
    before = contents(out)
    assert not [name for name in before if name.endswith(".tmp")]
    item = project.item("images/train/a.png")
    project.save_annotation(item, half_mask(14, 10, 7), np.full((10, 14), 2, np.uint8))
    export(project, out, form)
    after = contents(out)
    assert after.keys() == before.keys()
    assert after != before
    assert after["mine.txt"] == b"mine"
    changed = next(name for name in sorted(before) if name != "mine.txt" and not name.startswith("."))
    (out / changed).write_bytes(b"edited by hand")
    before = contents(out)
    with pytest.raises(ProjectError, match="in the way"):
        export(project, out, form)
    assert contents(out) == before


def test_an_image_that_cannot_be_read_is_told_and_the_others_are_written(project, tmp_path) -> None:
    (project.root / "images/test/b.png").write_bytes(b"broken")
    for form in ("yolo", "coco-rle", "cvat"):
        finished = export(project, tmp_path / form, form)
        assert (finished.num_written, [f.item_key for f in finished.failures]) == (1, ["images/test/b.png"])


def test_splits_and_empty_images(tmp_path) -> None:
    project = make_project(tmp_path / "root", MAPS | {"images/val/none.png": np.full((8, 12), 255, np.uint8)})
    assert export(project, tmp_path / "a", "yolo").num_empty == 1
    assert export(project, tmp_path / "b", "yolo", with_empty=True).num_written == 3
    assert (tmp_path / "b/labels/val/none.txt").read_text() == ""
    export(project, tmp_path / "c", "yolo", splits=frozenset({Split.TEST}))
    assert {name for name in contents(tmp_path / "c") if name.startswith("labels")} == {"labels/test/b.txt"}


def test_a_turned_image_is_written_upright_beside_its_mask(tmp_path) -> None:
    put_image(tmp_path / "root/a.jpg", 12, 8, orientation=6)
    project = Project.open(tmp_path / "root")
    project.set_classes(ClassSet().add("x"))
    class_map = half_mask(8, 12, 0)
    project.save_annotation(project.item("a.jpg"), class_map, np.full_like(class_map, 2))
    finished = export(project, tmp_path / "out", "yolo")
    with Image.open(tmp_path / "out/images/train/a.jpg") as image:
        assert image.size == (8, 12)
        assert image.getexif().get(274, 1) == 1
    assert any("JPEG anew" in remark.title for remark in finished.remarks)


def test_colours_that_are_the_same_are_told_or_made_unique(tmp_path) -> None:
    classes = ClassSet().add("a", (5, 5, 5)).add("b", (5, 5, 5)).add("background", (0, 0, 0))
    class_map = half_mask(12, 8, 0, 1)
    class_map[0] = 2
    class_map[1] = 255
    project = make_project(tmp_path / "root", {"a.png": class_map}, classes)
    assert sum(remark.count for remark in export(project, tmp_path / "color", "color").remarks) == 3
    assert export(project, tmp_path / "cvat", "cvat-mask").remarks[0].count == 2
    other = bare_copy(project, tmp_path / "other")
    take_over(other, tmp_path / "cvat")
    np.testing.assert_array_equal(named(other, "a.png"), np.array(["a", "b", "background", *[""] * 253])[class_map])


def test_without_pycocotools_the_command_that_brings_it_is_named(project, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(PspnetError, match="pycocotools") as caught:
        export(project, tmp_path / "out", "coco-rle")
    assert "pip install" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_names_in_flat_folders_are_unique_and_lead_back(tmp_path) -> None:
    for key in ("images/train/x/a.png", "images/val/x_a.png", "images/train/x/b b.png", "c.jpg", "c.png", "C.png"):
        put_image(tmp_path / key)
    project = Project.open(tmp_path)
    names = flat_names(project.items)
    assert len({name.casefold() for name in names.values()}) == len(project.items)
    assert names["images/train/x/b b.png"] == "x_b-b"
    matcher = Matcher(project.items)
    for key, name in names.items():
        assert matcher.find(name) == (key,)
    assert matcher.find("elsewhere/c.jpg") == ("c.jpg",)
    assert matcher.find("elsewhere/c") == ("c.jpg", "c.png")
    assert matcher.find("nobody") == ()


def test_outlines_and_cuts_are_exact_for_nested_holes() -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        mask = rng.random((12, 15)) < 0.75
        mask[:, 0] = mask[0] = True
        import cv2

        _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
        region = labels == labels[0, 0]
        ring = bridged(outlines(region))
        rect, found = polygon_area(ring.tolist(), 12, 15)
        whole = np.zeros_like(region)
        whole[rect.slices] = found
        np.testing.assert_array_equal(whole, region)


def test_each_image_gets_one_step_and_cancelling_keeps_whole_images(project, tmp_path) -> None:
    export(project, tmp_path / "out", "png")
    other = bare_copy(project, tmp_path / "other")
    events = import_annotations(other, tmp_path / "out", "png", ImportOptions())
    first = [next(events), next(events)][1]
    assert isinstance(first, ItemImported)
    assert first.is_saved
    events.close()
    again = Project.open(other.root)
    assert [again.has_annotation(item) for item in again.items] == [True, False]
    annotation = again.load_annotation(again.item("images/test/b.png"), 14, 10)
    assert annotation.replay is not None
    assert annotation.replay.depth == 1


def test_a_new_class_never_gets_an_id_that_was_used(tmp_path) -> None:
    source = make_project(tmp_path / "root", {"a.png": half_mask(class_id=1)})
    export(source, tmp_path / "out", "png")
    other = bare_copy(source, tmp_path / "other")
    other.set_classes(ClassSet().add("old").add("gone"))
    other.set_classes(ClassSet([other.classes[0]], other.classes.next_index, [1]))
    take_over(other, tmp_path / "out", "png")
    assert {c.name: c.index for c in other.classes} == {"old": 0, "roof: red": 2}


@pytest.mark.parametrize("form", ["voc", "cityscapes"])
def test_an_export_can_be_trained_on(form, tmp_path) -> None:
    pytest.importorskip("torchvision")
    maps = {"images/train/a.png": ring_map(), "images/val/b.png": half_mask(14, 10)}
    export(make_project(tmp_path / "root", maps), tmp_path / "out", form)
    data = open_dataset(tmp_path / "out")
    assert set(data.classes.names) == {"field", "roof: red", "water"}
    for split, class_map in ((Split.TRAIN, ring_map()), (Split.VAL, half_mask(14, 10))):
        (item,) = data.items[split]
        np.testing.assert_array_equal(data.load(item)[1], class_map)


def test_nothing_can_be_guessed_of_an_empty_folder(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    assert guess_format(SourceFiles(tmp_path / "in")) is None
