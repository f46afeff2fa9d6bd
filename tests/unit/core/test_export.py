"""Exported masks: exact, complete, trainable, and never over somebody else's file."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from pspnet_core.classes import ClassSet
from pspnet_core.errors import ProjectError, StorageError
from pspnet_core.export.masks import FORMATS, ExportFinished, ExportProgress, export_masks
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.project.dataset import open_dataset
from pspnet_core.project.project import Project, Split
from tests.helpers.tiny_files import contents, half_mask, put_image, put_mask

CLASSES = ClassSet().add("field", (10, 200, 30)).add("roof", (200, 20, 10))


@pytest.fixture
def project(tmp_path) -> Project:
    root = tmp_path / "root"
    for key in ("images/training/a.jpg", "images/test/deep/b.jpg", "c.jpg", "c.png", "empty.jpg", "never.jpg"):
        put_image(root / key)
    put_mask(root / "masks/test/deep/b.png", half_mask(class_id=0, other=1))
    project = Project.open(root)
    project.set_classes(CLASSES)
    for key, class_id in [("images/training/a.jpg", 1), ("c.jpg", 0), ("c.png", 1), ("empty.jpg", 255)]:
        class_map = half_mask(class_id=class_id)
        project.save_annotation(project.item(key), class_map, (class_map != 255).astype(np.uint8) * 2)
    project.save()
    return project


def run(project, out, form="png") -> ExportFinished:
    *progress, finished = export_masks(project, out, form)
    assert isinstance(finished, ExportFinished)
    assert all(isinstance(event, ExportProgress) for event in progress)
    assert [event.done for event in progress] == list(range(1, progress[0].total + 1))
    assert {p for event in progress if (p := event.path)} == set(out.rglob("*.png"))
    json.dumps([event.to_json() for event in (*progress, finished)])
    return finished


@pytest.mark.parametrize("form", ["png", "png-palette"])
def test_ids_are_exact_and_the_layout_is_that_of_a_data_set(project, tmp_path, form) -> None:
    before = contents(project.root)
    out = tmp_path / "out"
    finished = run(project, out, form)
    assert (finished.num_written, finished.num_empty, finished.failures) == (4, 1, ())
    assert set(contents(out)) == {
        "classes.json", "masks/train/a.png", "masks/test/deep/b.png", "masks/none/c.jpg.png", "masks/none/c.png.png",
    }  # fmt: skip
    np.testing.assert_array_equal(read_class_map(out / "masks/train/a.png"), half_mask(class_id=1))
    np.testing.assert_array_equal(read_class_map(out / "masks/test/deep/b.png"), half_mask(class_id=0, other=1))
    with Image.open(out / "masks/train/a.png") as image:
        assert image.mode == ("P" if form == "png-palette" else "L")
        if form == "png-palette":
            assert image.convert("RGB").getpixel((0, 0)) == (200, 20, 10)
    assert contents(project.root) == before


def test_with_the_images_beside_it_an_export_can_be_trained_on(project, tmp_path) -> None:
    out = tmp_path / "out"
    run(project, out)
    for key in ("train/a.jpg", "test/deep/b.jpg", "none/c.jpg", "none/c.png"):
        put_image(out / "images" / key)
    data = open_dataset(out)
    assert data.classes.names == ("field", "roof")
    assert {split: len(items) for split, items in data.items.items()} == {
        Split.NONE: 2, Split.TRAIN: 1, Split.VAL: 0, Split.TEST: 1,
    }  # fmt: skip
    first = data.load(data.items[Split.NONE][0])[1][0, 0], data.load(data.items[Split.NONE][1])[1][0, 0]
    assert first == (0, 1)


def test_colours(project, tmp_path) -> None:
    run(project, tmp_path / "out", "color")
    with Image.open(tmp_path / "out/color/train/a.png") as image:
        assert image.mode == "RGB"
        assert image.getpixel((0, 0)) == (200, 20, 10)
        assert image.getpixel((11, 0)) == (0, 0, 0)


@pytest.mark.parametrize("form", FORMATS)
def test_a_second_export_replaces_the_first(project, tmp_path, form) -> None:
    out = tmp_path / "out"
    run(project, out, form)
    item = project.item("images/training/a.jpg")
    project.set_classes(project.classes.add("water"))
    project.save_annotation(item, half_mask(class_id=2), np.zeros((8, 12), np.uint8))
    before = contents(out)
    run(project, out, form)
    assert {name for name, data in contents(out).items() if data != before[name]} >= {"classes.json"}
    assert len(json.loads((out / "classes.json").read_text())["classes"]) == 3


def test_foreign_and_edited_files_are_never_overwritten(project, tmp_path) -> None:
    out = tmp_path / "out"
    put_mask(out / "masks/test/deep/b.png", half_mask(class_id=7))
    before = contents(out)
    with pytest.raises(ProjectError, match="in the way") as caught:
        run(project, out)
    assert "b.png" in caught.value.detail
    assert contents(out) == before
    (out / "masks/test/deep/b.png").unlink()
    run(project, out)
    path = out / "masks/none/c.jpg.png"
    with Image.open(path) as image:
        from PIL.PngImagePlugin import PngInfo

        info, edited = PngInfo(), np.array(image)
        info.add_text("Software", image.info["Software"])
    edited[0, 0] = 9
    Image.fromarray(edited).save(path, pnginfo=info)
    before = contents(out)
    with pytest.raises(ProjectError, match="in the way"):
        run(project, out)
    assert contents(out) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"classes": [{"index": 0, "name": "other", "color": [0, 0, 0]}]}'])
def test_a_foreign_class_table_is_in_the_way(project, tmp_path, text) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/classes.json").write_text(text)
    with pytest.raises(ProjectError, match="in the way"):
        run(project, tmp_path / "out")
    assert contents(tmp_path / "out") == {"classes.json": text.encode()}


def test_a_class_table_of_someone_else_is_in_the_way_even_with_the_same_classes(project, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    text = json.dumps(CLASSES.to_json() | {"licence": "CC-BY"})
    (tmp_path / "out/classes.json").write_text(text)
    with pytest.raises(ProjectError, match="in the way"):
        run(project, tmp_path / "out")
    assert (tmp_path / "out/classes.json").read_text() == text


def test_found_masks_in_the_project_itself_are_safe(project) -> None:
    before = contents(project.root)
    with pytest.raises(ProjectError, match="in the way"):
        list(export_masks(project, project.root))
    for inside in (project.folder, project.folder / "masks"):
        with pytest.raises(ProjectError, match="itself"):
            list(export_masks(project, inside))
    assert contents(project.root) == before


def test_cancelling_leaves_whole_files_and_can_be_repeated(project, tmp_path) -> None:
    out = tmp_path / "out"
    events = export_masks(project, out)
    next(events)
    next(events)
    events.close()
    for path in out.rglob("*.png"):
        read_class_map(path)
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]
    run(project, out)


def test_a_bad_item_is_reported_and_the_others_are_written(project, tmp_path) -> None:
    (project.root / "c.jpg").unlink()
    (project.folder / "masks/c.png.png").write_bytes(b"broken")
    finished = run(project, tmp_path / "out")
    assert finished.num_written == 2
    assert {failure.item_key for failure in finished.failures} == {"c.jpg", "c.png"}


def test_nothing_to_export_wrong_format_and_full_disk(project, tmp_path, monkeypatch) -> None:
    put_image(tmp_path / "bare" / "a.jpg")
    with pytest.raises(ProjectError, match="no mask"):
        list(export_masks(Project.open(tmp_path / "bare"), tmp_path / "out"))
    with pytest.raises(ValueError, match="png-palette"):
        list(export_masks(project, tmp_path / "out", "gif"))
    (tmp_path / "file").touch()
    with pytest.raises(ProjectError, match="is a file"):
        list(export_masks(project, tmp_path / "file"))

    def replace(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(StorageError, match="full"):
        list(export_masks(project, tmp_path / "out"))
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_no_two_images_share_a_file(tmp_path) -> None:
    root = tmp_path / "root"
    for name in ("c.jpg", "c.png", "c.jpg.tif"):
        put_image(root / name)
    project = Project.open(root)
    for class_id, item in enumerate(project.items):
        project.save_annotation(item, half_mask(class_id=class_id), np.zeros((8, 12), np.uint8))
    assert run(project, tmp_path / "out").num_written == 3
