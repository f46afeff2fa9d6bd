"""The planes of an item: every bad file is told, none becomes an empty mask, none is overwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pspnet_core.errors import ClassMapError, PspnetError
from pspnet_core.project.project import Item, Project
from tests.helpers.tiny_files import contents, half_mask, put_image, put_mask


def project_with(tmp_path: Path, orientation: int = 1) -> tuple[Project, Item]:
    put_image(tmp_path / "images" / "a.jpg", orientation=orientation)
    project = Project.open(tmp_path)
    return project, project.items[0]


def painted() -> tuple[np.ndarray, np.ndarray]:
    class_map = half_mask()
    return class_map, np.where(class_map == 255, 0, 2).astype(np.uint8)


@pytest.mark.parametrize("plane", ["masks", "provenance"])
@pytest.mark.parametrize("damage", ["empty", "cut", "other size", "colours", "text"])
def test_a_damaged_plane_of_ours_is_named_and_kept(tmp_path, plane, damage) -> None:
    project, item = project_with(tmp_path)
    project.save_annotation(item, *painted())
    path = project.folder / plane / "images" / "a.jpg.png"
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif damage == "other size":
        put_mask(path, np.zeros((9, 12)))
    elif damage == "colours":
        Image.new("RGB", (12, 8)).save(path)
    else:
        path.write_text("hello")
    before = contents(project.folder)
    with pytest.raises(PspnetError) as caught:
        project.load_annotation(item, 12, 8)
    message = str(caught.value)
    assert str(path) in message
    assert caught.value.remedy
    assert contents(project.folder) == before


def test_impossible_provenance_is_named(tmp_path) -> None:
    project, item = project_with(tmp_path)
    class_map, provenance = painted()
    provenance[0, 0] = 9
    project.save_annotation(item, class_map, provenance)
    with pytest.raises(ClassMapError, match="provenance") as caught:
        project.load_annotation(item, 12, 8)
    assert "9" in caught.value.detail


def test_an_image_replaced_by_another_size_is_told(tmp_path) -> None:
    project, item = project_with(tmp_path)
    project.save_annotation(item, *painted())
    with pytest.raises(ClassMapError, match="20 × 10"):
        project.load_annotation(item, 20, 10)


def test_without_provenance_everything_labelled_counts_as_painted(tmp_path) -> None:
    project, item = project_with(tmp_path)
    project.save_annotation(item, *painted())
    (project.folder / "provenance" / "images" / "a.jpg.png").unlink()
    annotation = project.load_annotation(item, 12, 8)
    np.testing.assert_array_equal(annotation.provenance, painted()[1])
    assert annotation.notices[0].item_key == item.key


def test_a_crash_between_the_two_files_leaves_no_pixel_open_to_predictions(tmp_path) -> None:
    project, item = project_with(tmp_path)
    class_map, provenance = painted()
    project.save_annotation(item, class_map, provenance)
    old = (project.folder / "provenance" / "images" / "a.jpg.png").read_bytes()
    project.save_annotation(item, class_map[:, ::-1].copy(), provenance[:, ::-1].copy())
    (project.folder / "provenance" / "images" / "a.jpg.png").write_bytes(old)
    annotation = project.load_annotation(item, 12, 8)
    np.testing.assert_array_equal(annotation.class_map, class_map[:, ::-1])
    np.testing.assert_array_equal(annotation.provenance, provenance[:, ::-1])


def test_a_deleted_mask_begins_anew_from_the_found_one(tmp_path) -> None:
    put_mask(tmp_path / "masks" / "a.png", half_mask(class_id=5))
    project, item = project_with(tmp_path)
    project.save_annotation(item, *painted())
    (project.folder / "masks" / "images" / "a.jpg.png").unlink()
    annotation = project.load_annotation(item, 12, 8)
    assert set(np.unique(annotation.class_map)) == {5, 255}
    assert set(np.unique(annotation.provenance)) == {0, 4}


@pytest.mark.parametrize("bad", ["size", "colours", "empty", "text", "deep"])
def test_a_found_mask_that_cannot_be_used_is_told_and_left(tmp_path, bad) -> None:
    path = tmp_path / "masks" / "a.png"
    path.parent.mkdir()
    if bad == "size":
        put_mask(path, np.ones((8, 13)))
    elif bad == "colours":
        Image.new("RGB", (12, 8), (255, 0, 0)).save(path)
    elif bad == "empty":
        path.write_bytes(b"")
    elif bad == "text":
        path.write_text("hello")
    else:
        Image.fromarray(np.full((8, 12), 4000, np.uint16)).save(path)
    before = path.read_bytes()
    project, item = project_with(tmp_path)
    annotation = project.load_annotation(item, 12, 8)
    assert (annotation.class_map == 255).all()
    (notice,) = annotation.notices
    assert "a.png" in notice.title
    assert "not used" in notice.detail
    assert notice.remedy
    assert notice.item_key == item.key
    project.save_annotation(item, *painted())
    assert path.read_bytes() == before
    if bad == "size":
        assert "13 × 8" in notice.title
        assert "12 × 8" in notice.title


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_found_mask_of_the_unrotated_size_is_turned_and_told(tmp_path, orientation) -> None:
    stored = np.arange(96).reshape(8, 12) // 12
    put_mask(tmp_path / "masks" / "a.png", stored)
    project, item = project_with(tmp_path, orientation)
    annotation = project.load_annotation(item, 8, 12)
    turned = {5: stored.T, 6: np.rot90(stored, -1), 7: stored[::-1, ::-1].T, 8: np.rot90(stored)}[orientation]
    np.testing.assert_array_equal(annotation.class_map, turned)
    assert "turned" in annotation.notices[0].title


def test_a_mask_of_the_displayed_size_is_not_turned(tmp_path) -> None:
    displayed = np.arange(96).reshape(12, 8) // 8
    put_mask(tmp_path / "masks" / "a.png", displayed)
    project, item = project_with(tmp_path, 6)
    annotation = project.load_annotation(item, 8, 12)
    np.testing.assert_array_equal(annotation.class_map, displayed)
    assert annotation.notices == ()


def test_planes_of_different_sizes_are_refused(tmp_path) -> None:
    project, item = project_with(tmp_path)
    with pytest.raises(ValueError, match="one size"):
        project.save_annotation(item, np.zeros((8, 12), np.uint8), np.zeros((8, 11), np.uint8))
    assert not project.has_annotation(item)


def test_one_pixel(tmp_path) -> None:
    put_image(tmp_path / "dot.png", 1, 1)
    project = Project.open(tmp_path)
    item = project.items[0]
    project.save_annotation(item, np.zeros((1, 1), np.uint8), np.full((1, 1), 2, np.uint8))
    assert project.load_annotation(item, 1, 1).class_map.tolist() == [[0]]
