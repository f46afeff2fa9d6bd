"""Earlier versions of the project file and of masks: made before anything is written over, and good to go back to."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pspnet_core.errors import ClassMapError, ProjectError, StorageError
from pspnet_core.imaging.class_maps import read_class_map
from pspnet_core.imaging.read import read_info
from pspnet_core.project import backups
from pspnet_core.project.backups import EVERY_S, NUM_MASKS, NUM_PROJECTS, Backups, describe_project
from pspnet_core.project.plane_files import mask_path, provenance_path
from pspnet_core.project.project import Project, Status
from pspnet_core.project.store import ProjectDamagedError
from tests.helpers.tiny_files import put_image

KEY = "images/a.jpg"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def project(tmp_path: Path, clock: Clock) -> Project:
    put_image(tmp_path / "root" / KEY)
    project = Project.open(tmp_path / "root")
    project.backups = Backups(project.folder, clock)
    return project


def save(project: Project, class_id: int) -> None:
    info = read_info(project.item(KEY).image_path)
    class_map = np.full((info.height, info.width), class_id, np.uint8)
    project.save_annotation(project.item(KEY), class_map, np.full_like(class_map, 2))


@pytest.mark.parametrize("has_links", [True, False])
def test_a_mask_is_kept_before_it_is_written_over(project: Project, clock: Clock, monkeypatch, has_links: bool) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", no_link)
    save(project, 1)
    assert project.backups.masks(KEY) == []
    save(project, 2)
    save(project, 3)  # soon after
    clock.now += EVERY_S
    save(project, 4)
    found = project.backups.masks(KEY)
    assert [int(project.backups.read_mask(backup)[0][0, 0]) for backup in found] == [3, 1]
    assert all((project.backups.read_mask(backup)[1] == 2).all() for backup in found)
    project.backups.keep_mask(KEY, is_forced=True)
    assert int(project.backups.read_mask(project.backups.masks(KEY)[0])[0][0, 0]) == 4


def test_only_the_last_ones_stay(project: Project, clock: Clock) -> None:
    for class_id in range(NUM_MASKS + 6):
        save(project, class_id)
        clock.now += EVERY_S
    found = project.backups.masks(KEY)
    assert [int(project.backups.read_mask(backup)[0][0, 0]) for backup in found] == [9, 8, 7, 6, 5]
    assert len(list(found[0].path.parent.iterdir())) == 2 * NUM_MASKS


def test_all_masks_together_stay_within_the_budget(project: Project, clock: Clock, monkeypatch) -> None:
    monkeypatch.setattr(backups, "BUDGET_BYTES", 1000)
    for class_id in range(8):
        save(project, class_id)
        clock.now += EVERY_S
    folder = project.folder / "backups" / "masks"
    assert 0 < sum(path.stat().st_size for path in folder.rglob("*.png")) <= 1000


def test_generations_of_the_project_file(project: Project, clock: Clock) -> None:
    project.save()
    for n in range(NUM_PROJECTS + 5):
        project.settings["n"] = n
        project.save()
        project.save()  # nothing new
        clock.now += EVERY_S
    found = project.backups.projects()
    assert len(found) == NUM_PROJECTS
    values = [json.loads(backup.path.read_bytes())["settings"].get("n") for backup in found]
    assert values == sorted(values, reverse=True)
    assert values[0] == NUM_PROJECTS + 3


def test_a_damaged_project_file_blocks_and_a_backup_opens_it_again(project: Project, clock: Clock) -> None:
    project.add_class("road")
    project.set_state(KEY, status=Status.DONE)
    project.save()
    project.settings["later"] = True
    project.save()
    path = project.folder / "project.json"
    for damage in (b"", b"{", b"[" * 200_000, b'{"format": 1}'):
        path.write_bytes(damage)
        with pytest.raises(ProjectDamagedError) as caught:
            Project.open(project.root)
        assert caught.value.path == path
        assert "backups" in caught.value.remedy
        assert path.read_bytes() == damage
    (newest, *_) = project.backups.projects()
    assert describe_project(newest) == {"classes": 1, "images": 1, "done": 1}
    project.backups.restore_project(newest)
    again = Project.open(project.root)
    assert again.state(KEY).status is Status.DONE
    assert again.classes.names == ("road",)
    assert path.with_name("project.json.aside").read_bytes() == b'{"format": 1}'


def test_a_damaged_mask_blocks_and_a_backup_takes_its_place(project: Project) -> None:
    save(project, 1)
    save(project, 2)
    item = project.item(KEY)
    info = read_info(item.image_path)
    path = mask_path(project.folder, KEY)
    path.write_bytes(b"damaged")
    with pytest.raises(ClassMapError):
        project.load_annotation(item, info.width, info.height)
    (newest,) = project.backups.masks(KEY)
    project.backups.restore_mask(KEY, newest)
    found = project.load_annotation(item, info.width, info.height)
    assert (found.class_map == 1).all()
    assert (read_class_map(provenance_path(project.folder, KEY)) == 2).all()
    assert path.with_name(path.name + ".aside").read_bytes() == b"damaged"


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("step", range(5))
def test_a_disk_that_is_full_leaves_the_damaged_mask(project: Project, monkeypatch, step: int, has_links: bool) -> None:
    save(project, 1)
    save(project, 2)
    path = mask_path(project.folder, KEY)
    path.write_bytes(b"damaged")
    (newest,) = project.backups.masks(KEY)
    steps = iter(range(99))

    def at_its_step(does, *args: object) -> object:
        if next(steps) == step:
            raise OSError(errno.ENOSPC, "No space left on device")
        return does(*args)

    def link(*args: object) -> object:
        if not has_links:
            raise OSError(errno.EPERM, "no links here")
        return at_its_step(real_link, *args)

    real_link, real_copy = os.link, shutil.copyfileobj
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link)
        patch.setattr(backups.shutil, "copyfileobj", lambda *args: at_its_step(real_copy, *args))
        if step < 4:  # two files are kept, two are copied
            with pytest.raises(StorageError, match="disk is full"):
                project.backups.restore_mask(KEY, newest)
            assert path.read_bytes() == b"damaged"
            assert provenance_path(project.folder, KEY).exists()
        project.backups.restore_mask(KEY, newest)
    assert (read_class_map(path) == 1).all()
    assert [one.read_bytes() for one in path.parent.glob("*.aside")] == [b"damaged"]


def test_what_was_kept_beside_a_restored_mask_is_kept_at_the_next_one(project: Project) -> None:
    save(project, 1)
    save(project, 2)
    path = mask_path(project.folder, KEY)
    (newest,) = project.backups.masks(KEY)
    for damage in (b"one", b"two"):
        path.unlink()
        path.write_bytes(damage)
        project.backups.restore_mask(KEY, newest)
    assert sorted(one.read_bytes() for one in path.parent.glob("*.aside")) == [b"one", b"two"]


def test_a_damaged_backup_is_not_put_back(project: Project) -> None:
    project.save()
    project.settings["a"] = 1
    project.save()
    save(project, 1)
    save(project, 2)
    mask, record = project.backups.masks(KEY)[0], project.backups.projects()[0]
    for backup in (mask, record):
        data = backup.path.read_bytes()
        backup.path.unlink()
        backup.path.write_bytes(data[:20])
    with pytest.raises(ClassMapError):
        project.backups.restore_mask(KEY, mask)
    with pytest.raises(ProjectError):
        project.backups.restore_project(record)
    assert (read_class_map(mask_path(project.folder, KEY)) == 2).all()
    Project.open(project.root)


def test_what_cannot_be_kept_is_not_written_over(project: Project, monkeypatch) -> None:
    save(project, 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StorageError, match="disk is full"):
        save(project, 2)
    assert (read_class_map(mask_path(project.folder, KEY)) == 1).all()
