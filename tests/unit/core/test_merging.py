"""Two windows save one project file; what each of them changed is there afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pspnet_core.project.merging import merged
from pspnet_core.project.project import Project, Status
from tests.helpers.tiny_files import put_image

KEYS = ("a.jpg", "b.jpg", "c.jpg")


@pytest.fixture
def windows(tmp_path: Path) -> tuple[Project, Project]:
    for key in KEYS:
        put_image(tmp_path / key)
    project = Project.open(tmp_path)
    project.add_class("road")
    project.save()
    return Project.open(tmp_path), Project.open(tmp_path)


def test_what_each_changed_is_kept_and_known_to_both(windows: tuple[Project, Project]) -> None:
    one, two = windows
    one.set_state("a.jpg", status=Status.DONE)
    one.settings["mine"] = 1
    one.save()
    two.set_state("b.jpg", status=Status.SKIPPED)
    two.settings["theirs"] = 2
    two.add_class("tree")
    two.save()
    assert two.state("a.jpg").status is Status.DONE
    one.set_state("c.jpg", status=Status.IN_PROGRESS)
    one.save()
    for project in (one, Project.open(one.root)):
        assert [project.state(key).status for key in KEYS] == [Status.DONE, Status.SKIPPED, Status.IN_PROGRESS]
        assert project.settings == {"mine": 1, "theirs": 2}
        assert project.classes.names == ("road", "tree")


def test_where_both_changed_one_thing_the_last_one_stays(windows: tuple[Project, Project]) -> None:
    one, two = windows
    one.set_state("a.jpg", status=Status.DONE)
    two.set_state("a.jpg", status=Status.SKIPPED)
    one.save()
    two.save()
    assert Project.open(one.root).state("a.jpg").status is Status.SKIPPED
    two.set_state("a.jpg", status=Status.NEW)  # as if nothing was ever said about it
    two.save()
    one.save()
    assert one.state("a.jpg").status is Status.NEW


def test_classes_of_both(windows: tuple[Project, Project]) -> None:
    one, two = windows
    one.add_class("tree")
    one.add_class("sky")
    one.save()
    two.add_class("Tree")
    two.save()
    names = Project.open(one.root).classes.names
    assert names == ("road", "Tree", "sky")
    assert len({c.index for c in Project.open(one.root).classes}) == 3


def test_a_file_that_was_damaged_meanwhile_is_written_anew_and_kept(windows: tuple[Project, Project]) -> None:
    one, _ = windows
    path = one.folder / "project.json"
    path.write_bytes(b"{")
    one.set_state("a.jpg", status=Status.DONE)
    one.save()
    assert Project.open(one.root).state("a.jpg").status is Status.DONE
    assert b"{" in [backup.path.read_bytes() for backup in one.backups.projects()]


def test_what_a_newer_program_wrote_stays(windows: tuple[Project, Project]) -> None:
    one, _ = windows
    path = one.folder / "project.json"
    data = json.loads(path.read_bytes())
    path.write_text(json.dumps(data | {"from_the_future": [1]}))
    one.set_state("a.jpg", status=Status.DONE)
    one.save()
    assert json.loads(path.read_bytes())["from_the_future"] == [1]


def test_a_value_that_was_removed_on_one_side() -> None:
    before = {"items": {}, "settings": {"a": 1, "b": 2}, "classes": None}
    ours = {"items": {}, "settings": {"b": 2}, "classes": None}
    theirs = {"items": {}, "settings": {"a": 1}, "classes": None}
    assert merged(ours, before, theirs)["settings"] == {}
