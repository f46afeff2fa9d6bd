"""Projects: what is read, what is written where, and that nothing is ever lost."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pspnet_core.classes import ClassSet
from pspnet_core.errors import ClassSetError, ProjectError, StorageError
from pspnet_core.project import class_ids, pages, places
from pspnet_core.project.discovery import natural_key
from pspnet_core.project.project import Project, Split, Status
from pspnet_core.project.records import PixelCounts
from pspnet_core.types import Provenance
from tests.helpers.tiny_files import contents, half_mask, put_image, put_mask


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "root"
    put_image(folder / "images/train/a.jpg")
    put_image(folder / "images/train/b.png")
    put_image(folder / "images/test/c.jpg")
    put_mask(folder / "masks/train/a.png", half_mask(class_id=2, other=0))
    return folder


@pytest.fixture(autouse=True)
def user_data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(places, "user_data_folder", lambda: tmp_path / "user-data")
    return tmp_path / "user-data"


def planes(class_id: int = 1) -> tuple[np.ndarray, np.ndarray]:
    class_map = half_mask(class_id=class_id)
    return class_map, np.where(class_map == 255, 0, 2).astype(np.uint8)


def test_opening_writes_nothing_and_the_first_change_writes_only_our_folder(root, user_data) -> None:
    before = contents(root)
    project = Project.open(root)
    assert [item.key for item in project.items] == ["images/test/c.jpg", "images/train/a.jpg", "images/train/b.png"]
    assert [item.split for item in project.items] == [Split.TEST, Split.TRAIN, Split.TRAIN]
    item = project.item("images/train/a.jpg")
    project.load_annotation(item, 12, 8)
    assert contents(root) == before
    assert not project.folder.exists()
    project.save_annotation(item, *planes())
    project.set_state(item.key, status=Status.DONE)
    project.save()
    after = contents(root)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} == {
        ".pspnet-studio/project.json",
        ".pspnet-studio/backups/project/000001.json",
        ".pspnet-studio/masks/images/train/a.jpg.png",
        ".pspnet-studio/provenance/images/train/a.jpg.png",
    }
    assert not user_data.exists()


def test_everything_comes_back(root) -> None:
    project = Project.open(root)
    item = project.item("images/train/b.png")
    project.set_classes(project.classes.add("roof", (1, 2, 3), 1).change(2, visible=False))
    project.settings["brush"] = {"diameter": 20}
    class_map, provenance = planes()
    provenance[0, -1] = 3  # erased by hand
    project.save_annotation(item, class_map, provenance)
    project.set_state(item.key, status=Status.IN_PROGRESS, unaided_blocks="ff00", prediction_shown=True)
    project.save()
    again = Project.open(root)
    assert again.uuid == project.uuid
    assert again.classes == project.classes
    assert again.settings == {"brush": {"diameter": 20}}
    assert again.state(item.key) == project.state(item.key)
    state = again.state(item.key)
    assert (state.labelled_px, state.total_px) == (48, 96)
    assert state.painted_px == int((provenance[class_map != 255] == 2).sum())
    assert state.accepted_px == int((provenance[class_map != 255] == 1).sum())
    annotation = again.load_annotation(again.item(item.key), 12, 8)
    np.testing.assert_array_equal(annotation.class_map, class_map)
    np.testing.assert_array_equal(annotation.provenance, provenance)
    assert annotation.notices == ()
    data = json.loads((root / ".pspnet-studio/project.json").read_text())
    assert data["format"] == 1
    assert list(data["items"]) == [item.key]


def test_painted_and_accepted_pixels_are_counted_in_bands_of_any_size() -> None:
    rng = np.random.default_rng(0)
    class_map = rng.choice(np.array([0, 1, 255], np.uint8), (700, 30))
    provenance = rng.integers(0, 5, (700, 30), np.uint8)
    counts = PixelCounts.of(class_map, provenance)
    labelled = class_map != 255
    assert counts.to_state() == {
        "labelled_px": int(labelled.sum()),
        "total_px": 700 * 30,
        "painted_px": int((labelled & (provenance == 2)).sum()),
        "accepted_px": int((labelled & (provenance == 1)).sum()),
    }


def test_found_masks_are_imported_and_our_own_go_before_them(root) -> None:
    project = Project.open(root)
    item = project.item("images/train/a.jpg")
    assert project.has_annotation(item)
    assert not project.has_annotation(project.item("images/train/b.png"))
    annotation = project.load_annotation(item, 12, 8)
    np.testing.assert_array_equal(annotation.class_map, half_mask(class_id=2, other=0))
    assert (annotation.provenance == 4).all()
    project.save_annotation(item, *planes(1))
    assert (project.load_annotation(item, 12, 8).class_map == half_mask(class_id=1)).all()
    untouched = project.load_annotation(project.item("images/test/c.jpg"), 12, 8)
    assert (untouched.class_map == 255).all()
    assert (untouched.provenance == 0).all()


def test_classes_from_the_table_or_from_the_masks(root) -> None:
    assert [(c.index, c.name) for c in Project.open(root).classes] == [(0, "class 0"), (2, "class 2")]
    table = {"classes": [{"index": 5, "name": "sky", "color": [1, 2, 3]}]}
    (root / "classes.json").write_text(json.dumps(table))
    project = Project.open(root)
    assert project.classes.names == ("sky",)
    annotation = project.load_annotation(project.item("images/train/a.jpg"), 12, 8)
    assert project.classes.indices == (5, 0, 2)
    assert "class 0, class 2" in annotation.notices[0].detail
    assert project.load_annotation(project.item("images/train/a.jpg"), 12, 8).notices == ()


@pytest.mark.parametrize("text", ["[1, 2]", "{", '{"classes": [{"index": 300, "name": "x"}]}', '{"classes": 3}'])
def test_a_foreign_class_table_is_told_and_not_used(root, text) -> None:
    (root / "classes.json").write_text(text)
    project = Project.open(root)
    assert any("classes.json" in notice.title for notice in project.notices)
    assert project.classes.indices == (0, 2)


def test_all_255_ids_can_be_found_in_a_mask(root) -> None:
    values = np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32)
    put_image(root / "images/train/z.png", 32, 32)
    put_mask(root / "masks/train/z.png", values)
    project = Project.open(root)
    project.load_annotation(project.item("images/train/z.png"), 32, 32)
    assert sorted(project.classes.indices) == list(range(255))


def test_added_classes_avoid_taken_names(root) -> None:
    project = Project.open(root)
    project.set_classes(ClassSet().add("class 2", index=9).add("class 2 (2)"))
    project.load_annotation(project.item("images/train/a.jpg"), 12, 8)
    assert project.classes[2].name == "class 2 (3)"


def put_many_masks(root: Path, num: int, rare_at: int, rare_id: int) -> str:
    """Masks of class 1, one of which holds a rare class too; the key of its image."""
    for number in range(num):
        put_image(root / f"images/train/m{number}.png")
        put_mask(root / f"masks/train/m{number}.png", half_mask(other=rare_id if number == rare_at else 255))
    return f"images/train/m{rare_at}.png"


@pytest.mark.parametrize("table", [None, {"classes": [{"index": 1, "name": "ground"}]}])
def test_no_new_class_gets_an_id_that_lies_in_some_mask(root, table) -> None:
    rare = put_many_masks(root, 40, 33, 3)
    if table is not None:
        (root / "classes.json").write_text(json.dumps(table))
    project = Project.open(root)
    boat = project.add_class("boat").indices[-1]
    assert boat not in (0, 1, 2, 3)
    class_map = project.load_annotation(project.item(rare), 12, 8).class_map
    assert set(np.unique(class_map)) == {1, 3}
    assert project.classes[3].name == "class 3"
    assert project.classes[boat].name == "boat"


def test_masks_that_come_later_keep_their_ids_too(root) -> None:
    project = Project.open(root)
    put_mask(root / "masks/train/b.png", half_mask(class_id=3))
    project.rescan()
    assert project.add_class("boat").indices[-1] == 4
    project.save()
    put_mask(root / "masks/test/c.png", half_mask(class_id=5))
    again = Project.open(root)
    assert again.add_class("ship").indices[-1] == 6
    assert again.load_annotation(again.item("images/test/c.jpg"), 12, 8).class_map[0, 0] == 5
    assert [again.classes[i].name for i in (4, 5, 6)] == ["boat", "class 5", "ship"]


def test_masks_are_read_once(root, monkeypatch) -> None:
    put_many_masks(root, 10, 3, 3)
    project = Project.open(root)
    project.save()
    monkeypatch.setattr(class_ids, "read_class_map", lambda path: pytest.fail(f"{path} is read again"))
    assert Project.open(root).classes == project.classes
    project.rescan()


def test_too_many_masks_are_not_all_read_and_still_no_id_has_two_meanings(root, monkeypatch) -> None:
    rare = put_many_masks(root, 40, 33, 254)
    read = []
    original = class_ids.read_class_map
    monkeypatch.setattr(class_ids, "read_class_map", lambda path: read.append(path) or original(path))
    monkeypatch.setattr(class_ids, "MAX_MASKS", 10)
    project = Project.open(root)
    assert 5 <= len(read) <= 10
    assert project.add_class("boat").indices[-1] == 254
    project.save()
    for opened in (project, Project.open(root)):
        annotation = opened.load_annotation(opened.item(rare), 12, 8)
        assert (annotation.class_map == 255).all()
        assert "254 (boat)" in annotation.notices[0].detail
        assert (opened.load_annotation(opened.item("images/train/m2.png"), 12, 8).class_map == 1).any()
    assert Project.open(root).add_class("ship").indices[-1] == 253


def test_classes_that_masks_bring_meanwhile_are_not_lost(root) -> None:
    (root / "classes.json").write_text('{"classes": [{"index": 9, "name": "sky"}]}')
    project = Project.open(root)
    item = project.item("images/train/a.jpg")

    def change(classes: ClassSet) -> ClassSet:
        loader = threading.Thread(target=project.load_annotation, args=(item, 12, 8))
        loader.start()
        loader.join(0.5)  # the lock makes it wait
        loaders.append(loader)
        return classes.add("boat")

    loaders: list[threading.Thread] = []
    project.change_classes(change)
    loaders[0].join()
    assert sorted(project.classes.names) == ["boat", "class 0", "class 2", "sky"]
    with pytest.raises(ClassSetError, match="boat"):
        project.add_class("boat")
    assert project.add_class("ship", (1, 2, 3)).names[-1] == "ship"


def test_include_limits_a_new_project_and_is_remembered(root) -> None:
    project = Project.open(root, include=["images/train/b.png"])
    assert [item.key for item in project.items] == ["images/train/b.png"]
    project.save()
    again = Project.open(root)
    assert [item.key for item in again.items] == ["images/train/b.png"]
    assert any("Only 1 chosen" in notice.title for notice in again.notices)
    more = Project.open(root, include=["images/test"])
    assert [item.key for item in more.items] == ["images/test/c.jpg", "images/train/b.png"]
    assert len(more.add_source(root).added) == 1
    assert len(more.items) == 3


def test_include_does_not_limit_a_whole_project(root) -> None:
    Project.open(root).save()
    assert len(Project.open(root, include=["images/train/b.png"]).items) == 3


def test_sources_from_elsewhere(root, tmp_path) -> None:
    more = tmp_path / "more" / "flight"
    put_image(more / "images/val/x.jpg")
    put_mask(more / "masks/val/x.png", half_mask())
    single = put_image(tmp_path / "other" / "flight" / "one.jpg")
    put_image(tmp_path / "other" / "flight" / "two.jpg")
    before = contents(tmp_path / "more") | contents(tmp_path / "other")
    project = Project.open(root)
    assert project.add_source(more).added == ("@flight/images/val/x.jpg",)
    assert project.add_source([more, more / "images" / "val" / "x.jpg"]).added == ()
    assert project.add_source(single).added == ("@flight-2/one.jpg",)
    item = project.item("@flight/images/val/x.jpg")
    assert item.split is Split.VAL
    assert item.found_mask == more / "masks/val/x.png"
    project.save_annotation(item, *planes())
    project.save()
    again = Project.open(root)
    assert {i.key for i in again.items} == {i.key for i in project.items}
    assert again.load_annotation(again.item(item.key), 12, 8).provenance.max() == 2
    assert contents(tmp_path / "more") | contents(tmp_path / "other") == before
    assert len(again.add_source(tmp_path / "other" / "flight").added) == 1


def test_a_source_that_went_away_is_told_and_kept(root, tmp_path) -> None:
    put_image(tmp_path / "usb" / "x.jpg")
    project = Project.open(root)
    project.add_source(tmp_path / "usb")
    project.set_state("@usb/x.jpg", status=Status.DONE)
    project.save()
    (tmp_path / "usb").rename(tmp_path / "away")
    without = Project.open(root)
    assert len(without.items) == 3
    assert any("usb" in notice.title for notice in without.notices)
    without.save()
    (tmp_path / "away").rename(tmp_path / "usb")
    assert Project.open(root).state("@usb/x.jpg").status is Status.DONE


def test_adding_nonsense_changes_nothing(root, tmp_path) -> None:
    project = Project.open(root)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").touch()
    for path, words in [
        (tmp_path / "gone", "not there"),
        (tmp_path / "text.txt", "not an image"),
        (tmp_path, "contains this project"),
    ]:
        with pytest.raises(ProjectError, match=words):
            project.add_source(path)
    assert project.add_source(tmp_path / "empty").added == ()
    project.save()
    assert json.loads((project.folder / "project.json").read_text())["sources"] == []


def test_rescan_sees_new_and_removed_images_and_keeps_states(root) -> None:
    project = Project.open(root)
    project.set_state("images/train/b.png", status=Status.SKIPPED)
    put_image(root / "images/train/new.jpg")
    (root / "images/train/b.png").unlink()
    assert project.rescan() == (("images/train/new.jpg",), ("images/train/b.png",), ())
    project.save()
    put_image(root / "images/train/b.png")
    assert project.rescan() == (("images/train/b.png",), (), ())
    assert project.state("images/train/b.png").status is Status.SKIPPED
    assert project.item("images/train/b.png") in project.items
    assert Project.open(root).state("images/train/b.png").status is Status.SKIPPED


def test_rescan_sees_masks_that_came_and_counts_them_anew(root) -> None:
    project = Project.open(root)
    for key in ("images/train/b.png", "images/test/c.jpg"):  # were looked at: nothing was labelled
        project.set_state(key, total_px=96, status=Status.IN_PROGRESS)
    project.save_annotation(project.item("images/test/c.jpg"), *planes())
    put_mask(root / "masks/train/b.png", half_mask(class_id=2))
    put_mask(root / "masks/test/c.png", half_mask(class_id=2))
    assert project.rescan() == ((), (), ("images/test/c.jpg", "images/train/b.png"))
    item = project.item("images/train/b.png")
    assert project.has_annotation(item)
    assert project.load_annotation(item, 12, 8).class_map[0, 0] == 2
    assert project.state(item.key).total_px == 0
    assert project.state(item.key).painted_px is None
    assert project.state(item.key).status is Status.IN_PROGRESS
    painted = project.item("images/test/c.jpg")
    assert project.state(painted.key).labelled_px == 48
    assert project.load_annotation(painted, 12, 8).class_map[0, 0] == 1
    (root / "masks/train/b.png").unlink()
    assert project.rescan().changed == ("images/train/b.png",)
    assert not project.has_annotation(project.item(item.key))


def test_rescan_keeps_what_was_told_and_drops_what_is_over(root, tmp_path, monkeypatch) -> None:
    put_image(tmp_path / "usb" / "x.jpg")
    (root / "classes.json").write_text("[]")
    read_only(monkeypatch, root)
    project = Project.open(root, include=["images", "masks"])
    project.add_source(tmp_path / "usb")
    before = project.notices
    assert [n.title.split()[0] for n in before] == ["root", "classes.json", "Only"]
    (tmp_path / "usb").rename(tmp_path / "away")
    project.rescan()
    assert set(before) < set(project.notices)
    assert any("usb" in notice.title for notice in project.notices)
    (tmp_path / "away").rename(tmp_path / "usb")
    assert project.rescan().added == ("@usb/x.jpg",)
    assert project.notices == before
    put_image(root / "images/train/d.png")
    project.rescan()
    assert "Only 4 chosen" in project.notices[-1].title


def test_a_root_that_went_away_keeps_the_items(root, tmp_path) -> None:
    project = Project.open(root)
    items = project.items
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(ProjectError, match="could not be read"):
        project.rescan()
    assert project.items == items


def test_items_from_elsewhere_are_in_natural_order_too(root, tmp_path) -> None:
    put_image(tmp_path / "far" / "x.jpg")
    project = Project.open(root)
    project.add_source(tmp_path / "far")
    assert [item.key for item in project.items] == sorted((item.key for item in project.items), key=natural_key)


def test_work_on_an_image_that_is_removed_meanwhile_is_saved(root) -> None:
    project = Project.open(root)
    item = project.item("images/train/b.png")
    item.image_path.unlink()
    project.rescan()
    assert item not in project.items
    project.save_annotation(project.item(item.key), *planes())
    project.save()
    put_image(root / "images/train/b.png")
    again = Project.open(root)
    assert again.load_annotation(again.item(item.key), 12, 8).provenance.max() == 2
    assert again.state(item.key).labelled_px == 48


@pytest.mark.parametrize("prepare", ["missing", "file", "empty", "only masks"])
def test_folders_that_are_no_project_say_why(tmp_path, prepare) -> None:
    folder = tmp_path / "data"
    if prepare == "file":
        folder.touch()
    elif prepare != "missing":
        folder.mkdir()
        (folder / "readme.txt").touch()
    with pytest.raises(ProjectError, match="data") as caught:
        Project.open(folder)
    assert caught.value.detail
    assert caught.value.remedy
    if prepare == "empty":
        assert "1 other file" in caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"format": 1}', '{"format": "1", "uuid": "x"}', "\udcff\0",
        '{"format": 1, "uuid": "12345678123456781234567812345678", "items": {"a": {"status": "odd"}}}',
        '{"format": 1, "uuid": "12345678123456781234567812345678", "classes": {"classes": [{"index": 1}]}}',
        '{"format": 1, "uuid": "12345678123456781234567812345678", "include": ["../x"]}',
        '{"format": 1, "uuid": "12345678123456781234567812345678", "sources": [{"name": "@../..", "path": "x"}]}',
        '{"format": 1, "uuid": "12345678123456781234567812345678", "items": []}',
    ],
)  # fmt: skip
def test_a_damaged_project_file_blocks_opening_and_stays(root, text) -> None:
    path = root / ".pspnet-studio" / "project.json"
    path.parent.mkdir()
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ProjectError, match="damaged") as caught:
        Project.open(root)
    assert str(path) in caught.value.detail
    assert "copy" in caught.value.remedy
    assert path.read_text(errors="surrogateescape") == text


def test_a_newer_format_is_refused(root) -> None:
    path = root / ".pspnet-studio" / "project.json"
    path.parent.mkdir()
    path.write_text('{"format": 2}')
    with pytest.raises(ProjectError, match="format 2") as caught:
        Project.open(root)
    assert "Update" in caught.value.remedy


def test_what_a_newer_program_added_is_kept(root) -> None:
    project = Project.open(root)
    project.save()
    path = project.folder / "project.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"journal": {"clock": 3}}))
    Project.open(root).save()
    assert json.loads(path.read_text())["journal"] == {"clock": 3}


def read_only(monkeypatch, *folders: Path) -> None:
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: not any(Path(path).is_relative_to(f) for f in folders) and real(path, mode)
    )


def test_a_read_only_folder_is_worked_on_in_the_users_folder(root, user_data, monkeypatch) -> None:
    before = contents(root)
    read_only(monkeypatch, root)
    project = Project.open(root)
    assert project.folder.parent == user_data / "projects"
    assert any("may not be written" in notice.title for notice in project.notices)
    assert not user_data.exists()
    item = project.item("images/train/b.png")
    project.save_annotation(item, *planes())
    project.save()
    assert contents(root) == before
    assert Project.open(root).load_annotation(item, 12, 8).provenance.max() == 2


def test_a_read_only_project_is_taken_along(root, user_data, monkeypatch) -> None:
    project = Project.open(root)
    item = project.item("images/train/b.png")
    project.save_annotation(item, *planes())
    before = contents(root)
    read_only(monkeypatch, root)
    copy = Project.open(root)
    assert copy.uuid == project.uuid
    assert copy.load_annotation(item, 12, 8).provenance.max() == 2
    copy.save_annotation(item, *planes(2))
    assert contents(root) == before
    assert Project.open(root).load_annotation(item, 12, 8).class_map.min() == 2
    assert [p.name[:1] for p in (user_data / "projects").iterdir()] != ["."]


def test_a_full_disk_leaves_the_old_file(root, monkeypatch) -> None:
    project = Project.open(root)
    project.save()
    before = (project.folder / "project.json").read_bytes()
    project.set_state("images/train/a.jpg", status=Status.DONE)

    def replace(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(StorageError, match="full"):
            project.save()
    assert (project.folder / "project.json").read_bytes() == before
    assert not list(project.folder.rglob("*.tmp"))
    project.save()
    assert Project.open(root).state("images/train/a.jpg").status is Status.DONE


def test_states_change_while_another_thread_saves(root) -> None:
    project = Project.open(root)
    failures: list[BaseException] = []

    def save() -> None:
        try:
            for _ in range(15):
                project.save()
                Project.open(root)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=save) for _ in range(2)]
    for thread in threads:
        thread.start()
    count = 0
    while any(thread.is_alive() for thread in threads):
        for item in project.items:
            project.set_state(item.key, labelled_px=count)
        project.settings[f"key {count % 50}"] = count
        count += 1
    assert failures == []
    project.save()
    assert Project.open(root).state(project.items[0].key).labelled_px == count - 1


def test_unknown_items_and_fields_are_refused(root) -> None:
    project = Project.open(root)
    with pytest.raises(KeyError):
        project.set_state("nothing.jpg", status=Status.DONE)
    with pytest.raises(TypeError):
        project.set_state("images/train/a.jpg", stauts=Status.DONE)


def test_ten_thousand_files_open_quickly(tmp_path) -> None:
    import time

    (tmp_path / "images").mkdir()
    for number in range(10_000):
        (tmp_path / "images" / f"{number}.jpg").touch()
    start = time.perf_counter()
    assert len(Project.open(tmp_path).items) == 10_000
    assert time.perf_counter() - start < 2.0  # 0.2 s on a quiet machine


def test_pages_of_a_tiff_are_items_of_their_own(tmp_path) -> None:
    frames = [Image.new("L", (30 + n, 20), n) for n in range(3)]
    frames[0].save(tmp_path / "scan.tif", save_all=True, append_images=frames[1:])
    Image.new("L", (5, 5)).save(tmp_path / "single.tif")
    project = Project.open(tmp_path)
    assert [item.key for item in project.items] == ["scan.tif", "scan.tif#2", "scan.tif#3", "single.tif"]
    third = project.item("scan.tif#3")
    assert (third.page, third.num_pages, third.image_path) == (2, 3, tmp_path / "scan.tif")
    planes = np.full((20, 32), 1, np.uint8), np.full((20, 32), Provenance.PAINTED, np.uint8)
    project.add_class("road")
    project.save_annotation(third, *planes)
    project.save()
    again = Project.open(tmp_path)
    np.testing.assert_array_equal(again.load_annotation(again.item("scan.tif#3"), 32, 20).class_map, planes[0])
    assert not again.has_annotation(again.item("scan.tif"))


def test_pages_that_are_not_counted_in_time_come_later(tmp_path, monkeypatch) -> None:
    frames = [Image.new("L", (30, 20), n) for n in range(2)]
    for name in ("a.tif", "b.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    monkeypatch.setattr(pages.PageCounts.paged, "__defaults__", (0.0,))
    project = Project.open(tmp_path)
    assert (len(project.items), project.pages.num_unknown) == (2, 2)
    assert list(project.pages.look())[-1] == 0
    assert project.rescan().added == ("a.tif#2", "b.tif#2")
    assert project.pages.num_unknown == 0
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:] * 2)  # it was written again
    assert project.rescan().added == ()
    list(project.pages.look())
    assert project.rescan().added == ("a.tif#3",)


def test_the_classes_of_a_saved_mask_are_remembered(root) -> None:
    project = Project.open(root)
    class_map, provenance = planes(class_id=1)
    project.save_annotation(project.item("images/train/a.jpg"), class_map, provenance)
    project.save()
    expected = tuple(int(index) for index in np.unique(class_map) if index != 255)
    again = Project.open(root)
    assert again.state("images/train/a.jpg").class_ids == expected
    assert again.state("images/train/b.png").class_ids == ()


def test_labels_whose_image_was_renamed_are_told_of_and_come_back_with_its_name(root) -> None:
    project = Project.open(root)
    for key in ("images/train/b.png", "images/test/c.jpg"):
        project.save_annotation(project.item(key), *planes())
    project.set_state("images/train/a.jpg", status=Status.DONE)
    project.save()
    assert not any("labels" in notice.title for notice in project.notices)
    path = root / "images/train/b.png"
    path.rename(path.with_name("holiday.png"))
    (root / "images/train/a.jpg").unlink()  # nothing of ours was painted on it
    project.rescan()
    for now in (project, Project.open(root)):
        (notice,) = (notice for notice in now.notices if "labels" in notice.title)
        assert "1 image " in notice.title
        assert notice.detail.startswith("images/train/b.png. ")
        assert not now.has_annotation(now.item("images/train/holiday.png"))
    (root / "images/test/c.jpg").unlink()
    project.rescan()
    assert any("2 images" in notice.title for notice in project.notices)
    path.with_name("holiday.png").rename(path)
    put_image(root / "images/test/c.jpg")
    project.rescan()
    assert not any("labels" in notice.title for notice in project.notices)
    assert project.has_annotation(project.item("images/train/b.png"))


def test_labels_on_a_drive_that_is_away_and_on_pages_not_counted_yet_are_not_told_of(root, tmp_path) -> None:
    put_image(tmp_path / "usb/d.jpg")
    project = Project.open(root)
    (added,) = project.add_source(tmp_path / "usb").added
    project.save_annotation(project.item(added), *planes())
    project.save()
    frames = [Image.new("L", (20, 20), shade) for shade in (0, 90)]
    frames[0].save(root / "images/scan.tif", save_all=True, append_images=frames[1:])
    project.rescan()
    list(project.pages.look())
    project.rescan()
    project.save_annotation(project.item("images/scan.tif#2"), *(np.ones((20, 20), np.uint8) for _ in range(2)))
    project.save()
    (tmp_path / "usb").rename(tmp_path / "away")
    assert not any("labels" in notice.title for notice in Project.open(root).notices)
