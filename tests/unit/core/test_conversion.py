"""Converting a class in all masks of a project, and taking it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pspnet_core.errors import StorageError
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.conversion import conversion_patch, convert_class, count_class, inverse_patch, take_back
from pspnet_core.project.project import Project
from pspnet_core.types import UNLABELLED, Provenance
from tests.helpers.folders import files_below, make_data_set


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.open(make_data_set(tmp_path / "meadow"))


def planes_of(project: Project, key: str) -> tuple[np.ndarray, np.ndarray]:
    annotation = project.load_annotation(project.item(key), 160, 120)
    return annotation.class_map, annotation.provenance


def test_counts_are_of_every_mask(project: Project) -> None:
    counts = {event.item_key: event.num_pixels for event in count_class(project, 1)}
    assert len(counts) == 6
    for key, count in counts.items():
        assert count == (planes_of(project, key)[0] == 1).sum() > 0


def test_it_converts_by_hand_and_leaves_found_masks_alone(project: Project) -> None:
    before = {item.key: planes_of(project, item.key) for item in project.items}
    files = files_below(project.root)
    skipped = project.items[0].key
    events = list(convert_class(project, 1, 0, [skipped]))
    assert [event.item_key for event in events] == [item.key for item in project.items[1:]]
    for key, (classes, provenance) in before.items():
        now, source = planes_of(project, key)
        mask = (classes == 1) & (key != skipped)
        assert np.array_equal(now, np.where(mask, 0, classes))
        assert np.array_equal(source, np.where(mask, Provenance.PAINTED, provenance))
    assert files_below(project.root) == files
    assert all(event.patch is None for event in convert_class(project, 1, 0, [skipped]))


def test_it_can_be_taken_back_where_nothing_was_changed_since(project: Project) -> None:
    before = {item.key: planes_of(project, item.key) for item in project.items}
    patches = [event.patch for event in convert_class(project, 1, UNLABELLED) if event.patch is not None]
    assert (planes_of(project, project.items[0].key)[1] == Provenance.ERASED).any()
    first = project.items[0]
    classes, provenance = planes_of(project, first.key)
    row = int(np.flatnonzero((before[first.key][0] == 1).any(axis=1))[0])
    classes[row], provenance[row] = 0, Provenance.PAINTED
    project.save_annotation(first, classes, provenance)
    assert all(event.patch is not None for event in take_back(project, patches))
    for key, (old_classes, old_provenance) in before.items():
        if key == first.key:
            old_classes[row], old_provenance[row] = 0, Provenance.PAINTED
        now = planes_of(project, key)
        assert np.array_equal(now[0], old_classes)
        assert np.array_equal(now[1], old_provenance)
    assert all(event.patch is None for event in take_back(project, patches)), "nothing is left to be taken back"


def test_an_unreadable_item_is_told_and_the_others_go_on(project: Project) -> None:
    bad = project.items[2]
    bad.image_path.write_bytes(b"no picture any more")
    assert [event.item_key for event in count_class(project, 1) if event.failure] == [bad.key]
    events = list(convert_class(project, 1, 0))
    assert [event.item_key for event in events if event.failure] == [bad.key]
    assert sum(event.patch is not None for event in events) == 5


def test_what_another_window_has_is_told_and_the_others_go_on(project: Project) -> None:
    locked, changed = project.items[1].key, project.items[3].key
    project.save_annotation(project.item(changed), *planes_of(project, changed))
    other = Project.open(project.root)
    assert other.locks.acquire(locked) is None
    project.masks.note(changed)
    other.save_annotation(other.item(changed), *planes_of(other, changed))
    events = list(convert_class(project, 1, 0))
    assert [event.item_key for event in events if event.failure] == [locked, changed]
    assert sum(event.patch is not None for event in events) == 4
    assert (planes_of(other, locked)[0] == 1).any()
    other.locks.release(locked)
    taken = project.items[0].key
    assert other.locks.acquire(taken) is None
    back = list(take_back(project, [event.patch for event in events if event.patch is not None]))
    assert [event.item_key for event in back if event.failure] == [taken]
    assert sum(event.patch is not None for event in back) == 3


def test_a_write_that_fails_leaves_whole_files(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    running = convert_class(project, 1, 0)
    done = next(running)
    with monkeypatch.context() as patch:
        patch.setattr(Project, "save_annotation", _full)
        with pytest.raises(StorageError):
            list(running)
    assert not (planes_of(project, done.item_key)[0] == 1).any()
    assert all((planes_of(project, item.key)[0] == 1).any() for item in project.items if item.key != done.item_key)


def _full(*_: object) -> None:
    raise StorageError("The disk is full.")


def test_nonsense_is_refused(project: Project) -> None:
    for pair in ((1, 1), (255, 0), (0, 256)):
        with pytest.raises(ValueError, match="convert"):
            next(convert_class(project, *pair))


def test_a_patch_and_its_inverse() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, (700, 600)).astype(np.uint8)
    planes = PlaneStore.from_array(classes, UNLABELLED), PlaneStore.from_array(classes % 3, 0)
    patch = conversion_patch("a", planes, 2, 1)
    assert patch is not None
    assert patch.num_changed == (classes == 2).sum()
    patch.apply(*planes)
    assert conversion_patch("a", planes, 2, 1) is None
    inverse = inverse_patch(patch, planes)
    assert inverse is not None
    inverse.apply(*planes)
    assert np.array_equal(planes[0].to_array(), classes)
    assert np.array_equal(planes[1].to_array(), classes % 3)
    with pytest.raises(ValueError, match="reaches over"):
        inverse_patch(patch, (PlaneStore(50, 50), PlaneStore(50, 50)))
