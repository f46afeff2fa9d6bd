"""Fine-tuning of a project, on tiny pictures."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from pspnet_core.errors import TrainingError  # noqa: E402
from pspnet_core.pretrained import find_weights  # noqa: E402
from pspnet_core.project.project import Project, Split, Status  # noqa: E402
from pspnet_core.training import finetune as finetune_module  # noqa: E402
from pspnet_core.training.collection import collect  # noqa: E402
from pspnet_core.training.config import Recipe  # noqa: E402
from pspnet_core.training.events import Decided, FinishEarly, Phase, Step  # noqa: E402
from pspnet_core.training.finetune import finetune  # noqa: E402
from pspnet_core.training.holdout import block_mask, labelled_blocks  # noqa: E402
from pspnet_core.training.start import Start  # noqa: E402
from pspnet_core.training.versions import VersionStore  # noqa: E402
from pspnet_core.types import Provenance  # noqa: E402
from tests.helpers.tiny import CLASSES, picture, write_data_set  # noqa: E402

RECIPE = Recipe(batch_size=2, crop_px=64, warmup_steps=2)
IDLE = Recipe(batch_size=1, crop_px=32, head_lr=1e-7, backbone_lr=1e-9)


def run(project, steps=6, **settings):
    *_, decided = finetune(project, steps=steps, device="cpu", recipe=RECIPE, **settings)
    assert isinstance(decided, Decided)
    return decided


def collected(project):
    events = collect(project)
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def data_set(tmp_path):
    return Project.open(write_data_set(tmp_path / "d", train=3, val=1, test=2))


@pytest.fixture
def painted(tmp_path):
    """Two images without masks, one of them painted by hand before any prediction, 320 px: 25 blocks."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in (0, 1):
        Image.fromarray(picture(seed, 320)[0]).save(folder / f"{seed}.png")
    project = Project.open(folder)
    project.set_classes(CLASSES)
    class_map = picture(0, 320)[1]
    provenance = np.full(class_map.shape, Provenance.PAINTED, np.uint8)
    project.save_annotation(project.item("0.png"), class_map, provenance)
    project.set_state(
        "0.png", status=Status.IN_PROGRESS, unaided_blocks=labelled_blocks(class_map), prediction_shown=True
    )
    project.save()
    return project


def test_first_version_is_adopted_with_its_evidence(data_set):
    decided = run(data_set)
    assert decided.adopted
    assert decided.version.number == 1
    assert 0 <= decided.mean_iou <= 1
    assert decided.old_mean_iou is None
    store = VersionStore(data_set.folder / "versions")
    assert store.current == 1
    record = store.list()[0].record
    assert (record["num_images"], record["holdout"], record["mean_iou"]) == (4, "val", decided.mean_iou)
    assert record["created"].endswith("+00:00")
    assert store.load(1).origin["project"] == data_set.uuid


def test_a_worse_version_is_kept_but_not_adopted(data_set):
    run(data_set, 40)
    *_, decided = finetune(data_set, steps=1, mode="full", device="cpu", recipe=IDLE)
    assert not decided.adopted
    assert decided.mean_iou <= decided.old_mean_iou
    assert "stays" in decided.reason
    store = VersionStore(data_set.folder / "versions")
    assert store.current == 1
    assert [v.number for v in store.list()] == [1, 2]


def test_a_better_version_replaces_a_worse_one(data_set):
    *_, first = finetune(data_set, steps=1, device="cpu", recipe=IDLE)
    events = list(finetune(data_set, steps=40, device="cpu", recipe=RECIPE))
    assert any(isinstance(e, Phase) and e.name == "compare" for e in events)
    decided = events[-1]
    assert decided.adopted
    assert decided.mean_iou > decided.old_mean_iou == pytest.approx(first.mean_iou, abs=0.05)
    assert VersionStore(data_set.folder / "versions").current == 2


def test_comparison_on_common_classes_names_the_new_ones(data_set):
    run(data_set)
    data_set.set_classes(data_set.classes.add("cloud", index=8))
    decided = run(data_set)
    assert "new: cloud" in decided.reason


def test_without_evidence_it_is_adopted_and_said(painted):
    painted.set_state("0.png", unaided_blocks="", prediction_shown=True)
    decided = run(painted)
    assert decided.adopted
    assert decided.mean_iou is None
    assert "No evidence yet" in decided.reason


