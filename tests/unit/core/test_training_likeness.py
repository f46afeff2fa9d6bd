"""Near-duplicates."""

import io

import numpy as np
import pytest
from PIL import Image

from pspnet_core.project.project import Project
from pspnet_core.project.records import Split, Status
from pspnet_core.training.collection import collect
from pspnet_core.training.exposure import Exposure
from pspnet_core.training.holdout import Candidate, choose_items
from pspnet_core.training.likeness import fingerprint, fingerprints, groups, owner, recall, remember
from pspnet_core.types import Provenance
from tests.helpers.tiny import CLASSES


def scene(seed, size=160):
    """(size, size, 3) uint8 smooth colours, another for each seed."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (7, 7, 3)).astype(np.uint8))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))


def again(image):
    """The same picture from another program: smaller, brighter, compressed."""
    picture = Image.fromarray(np.clip(image * 1.1 + 5, 0, 255).astype(np.uint8)).resize((130, 130))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=50)
    return np.asarray(Image.open(stream))


def ended(events):
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value


def test_the_same_picture_has_nearly_the_same_fingerprint_and_others_do_not():
    found = {f"{i}": fingerprint(scene(i)) for i in range(8)} | {f"{i}b": fingerprint(again(scene(i))) for i in (2, 5)}
    assert groups(found, found) == {"2": "2", "2b": "2", "5": "5", "5b": "5"}
    assert groups(found, {"2", "3"}) == {"2": "2", "2b": "2"}
    assert groups({}, ()) == {}


def changed(bits, first=0):
    """The fingerprint of a frame that differs in so many bits from the one without any."""
    flags = np.zeros(128, np.uint8)
    flags[first : first + bits] = 1
    return np.packbits(flags).tobytes()


def test_frames_of_a_standing_camera_are_no_duplicates():
    found = {f"{i}": changed(2, 2 * i) for i in range(6)} | {"x": fingerprint(scene(1))}
    assert groups(found, found) == {}


def test_copies_are_duplicates_however_many_there_are():
    found = {f"copy{i}": changed(2 * (i == 0)) for i in range(6)} | {f"{i}": fingerprint(scene(i)) for i in range(4)}
    assert groups(found, found) == {f"copy{i}": "copy0" for i in range(6)}


def test_a_pan_is_cut_where_its_frames_differ_most():
    steps = [1, 3, 1, 3, 1, 13, 1, 3, 1, 3, 1]
    starts = np.cumsum([0, *steps])
    found = {f"f{n:02}": changed(int(start)) for n, start in enumerate(starts)}
    assert set(groups(found, found).values()) == {"f00", "f06"}
    learned = [f"f{n:02}" for n in (0, 5)]
    assert set(groups(found, learned)) >= {"f00", "f01", "f02", "f03", "f04", "f05"}


def test_most_images_alike_leave_something_to_learn_from():
    alike = {f"p{i}.jpg": "p0.jpg" for i in range(8)}
    assert choose_items([Candidate(key, Split.NONE, True) for key in alike], None, alike) == frozenset()
    for number in range(2, 5):
        names = {f"p{i}.jpg": f"p{i % number}.jpg" for i in range(8)}
        held = choose_items([Candidate(key, Split.NONE, True) for key in names], None, names)
        assert 1 <= len(held) <= 4
    past = Exposure(held_items=frozenset({"p3.jpg"}))
    assert choose_items([Candidate(key, Split.NONE, True) for key in alike], past, alike) == {"p3.jpg"}


def test_fingerprints_are_kept_until_the_file_changes(tmp_path, monkeypatch):
    for i in range(2):
        Image.fromarray(scene(i)).save(tmp_path / f"{i}.png")
    items, kept = Project.open(tmp_path).items, tmp_path / "kept.json"
    first = ended(fingerprints(kept, items))
    Image.fromarray(scene(7)).save(tmp_path / "1.png")
    second = ended(fingerprints(kept, items))
    assert first["0.png"] == second["0.png"]
    assert first["1.png"] != second["1.png"]
    with monkeypatch.context() as patch:
        patch.setattr("pspnet_core.training.likeness.read_image", None)  # nothing is read any more
        assert ended(fingerprints(kept, items)) == second
    kept.write_text('{"0.png": [1, "zz"], "1.png": 5}')
    assert ended(fingerprints(kept, items)) == second
    (tmp_path / "0.png").write_bytes(b"damaged")
    assert set(ended(fingerprints(kept, items))) == {"1.png"}


def test_what_looks_alike_is_held_out_together_or_not_at_all():
    keys = [f"p{i}.jpg" for i in range(60)]
    alike = {key: keys[n - n % 2] for n, key in enumerate(keys)}
    candidates = [Candidate(key, Split.NONE, True) for key in keys]
    held = choose_items(candidates, None, alike)
    assert 4 <= len(held) <= 30
    assert all((keys[n] in held) == (keys[n + 1] in held) for n in range(0, 60, 2))
    learned = Exposure(frozenset([min(held)]))
    assert all(alike[key] != alike[min(held)] for key in choose_items(candidates, learned, alike))
    before = Exposure(held_items=frozenset([keys[0]]))
    few = [Candidate(key, Split.NONE, False) for key in keys[:4]]
    assert choose_items(few, before, alike) == set(keys[:2])


@pytest.fixture
def folder(tmp_path):
    """Two images to learn from, another that looks like the first of them, a test image, and a copy of that."""
    pictures = {"a.png": scene(0), "b.png": scene(1), "c.png": again(scene(0)), "d.png": again(scene(3))}
    pictures |= {f"{name}.png": scene(seed) for name, seed in (("e", 4), ("f", 5), ("images/test/t", 3))}
    for name, pixels in pictures.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    project = Project.open(tmp_path)
    project.set_classes(CLASSES)
    for name, pixels in pictures.items():
        class_map = np.full(pixels.shape[:2], 2, np.uint8)
        class_map[:, ::2] = 0
        item = project.item(name)
        project.save_annotation(item, class_map, np.full_like(class_map, Provenance.PAINTED))
        project.set_state(name, status=Status.DONE)
    return project


def test_copies_of_test_images_take_no_part_and_are_named(folder):
    data = ended(collect(folder))
    assert data.too_like == ("d.png",)
    assert {image.key for image in data.train} == {"a.png", "b.png", "c.png", "e.png", "f.png"}


def test_where_all_look_like_test_images_they_are_learned_from_without_evidence(tmp_path):
    names = ["images/train/a.png", "images/train/b.png", "images/val/v.png", "images/test/t.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(0)).save(tmp_path / name)
    project = Project.open(tmp_path)
    project.set_classes(CLASSES)
    class_map = np.full((160, 160), 2, np.uint8)
    class_map[:, ::2] = 0
    for item in project.items:
        project.save_annotation(item, class_map, np.full_like(class_map, Provenance.PAINTED))
    data = ended(collect(project))
    assert len(data.train) == 2
    assert (data.holdout, data.rule, data.too_like) == ([], "none", ())


def test_no_block_is_held_out_of_images_that_look_alike(folder):
    past = Exposure(frozenset(), frozenset(), {key: frozenset({0, 4}) for key in ("a.png", "b.png")})
    held = ended(collect(folder, past)).held_blocks
    assert "b.png" in held
    assert not {"a.png", "c.png"} & set(held)


def test_what_looks_like_a_learned_image_is_no_evidence(folder):
    for key in ("c.png", "e.png"):
        folder.set_state(key, status=Status.IN_PROGRESS)
    past = Exposure(frozenset({"a.png"}), frozenset({"c.png", "e.png"}))
    data = ended(collect(folder, past))
    assert data.held_items == {"c.png", "e.png"}
    assert [image.key for image in data.holdout if image.key in data.held_items] == ["e.png"]


def learned_once(folder):
    """A first version learned from these; then ``c.png`` is the only one that looks like ``a.png`` and is labelled."""
    folder.set_state("c.png", status=Status.SKIPPED)
    first = ended(collect(folder))
    trained = frozenset(image.key for image in first.train)
    assert "a.png" in trained
    folder.set_state("c.png", status=Status.DONE)
    return Exposure(trained, frozenset({"c.png"}))


def evidence(project, past):
    return {image.key for image in ended(collect(project, past)).holdout}


def test_what_looks_like_a_learned_image_is_no_evidence_either_when_that_is_skipped(folder):
    past = learned_once(folder)
    folder.set_state("a.png", status=Status.SKIPPED)
    assert "c.png" not in evidence(folder, past)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_what_looks_like_a_learned_image_is_no_evidence_either_when_that_is_gone(folder, is_replaced):
    past = learned_once(folder)
    path = folder.item("a.png").image_path
    folder.save()
    if is_replaced:
        Image.fromarray(scene(9)).save(path)
    else:
        path.rename(path.with_name("renamed.png"))
    again = Project.open(path.parent)
    assert "c.png" not in evidence(again, past)
    assert "c.png" in evidence(again, Exposure(past.trained - {"a.png"}, past.held_items))
    (again.folder / "training" / "learned.json").write_text('{"a.png": [1, "zz"], "b.png": 5}')
    assert "c.png" in evidence(again, past)


def test_looks_are_also_kept_of_what_was_learned_before_they_were(folder):
    past = learned_once(folder)
    kept = folder.folder / "training" / "learned.json"
    kept.unlink()
    folder.set_state("a.png", status=Status.SKIPPED)
    ended(collect(folder, past))
    path = folder.item("a.png").image_path
    path.unlink()
    folder.save()
    assert "c.png" not in evidence(Project.open(path.parent), past)


def test_a_learned_image_that_was_changed_since_keeps_its_own_evidence(tmp_path):
    look, other = fingerprint(scene(0)), fingerprint(again(scene(0)))
    assert look != other
    remember(tmp_path / "learned.json", {"a.png": look})
    remember(tmp_path / "learned.json", {"a.png": other, "b.png": look})
    names = recall(tmp_path / "learned.json", {"a.png"}, {"a.png": other})
    assert [(owner(name), found) for name, found in names.items()] == [("a.png", look)]
    assert recall(tmp_path / "nothing.json", {"a.png"}, {}) == {}
