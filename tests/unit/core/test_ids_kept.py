"""An id in a saved mask is given to no other class: not by an older project file, not by a new one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pspnet_core.imaging.read import read_info
from pspnet_core.project import class_ids
from pspnet_core.project.project import Project
from tests.helpers.tiny_files import put_image

KEY = "images/a.jpg"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """With "bg" in its backup, "bg" and "road" in its file, and a saved mask of "road"."""
    put_image(tmp_path / "root" / KEY)
    project = Project.open(tmp_path / "root")
    project.add_class("bg")
    project.save()
    project.backups.keep_project()
    project.add_class("road")
    project.save()
    info = read_info(project.item(KEY).image_path)
    class_map = np.ones((info.height, info.width), np.uint8)
    project.save_annotation(project.item(KEY), class_map, np.full_like(class_map, 2))
    project.save()
    return project


def restored(project: Project) -> Project:
    project.backups.restore_project(project.backups.projects()[-1])
    return Project.open(project.root)


def test_a_restored_project_file_gives_no_id_that_was_given_since(project: Project) -> None:
    again = restored(project)
    assert again.classes.names == ("bg",)
    assert again.uuid == project.uuid
    assert again.add_class("tree").indices == (0, 2)


@pytest.mark.parametrize("is_there", [True, False])
def test_where_the_file_before_is_lost_the_masks_tell(project: Project, is_there: bool) -> None:
    path = project.folder / "project.json"
    path.unlink()
    if is_there:
        path.write_bytes(b"{")
    again = restored(project)
    assert again.classes.names == ("bg",)
    assert again.add_class("tree").indices == (0, 2)


def test_a_removed_class_stays_removed_and_its_id_reserved(project: Project) -> None:
    project.set_classes(type(project.classes)((project.classes[0],), 2, (1,)))
    project.save()
    assert restored(project).add_class("tree").indices == (0, 2)


def test_a_new_project_file_takes_the_ids_of_the_masks_for_classes(project: Project) -> None:
    path = project.folder / "project.json"
    path.rename(path.with_name("old.json"))
    again = Project.open(project.root)
    assert again.classes.indices == (1,)
    assert again.add_class("tree").indices == (1, 2)


def test_masks_too_many_to_be_read_let_new_classes_take_the_largest_ids(project: Project, monkeypatch) -> None:
    info = read_info(project.item(KEY).image_path)
    class_map = np.full((info.height, info.width), 7, np.uint8)
    put_image(project.root / "images/b.jpg")
    project.rescan()
    project.save_annotation(project.item("images/b.jpg"), class_map, np.full_like(class_map, 2))
    (project.folder / "project.json").write_bytes(b"{")
    monkeypatch.setattr(class_ids, "MAX_MASKS", 1)
    assert restored(project).add_class("tree").indices == (0, 254)


def test_masks_of_ours_are_read_once(project: Project, monkeypatch) -> None:
    monkeypatch.setattr("pspnet_core.project.plane_files.own_masks", lambda _: pytest.fail("read again"))
    Project.open(project.root).rescan()