def test_test_items_and_skipped_ones_take_no_part(data_set):
    skipped = next(i.key for i in data_set.items if i.split is Split.TRAIN)
    data_set.set_state(skipped, status=Status.SKIPPED)
    found = collected(data_set)
    used = {i.key for i in (*found.train, *found.holdout)}
    assert found.num_images == len(used) == 3
    assert skipped not in used
    assert not any(data_set.item(key).split is Split.TEST for key in used)


def test_unaided_blocks_are_held_out_and_not_learnt_from(painted):
    found = collected(painted)
    assert found.rule == "blocks"
    (train,), (held,) = found.train, found.holdout
    learnt, measured = train.load()[1] != 255, held.load()[1] != 255
    assert learnt.any()
    assert measured.any()
    assert not (learnt & measured).any()
    assert (learnt | measured).all()
    assert measured.sum() < 0.34 * learnt.size


def test_accepted_pixels_are_no_evidence(painted):
    item = painted.item("0.png")
    annotation = painted.load_annotation(item, 320, 320)
    annotation.provenance[:, ::2] = Provenance.ACCEPTED
    painted.save_annotation(item, annotation.class_map, annotation.provenance)
    measured = collected(painted).holdout[0].load()[1] != 255
    assert measured[:, 1::2].any()
    assert not measured[:, ::2].any()


def test_done_images_are_evidence_as_a_whole(painted):
    painted.set_state("0.png", unaided_blocks="")
    assert collected(painted).rule == "none"
    painted.set_state("0.png", status=Status.DONE)
    assert collected(painted).rule == "blocks"


def test_labels_from_before_any_prediction_are_evidence(painted):
    painted.set_state("0.png", unaided_blocks="", prediction_shown=False)
    assert collected(painted).rule == "blocks"


def test_classes_that_came_later_are_ignored(painted):
    found = collected(painted)
    item = painted.item("0.png")
    annotation = painted.load_annotation(item, 320, 320)
    annotation.class_map[:5] = 77
    painted.save_annotation(item, annotation.class_map, annotation.provenance)
    assert 77 not in found.train[0].load()[1]


def test_nothing_labelled_is_said(tmp_path):
    Image.fromarray(picture(0)[0]).save(tmp_path / "a.png")
    with pytest.raises(TrainingError, match="nothing to learn from"):
        run(Project.open(tmp_path))


def test_unreadable_image_is_named(data_set):
    bad = next(i for i in data_set.items if i.split is Split.TRAIN)
    bad.image_path.write_bytes(b"")
    assert bad.key in run(data_set).reason


def test_finish_early_still_decides(data_set):
    run(data_set)
    events = finetune(data_set, seconds=600, device="cpu", recipe=RECIPE)
    for event in events:
        if isinstance(event, Step) and event.step == 3:
            break
    rest = [events.throw(FinishEarly()), *events]
    assert isinstance(rest[-1], Decided)
    assert rest[-1].old_mean_iou is not None
    assert rest[-1].version.record["metrics"]["steps"] == 3


def test_finish_early_while_reading_learns_nothing(data_set):
    events = finetune(data_set, seconds=600, device="cpu", recipe=RECIPE)
    next(events)
    with pytest.raises(TrainingError, match="before it had learned"):
        events.throw(FinishEarly())
    assert not (data_set.folder / "versions").exists()


def test_cancelling_leaves_nothing(data_set):
    events = finetune(data_set, seconds=600, device="cpu", recipe=RECIPE)
    for event in events:
        if isinstance(event, Step):
            break
    events.close()
    assert not (data_set.folder / "versions").exists()


def test_damaged_current_version_is_replaced(data_set):
    path = run(data_set).version.path
    path.write_bytes(b"damaged")
    decided = run(data_set)
    assert decided.adopted
    assert decided.old_mean_iou is None
    assert decided.mean_iou is not None
    assert "Version 1 could not be read" in decided.reason


def test_damaged_record_of_the_current_version_is_no_evidence(data_set):
    run(data_set).version.path.with_name("version.json").write_text("{")
    decided = run(data_set)
    assert decided.adopted
    assert decided.old_mean_iou is None
    assert "No evidence yet" in decided.reason


def test_images_that_did_not_fit_are_said_and_not_recorded_as_learned(data_set, monkeypatch):
    for name in ("FIRST_PX", "_PX_PER_STEP"):  # no time to read more than one image
        monkeypatch.setattr(f"pspnet_core.training.reading.{name}", 0)
    decided = run(data_set)
    assert len(decided.version.record["trained_items"]) == 1
    assert "1 of 3 labelled images fitted into the time." in decided.reason


