"""The sample: deterministic, varied, complete or not at all, and never at the cost of work done on it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from pspnet_core import sample
from pspnet_core.errors import StorageError
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.imaging.read import read_image
from pspnet_core.project.project import Project, Split
from pspnet_core.sample import CLASSES, truth_path, write_sample
from pspnet_core.sample_scene import RECIPES, paint_scene
from pspnet_core.sample_trees import Ground
from tests.helpers.tiny_files import contents


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("user") / "data" / "sample")


def test_it_opens_as_a_project_with_true_masks_aside(folder) -> None:
    project = Project.open(folder)
    assert project.notices == ()
    assert project.classes == CLASSES
    by_split = {split: [i for i in project.items if i.split is split] for split in Split}
    assert len(by_split[Split.TRAIN]) == 16
    assert len(by_split[Split.TEST]) == 8
    for item in project.items:
        assert not project.has_annotation(item)
        truth = read_class_map(truth_path(folder, item.split.value, item.image_path.stem))
        assert truth.shape == read_image(item.image_path).shape[:2]
    assert [p.name for p in folder.parent.iterdir()] == ["sample"]


def test_scenes_are_varied_and_hold_all_classes(folder) -> None:
    shares = np.array([np.bincount(read_class_map(p).ravel(), minlength=5) for p in folder.glob(".truth/*/*.png")])
    assert shares.shape == (24, 5)
    present = (shares > 300).sum(axis=0)
    assert (present >= 12).all(), f"images per class: {present}"
    total = shares.sum(axis=0) / shares.sum()
    assert total.min() > 0.02, f"shares: {total}"
    assert total.max() < 0.75, f"shares: {total}"
    for split in ("train", "test"):
        maps = [read_class_map(p) for p in folder.glob(f".truth/{split}/*.png")]
        assert set(np.unique(np.concatenate([m.ravel() for m in maps]))) == set(range(5))
    means = [read_image(p, max_side=64).mean(axis=(0, 1)) for p in folder.glob("images/*/*.jpg")]
    assert np.std(means, axis=0).min() > 4, "the light is the same everywhere"


def test_no_class_is_told_by_its_colour_alone() -> None:
    """The nearest mean colour must not do: a network has to look at shapes and texture."""
    image, truth = paint_scene(RECIPES[1], 7, 320, 240)
    pixels, labels = image.reshape(-1, 3).astype(float), truth.ravel()
    ids = [index for index in np.unique(labels) if (labels == index).sum() > 100]
    means = np.array([pixels[labels == index].mean(0) for index in ids])
    nearest = np.array(ids)[((pixels[:, None] - means) ** 2).sum(2).argmin(1)]
    ious = [((nearest == i) & (labels == i)).sum() / ((nearest == i) | (labels == i)).sum() for i in ids]
    assert np.mean(ious) < 0.7


def test_the_same_seed_paints_the_same_picture() -> None:
    first, second = (paint_scene(RECIPES[0], 3, 200, 150) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (first[0] != paint_scene(RECIPES[0], 4, 200, 150)[0]).any()
    assert set(np.unique(first[1])) <= set(Ground)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("size", [(64, 48), (97, 131)])
def test_any_size_can_be_painted(recipe, size) -> None:
    image, truth = paint_scene(recipe, 11, *size)
    assert image.shape == (size[1], size[0], 3)
    assert truth.shape == (size[1], size[0])


def test_a_second_call_changes_nothing_and_a_partial_sample_is_completed(folder) -> None:
    before = contents(folder)
    project = Project.open(folder)
    item = project.items[0]
    shape = read_image(item.image_path).shape[:2]
    project.save_annotation(item, np.ones(shape, np.uint8), np.full(shape, 2, np.uint8))
    with_work = contents(folder)
    assert write_sample(folder) == folder
    assert contents(folder) == with_work
    item.image_path.unlink()
    truth_path(folder, "train", "scene_02").unlink()
    (folder / "classes.json").unlink()
    write_sample(folder)
    assert contents(folder) == with_work
    assert {name: with_work[name] for name in before} == before


def test_an_interrupted_start_leaves_no_folder(tmp_path, monkeypatch) -> None:
    calls = []

    def paint(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return paint_scene(RECIPES[0], 1, 64, 48)

    monkeypatch.setattr(sample, "paint_scene", paint)
    with pytest.raises(StorageError, match="full"):
        write_sample(tmp_path / "data" / "sample")
    assert os.listdir(tmp_path / "data") == []
