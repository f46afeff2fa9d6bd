"""Two windows save one project file; what each of them changed is there afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pspnet_core.classes import ClassDef, ClassSet
from pspnet_core.imaging.read import read_info
from pspnet_core.project import merging
from pspnet_core.project.id_claims import IdClaims
from pspnet_core.project.merging import ClassClashError, merged
from pspnet_core.project.plane_files import mask_path
from pspnet_core.project.project import Annotation, Project, Status
from pspnet_core.project.store import ProjectRecord, write_record
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


def save_mask(project: Project, key: str, class_id: int) -> None:
    info = read_info(project.item(key).image_path)
    class_map = np.full((info.height, info.width), class_id, np.uint8)
    project.save_annotation(project.item(key), class_map, np.full_like(class_map, 2))


def load(project: Project, key: str) -> Annotation:
    info = read_info(project.item(key).image_path)
    return project.load_annotation(project.item(key), info.width, info.height)


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


def test_classes_of_both_have_ids_of_their_own(windows: tuple[Project, Project]) -> None:
    one, two = windows
    one.add_class("tree")
    one.add_class("sky")
    assert two.add_class("Tree").indices == (0, 3)
    one.save()
    two.save()
    one.save()
    for project in (one, two, Project.open(one.root)):
        assert {c.index: c.name for c in project.classes} == {0: "road", 1: "tree (2)", 2: "sky", 3: "Tree"}


def test_what_would_be_given_is_not_claimed(windows: tuple[Project, Project]) -> None:
    one, two = windows
    would_be = one.with_classes([ClassDef(0, "tree", (1, 2, 3))]).indices
    assert [path.name for path in (one.folder / "class-ids").iterdir()] == ["0"]
    assert two.add_class("sky").indices == would_be
    assert one.with_classes([ClassDef(0, "tree", (1, 2, 3))]).indices == (0, 2)
    assert one.add_class("tree", wanted=1).indices == (0, 2)


def test_a_class_that_only_a_mask_told_of_gets_its_name_from_the_other_window(
    windows: tuple[Project, Project],
) -> None:
    one, two = windows
    one.add_class("tree")
    one.save()
    save_mask(one, "a.jpg", 1)
    assert not load(two, "a.jpg").notices
    assert two.classes.names == ("road", "tree")


def test_two_classes_with_one_id_are_not_saved(windows: tuple[Project, Project], monkeypatch) -> None:
    monkeypatch.setattr(IdClaims, "_is_free", lambda *_: True)
    monkeypatch.setattr(IdClaims, "_claim", lambda *_: True)  # as on a disk that is full
    one, two = windows
    one.add_class("tree")
    two.add_class("car")
    one.save()
    written = (one.folder / "project.json").read_bytes()
    with pytest.raises(ClassClashError, match="tree"):
        two.save()
    with pytest.raises(ClassClashError):
        save_mask(two, "b.jpg", 1)
    assert (one.folder / "project.json").read_bytes() == written
    assert not mask_path(two.folder, "b.jpg").exists()
    two.add_class("lorry", wanted=7)
    two.change_classes(lambda classes: ClassSet((c for c in classes if c.name != "car"), 0, ()))
    two.save()
    save_mask(two, "b.jpg", two.classes.indices[1])
    assert {c.index: c.name for c in two.classes} == {0: "road", 1: "tree", 7: "lorry"}


def test_a_class_that_was_removed_in_one_window_stays_removed(windows: tuple[Project, Project]) -> None:
    one, two = windows
    one.change_classes(lambda classes: ClassSet((), classes.next_index, (0,)))
    one.save()
    two.add_class("tree")
    two.save()
    assert two.classes.indices == (1,)
    assert two.add_class("sky").indices == (1, 2)


def test_a_class_that_was_added_while_the_file_was_written_does_not_undo_what_came(
    windows: tuple[Project, Project], monkeypatch
) -> None:
    one, two = windows
    two.add_class("tree")
    two.save()

    def write(*args: object) -> None:
        write_record(*args)
        if "sky" not in one.classes.names:
            one.add_class("sky")

    monkeypatch.setattr(merging, "write_record", write)
    one.set_state("a.jpg", status=Status.DONE)
    one.save()
    one.save()
    assert {c.index: c.name for c in Project.open(one.root).classes} == {0: "road", 1: "tree", 2: "sky"}


def test_where_to_look_for_images_is_taken_over(windows: tuple[Project, Project], tmp_path_factory) -> None:
    one, two = windows
    other = tmp_path_factory.mktemp("other")
    put_image(other / "d.jpg")
    one.add_source(other)
    one.save()
    two.save()
    two.set_state("a.jpg", status=Status.DONE)
    two.save()
    assert len(Project.open(one.root).items) == 4


def test_nothing_is_lost_between_processes(windows: tuple[Project, Project]) -> None:
    root = windows[0].root
    for number in range(30):
        put_image(root / f"n{number:02}.jpg")
    script = (
        "import sys; from pathlib import Path; from pspnet_core.project.project import Project, Status\n"
        "p = Project.open(Path(sys.argv[1]))\n"
        "for item in p.items[int(sys.argv[2])::2]: p.set_state(item.key, status=Status.DONE); p.save()"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(root), str(number)]) for number in (0, 1)]
    assert [process.wait() for process in running] == [0, 0]
    project = Project.open(root)
    assert [item.key for item in project.items if project.state(item.key).status is not Status.DONE] == []
    assert not (project.folder / "project.lock").exists()


def test_a_place_without_locks_is_written_as_well(windows: tuple[Project, Project], monkeypatch) -> None:
    @contextmanager
    def refused(_: Path):
        raise PermissionError
        yield

    monkeypatch.setattr(merging, "file_lock", refused)
    windows[0].set_state("a.jpg", status=Status.DONE)
    windows[0].save()
    assert Project.open(windows[0].root).state("a.jpg").status is Status.DONE


def test_the_record_is_free_while_it_is_saved(windows: tuple[Project, Project], monkeypatch) -> None:
    one, two = windows
    two.set_state("b.jpg", status=Status.DONE)
    two.save()
    real = ProjectRecord.to_json

    def to_json(record: ProjectRecord) -> dict[str, object]:
        thread = threading.Thread(target=lambda: one.set_state("c.jpg", status=Status.SKIPPED), daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        return real(record)

    monkeypatch.setattr(ProjectRecord, "to_json", to_json)
    one.save()
    assert one.state("b.jpg").status is Status.DONE
    assert one.state("c.jpg").status is Status.SKIPPED


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