def test_finish_early_before_the_first_evaluation_has_evidence(data_set):
    events = finetune(data_set, seconds=600, device="cpu", recipe=RECIPE)
    for event in events:
        if isinstance(event, Step):
            break
    *_, decided = [events.throw(FinishEarly()), *events]
    assert 0 <= decided.mean_iou <= 1
    assert "No evidence" not in decided.reason


@pytest.fixture
def compared(monkeypatch):
    """(key, labelled mask) of everything that versions are compared on, and what they learned, by run."""
    seen = []
    original = finetune_module.Comparison

    class Watched(original):
        def __init__(self, *args):
            super().__init__(*args)
            seen.append({item.key: item.load()[1] != 255 for item in self._items})

    monkeypatch.setattr(finetune_module, "Comparison", Watched)
    return seen


def learned_from(record, key, shape):
    if key not in record["trained_items"]:
        return np.zeros(shape, bool)
    return ~block_mask(shape, frozenset(record["holdout_blocks"].get(key, ())))


def label_all(project, key, **state):
    size = 320
    seed = int(key.split(".")[0])
    class_map = picture(seed, size)[1]
    provenance = np.full(class_map.shape, Provenance.PAINTED, np.uint8)
    project.save_annotation(project.item(key), class_map, provenance)
    project.set_state(key, **state)


def test_an_image_that_the_current_version_learned_is_no_evidence_once_it_is_done(painted, compared):
    """It was labelled with the help of a model, so version 1 learned all of it; then it is marked as done."""
    painted.set_state("0.png", unaided_blocks="", prediction_shown=True)
    run(painted)
    painted.set_state("0.png", status=Status.DONE)
    second = run(painted, mode="full")
    assert compared == [{}]
    assert second.adopted
    assert second.mean_iou is not None
    assert second.old_mean_iou is None
    assert "No evidence yet that it is better" in second.reason
    third = run(painted, mode="full")  # version 2 held some blocks out, so now there is something
    assert third.old_mean_iou is not None
    record = VersionStore(painted.folder / "versions").list()[1].record
    assert compared[1]["0.png"].any()
    assert not (compared[1]["0.png"] & learned_from(record, "0.png", (320, 320))).any()


def test_the_change_to_whole_items_compares_on_nothing_that_was_learned(tmp_path, compared):
    for number in range(7):
        Image.fromarray(picture(number, 320)[0]).save(tmp_path / f"{number}.png")
    project = Project.open(tmp_path)
    project.set_classes(CLASSES)
    for number in range(5):
        label_all(project, f"{number}.png", status=Status.DONE)
    assert run(project).version.record["holdout"] == "blocks"
    for number in (5, 6):
        label_all(project, f"{number}.png", status=Status.DONE)
    run(project)
    first, second = (v.record for v in VersionStore(project.folder / "versions").list())
    assert second["holdout"] == "items"
    assert set(second["held_items"]) <= {"5.png", "6.png"}
    assert second["holdout_blocks"] == first["holdout_blocks"]
    assert set(compared[0]) == set(second["held_items"])
    for key, mask in compared[0].items():
        assert mask.any()
        for record in (first, second):
            assert not (mask & learned_from(record, key, mask.shape)).any()


def test_accepted_pixels_of_val_are_evidence_only_when_it_is_done(data_set):
    item = next(i for i in data_set.items if i.split is Split.VAL)
    annotation = data_set.load_annotation(item, 96, 96)
    annotation.provenance[:, ::2] = Provenance.ACCEPTED
    data_set.save_annotation(item, annotation.class_map, annotation.provenance)
    assert not (collected(data_set).holdout[0].load()[1] != 255)[:, ::2].any()
    data_set.set_state(item.key, status=Status.DONE)
    assert (collected(data_set).holdout[0].load()[1] != 255).all()


def test_one_class_alone_is_refused_before_the_first_step(painted):
    class_map = np.full((320, 320), CLASSES.indices[0], np.uint8)
    painted.save_annotation(painted.item("0.png"), class_map, np.full_like(class_map, Provenance.PAINTED))
    with pytest.raises(TrainingError, match=CLASSES.names[0]) as caught:
        collected(painted)
    assert "at least two" in caught.value.detail


