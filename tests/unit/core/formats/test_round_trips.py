"""What is exported and imported again is the same, pixel by pixel and by name, where the format can hold it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pspnet_core.project.formats.catalogue import FORMATS
from pspnet_core.project.project import Project, Status
from pspnet_core.types import Provenance
from tests.helpers.formats import CLASSES, bare_copy, export, make_project, named, ring_map, take_over

KEYS = ("images/train/a.jpg", "images/val/deep dir/b.png", "c.png", "c.jpg")


def expected(class_map: np.ndarray) -> np.ndarray:
    names = np.array([CLASSES[i].name if i in CLASSES else "" for i in range(256)])
    return names[class_map]


def plain(names: np.ndarray, form: str) -> np.ndarray:
    """The names as the format can hold them."""
    return np.char.replace(names, ":", "_") if form == "cvat-mask" else names


@pytest.mark.parametrize("form", FORMATS)
def test_every_pixel_comes_back(form, tmp_path) -> None:
    maps = {key: np.roll(ring_map(), n, axis=1) for n, key in enumerate(KEYS)}
    project = make_project(tmp_path / "root", maps)
    finished = export(project, tmp_path / "out", form)
    assert (finished.num_written, finished.failures) == (4, ())
    assert finished.mean_iou in (None, 1.0)
    json.dumps(finished.to_json())
    other = bare_copy(project, tmp_path / "other")
    taken = take_over(other, tmp_path / "out", form)
    assert taken.failures == ()
    assert taken.num_changed == 4
    for key, class_map in maps.items():
        np.testing.assert_array_equal(named(other, key), plain(expected(class_map), form))
        item = other.item(key)
        annotation = other.load_annotation(item, 14, 10)
        assert set(np.unique(annotation.provenance)) == {Provenance.UNTOUCHED, Provenance.IMPORTED}


@pytest.mark.parametrize("form", FORMATS)
def test_the_format_is_guessed_and_a_second_import_changes_nothing(form, tmp_path) -> None:
    project = make_project(tmp_path / "root", {"a.png": ring_map()})
    export(project, tmp_path / "out", form)
    other = bare_copy(project, tmp_path / "other")
    assert take_over(other, tmp_path / "out").num_changed == 1
    assert take_over(other, tmp_path / "out").num_changed == 0


_maps = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from((0, 1, 7, 255)),
)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(class_map=_maps)
def test_random_maps_come_back(form, class_map) -> None:
    if (class_map == 255).all():
        class_map[0, 0] = 1
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder, "root"), {"a.png": class_map})
        export(project, Path(folder, "out"), form)
        other = bare_copy(project, Path(folder, "other"))
        take_over(other, Path(folder, "out"), form)
        np.testing.assert_array_equal(named(other, "a.png"), plain(expected(class_map), form))


@pytest.mark.parametrize("form", ["labelme", "cvat"])
@pytest.mark.parametrize("shapes", ["polygon", "mask"])
def test_polygons_with_cuts_and_masks_keep_holes(form, shapes, tmp_path) -> None:
    project = make_project(tmp_path / "root", {"a.png": ring_map()})
    assert export(project, tmp_path / "out", form, shapes=shapes).mean_iou == 1.0
    other = bare_copy(project, tmp_path / "other")
    take_over(other, tmp_path / "out", form)
    np.testing.assert_array_equal(named(other, "a.png"), expected(ring_map()))


@pytest.mark.parametrize("form", [form for form, row in FORMATS.items() if row.has_shapes])
def test_a_tolerance_costs_pixels_and_says_so(form, tmp_path) -> None:
    rows, columns = np.mgrid[:60, :80]
    class_map = np.where((rows - 30) ** 2 + (columns - 40) ** 2 < 500, 1, 255).astype(np.uint8)
    class_map[2, 2] = 0
    project = make_project(tmp_path / "root", {"a.png": class_map})
    exact, coarse = (
        export(project, tmp_path / f"out{n}", form, tolerance_px=tolerance) for n, tolerance in enumerate((0, 3))
    )
    assert exact.mean_iou == 1.0
    assert exact.remarks == () or form == "yolo"
    assert coarse.mean_iou is not None
    assert 0.2 < coarse.mean_iou < 1
    assert any("pixels" in remark.title or "regions" in remark.title for remark in coarse.remarks)


def test_what_another_window_has_is_told_and_the_others_are_imported(tmp_path: Path) -> None:
    maps = {f"{name}.png": ring_map() for name in "abc"}
    source = make_project(tmp_path / "from", maps)
    export(source, tmp_path / "out", "png")
    project = bare_copy(source, tmp_path / "to")
    project.save()
    other = Project.open(project.root)
    assert other.locks.acquire("b.png") is None
    done = take_over(project, tmp_path / "out", "png")
    assert [failure.item_key for failure in done.failures] == ["b.png"]
    assert done.num_changed == 2
    assert [project.state(key).labelled_px > 0 for key in maps] == [True, False, True]
    assert project.state("b.png").status is Status.NEW