def test_an_image_that_went_away_is_left_out_and_named(data_set):
    gone = next(item for item in data_set.items if item.split is Split.TRAIN)
    gone.image_path.unlink()
    decided = run(data_set)
    assert gone.key in decided.reason
    assert gone.key not in decided.version.record["trained_items"]


def test_quick_goes_on_from_the_current_version_and_full_from_the_base_weights(data_set):
    run(data_set)
    for mode, parent in (("quick", 1), ("full", None)):
        record = run(data_set, mode=mode, steps=1).version.record
        assert (record["mode"], record["parent"], record["seconds"], record["steps"]) == (mode, parent, None, 1)
    VersionStore(data_set.folder / "versions").set_current(None)
    assert run(data_set, steps=1).version.record["parent"] is None


def test_quick_starts_from_the_base_weights_when_others_are_wanted_now(data_set):
    run(data_set, steps=1)
    other = Start("efficientnet_lite0", find_weights("efficientnet_lite0"))  # the same file, but named
    assert run(data_set, steps=1, start=other).version.record["parent"] is None


def test_pixels_that_an_ancestor_learned_from_are_never_measured_on(painted, compared):
    """Image 1 comes in with version 2, so some of its blocks are held out; what of image 0 is, is known since 1."""
    first = run(painted, steps=2).version.record
    label_all(painted, "1.png", status=Status.DONE)
    second = run(painted, steps=2).version.record
    assert second["parent"] == 1
    assert second["holdout_blocks"]["0.png"] == first["holdout_blocks"]["0.png"]
    run(painted, steps=2)
    for shown, records in zip(compared, ((first,), (first, second)), strict=True):
        for key, mask in shown.items():
            assert mask.any()
            for record in records:
                assert not (mask & learned_from(record, key, mask.shape)).any()
    assert set(compared[0]) == {"0.png"}  # version 1 knows nothing of the other: that would be unfair
    assert set(compared[1]) == {"0.png", "1.png"}


def test_the_hold_out_outlives_the_versions_that_it_was_chosen_for(painted):
    first = run(painted, steps=1).version.record
    store = VersionStore(painted.folder / "versions")
    store.set_current(None)
    store.delete(1)
    painted.set_state("0.png", unaided_blocks="")  # none of it could be chosen any more
    record = run(painted, steps=1).version.record
    assert record["holdout_blocks"] == first["holdout_blocks"]


def test_the_record_of_a_version_tells_how_it_came_about(data_set):
    run(data_set, steps=2, seed=3)
    decided = run(data_set, steps=2, seed=4)
    record = decided.version.record
    assert (record["seed"], record["planned_steps"], record["recipe"]["crop_px"]) == (4, 2, 64)
    low, high = record["interval"]
    assert low <= round(decided.mean_iou - decided.old_mean_iou, 3) <= high
    assert set(record["per_class"]) == {"0", "2", "5"}
    assert decided.per_class[0] == tuple(pytest.approx(v, abs=1e-3) for v in record["per_class"]["0"])
    assert set(record["labels"]) == {i.key for i in data_set.items if i.split is not Split.TEST}


class _StopError(Exception):
    pass


def _seconds_for_training(project, monkeypatch, after_first=0.0, reading=0.0):
    """Of 60 s, when nobody asked for the second event for a while, or reading took so long."""
    now, told = [0.0], []

    def train(config):
        told.append(config.seconds)
        raise _StopError
        yield

    def slow(*args):
        now[0] += reading
        return (yield from collect(*args))

    monkeypatch.setattr(finetune_module, "train", train)
    monkeypatch.setattr(finetune_module, "collect", slow)
    monkeypatch.setattr(finetune_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    events = finetune(project, 60.0, device="cpu")
    next(events)
    now[0] += after_first
    with pytest.raises(_StopError):
        list(events)
    return told[0]


def test_a_pause_before_the_first_step_takes_no_time_from_training(data_set, monkeypatch):
    assert _seconds_for_training(data_set, monkeypatch) == 60.0
    assert _seconds_for_training(data_set, monkeypatch, after_first=300.0) == 60.0


def test_training_has_half_of_the_time_however_long_reading_takes(data_set, monkeypatch):
    assert _seconds_for_training(data_set, monkeypatch, reading=10.0) == 50.0
    assert _seconds_for_training(data_set, monkeypatch, reading=300.0) == 30.0
