"""The parts of training, one by one."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from pspnet_core.errors import ImageReadError, TrainingError  # noqa: E402
from pspnet_core.training.augment import change_light, random_crop  # noqa: E402
from pspnet_core.training.config import Recipe, TrainConfig  # noqa: E402
from pspnet_core.training.data import LabelledCache, LabelledImage  # noqa: E402
from pspnet_core.training.events import Adjusted, Evaluated, FinishEarly, Phase, Planned, Resumed, Step  # noqa: E402
from pspnet_core.training.losses import class_weights, summed_cross_entropy, total_weight  # noqa: E402
from pspnet_core.training.optimizer import AdamW, ParameterGroup  # noqa: E402
from pspnet_core.training.sampler import AnchorSampler  # noqa: E402
from pspnet_core.training.schedule import (  # noqa: E402
    Clock,
    Plan,
    decay_start,
    evaluation_period,
    lr_factor,
    measured_steps,
    steps_within,
)
from tests.helpers.tiny import CLASSES, picture  # noqa: E402

# --- schedule


class Time:
    def __init__(self):
        self.s = 100.0

    def __call__(self):
        return self.s


RECIPE = Recipe(warmup_steps=20, poly_power=0.9)


def plan_of(mode, steps, **options):
    return Plan(steps, decay_start(mode, steps, RECIPE), **options)


def test_learning_rate_warms_up_and_falls_to_zero():
    plan = plan_of("quick", 120)
    assert lr_factor(0, RECIPE, None) == lr_factor(0, RECIPE, plan) == pytest.approx(1 / 20)
    assert lr_factor(20, RECIPE, plan) == 1.0
    assert lr_factor(70, RECIPE, plan) == pytest.approx(0.5**0.9)
    assert lr_factor(120, RECIPE, plan) == lr_factor(500, RECIPE, plan) == 0.0
    assert lr_factor(0, Recipe(warmup_steps=0), None) == 1.0


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_the_first_learning_rates_do_not_know_the_plan(mode):
    for steps in (1, 7, 30, 4000):
        for step in range(measured_steps(RECIPE)):
            assert lr_factor(step, RECIPE, plan_of(mode, steps)) == lr_factor(step, RECIPE, None)


def test_a_run_that_was_ended_by_its_scores_is_one_that_was_planned_so_short():
    for step in (200, 333, 1000):
        ended = plan_of("full", 5000, evaluate_every=50, may_stop=True).stopped_at(step)
        planned = plan_of("full", ended.steps)
        assert (ended.decay_from, ended.steps) == (planned.decay_from, planned.steps)
        assert ended.decay_from == step < ended.steps
        assert not ended.may_stop


def test_full_keeps_its_learning_rate_until_the_cool_down():
    plan = plan_of("full", 1300)
    assert plan.decay_from == 1000
    assert lr_factor(999, RECIPE, plan) == 1.0
    assert 0 < lr_factor(1299, RECIPE, plan) < lr_factor(1001, RECIPE, plan) < 1.0


def test_speed_is_that_of_usual_steps():
    clock = Clock(100.0, Time())
    for seconds in (5.0, 5.0, 0.5, 0.5, 9.0):
        clock.took(seconds)
    assert clock.step_s == 0.5


def test_budget():
    now = Time()
    clock = Clock(100.0, now)
    now.s += 30
    assert (clock.elapsed_s, clock.left_s, clock.share_of_budget(5)) == (30.0, 70.0, 0.05)
    clock.go_on_after(110.0)
    assert (clock.left_s, clock.is_far_too_late) == (0.0, False)
    now.s += 20
    assert clock.is_far_too_late
    endless = Clock(None, now)
    assert (endless.left_s, endless.share_of_budget(5), endless.is_far_too_late) == (float("inf"), 0.0, False)


def test_pauses_do_not_count_but_interruptions_do():
    now = Time()
    clock = Clock(100.0, now)

    def work():
        for number in range(3):
            now.s += 1
            yield number
        return "end"

    received = []
    events = clock.without_rests(work())
    for number, rest in zip(range(3), (60, 0.5, 0), strict=True):
        assert next(events) == number
        received.append(number)
        now.s += rest
    with pytest.raises(StopIteration) as stop:
        next(events)
    assert stop.value.value == "end"
    assert clock.elapsed_s == 3.5


def test_requests_and_closing_reach_what_is_timed():
    told = []

    def work():
        try:
            yield 1
        except FinishEarly:
            told.append("early")
        try:
            yield 2
        finally:
            told.append("closed")

    events = Clock(None, Time()).without_rests(work())
    assert (next(events), events.throw(FinishEarly())) == (1, 2)
    events.close()
    assert told == ["early", "closed"]


def test_steps_fit_into_the_time():
    assert steps_within(60.0, 0.5, 0.0) == 120
    with_scores = steps_within(60.0, 0.5, 2.0)
    period = evaluation_period(with_scores, 0.5, 2.0, decides=True)
    assert period == 36  # a tenth of the time
    assert with_scores * 0.5 + (with_scores // period) * 2.0 + 2.0 <= 61
    assert steps_within(1.0, 0.5, 2.0) == 0
    assert evaluation_period(1000, 0.5, 0.0, decides=False) == 300
    assert evaluation_period(10, 0.5, 20.0, decides=False) == 0


# --- sampler


def test_every_class_is_drawn_and_anchors_are_labelled():
    class_map = np.full((50, 60), 255, np.uint8)
    class_map[:40] = 1
    class_map[45, 7] = 3
    other = np.full((10, 10), 255, np.uint8)
    rng, sampler = np.random.default_rng(0), AnchorSampler()
    sampler.add(0, class_map, rng)
    sampler.add(1, other, rng)
    assert sampler.counts == {1: 2400, 3: 1}
    anchors = [sampler.draw(rng) for _ in range(500)]
    assert {a.image for a in anchors} == {0}
    drawn = [class_map[a.row, a.column] for a in anchors]
    assert set(drawn) == {1, 3}
    # by square roots: 1 / (49 + 1)
    assert 1 <= drawn.count(3) <= 40


def test_nothing_labelled_is_said():
    rng, sampler = np.random.default_rng(0), AnchorSampler()
    sampler.add(0, np.full((5, 5), 255, np.uint8), rng)
    with pytest.raises(TrainingError, match="No pixel is labelled"):
        sampler.draw(rng)


# --- augmentation


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 10_000))
def test_crops_show_their_anchor(height, width, seed):
    rng = np.random.default_rng(seed)
    class_map = np.full((height, width), 255, np.uint8)
    row, column = int(rng.integers(height)), int(rng.integers(width))
    class_map[row, column] = 9
    image = np.repeat((class_map == 9)[..., None], 3, axis=2).astype(np.uint8) * 200
    for _ in range(8):
        crop, labels = random_crop(image, class_map, (row, column), 64, Recipe(), rng)
        assert crop.shape == (64, 64, 3)
        assert labels.shape == (64, 64)
        assert set(np.unique(labels)) <= {9, 255}
        assert (labels[:: Recipe().loss_stride, :: Recipe().loss_stride] == 9).any()


def test_image_and_labels_stay_together():
    image, class_map = picture(0)
    bright = class_map == 0
    for seed in range(20):
        crop, labels = random_crop(image, class_map, (40, 40), 64, Recipe(), np.random.default_rng(seed))
        shown = crop.max(axis=2)
        if (labels == 0).sum() > 50 and (labels == 2).sum() > 50:
            assert shown[labels == 0].mean() > shown[labels == 2].mean() + 50
    assert bright.any()


def test_accepted_pixels_weigh_less_and_painted_ones_all():
    image, class_map = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    class_map[:, 32:] = 7
    accepted = class_map == 0
    seen = {}
    for weight in (0.25, 1.0):
        recipe, rng = Recipe(scale_octaves=0, rotation_deg=0, accepted_weight=weight), np.random.default_rng(0)
        counts = np.zeros(256, np.int64)
        for _ in range(200):
            _, labels = random_crop(image, class_map, (30, 30), 64, recipe, rng, accepted)
            counts += np.bincount(labels.ravel(), minlength=256)
        seen[weight] = counts[0] / counts[7]
    assert seen[1.0] == pytest.approx(1.0, abs=0.05)
    assert seen[0.25] == pytest.approx(0.25, abs=0.04)


def test_identity_crop_is_the_image():
    image, class_map = picture(1, 64)
    recipe = Recipe(scale_octaves=0, rotation_deg=0, loss_stride=1)
    _, labels = random_crop(image, class_map, (32, 32), 64, recipe, np.random.default_rng(3))
    assert any((labels == option).all() for option in (class_map, class_map[:, ::-1]))


def test_light_changes_but_not_the_original():
    image, _ = picture(0)
    before = image.copy()
    assert (change_light(image, np.random.default_rng(0)) != image).any()
    np.testing.assert_array_equal(image, before)


# --- loss and optimiser


def test_loss_counts_labelled_pixels_only():
    logits = torch.randn(2, 3, 16, 16, requires_grad=True)
    target = torch.randint(0, 3, (2, 16, 16))
    target[:, :, 5:] = 255
    expected = F.cross_entropy(logits, target, ignore_index=255) * 2 * 16 * 5
    torch.testing.assert_close(summed_cross_entropy(logits, target), expected)
    assert total_weight(target, torch.ones(3)) == 2 * 16 * 5


def test_all_ignored_crop_gives_zero_not_nan():
    logits = torch.randn(1, 3, 16, 16, requires_grad=True)
    loss = summed_cross_entropy(logits, torch.full((1, 16, 16), 255))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


def test_micro_batches_add_up_to_the_batch():
    logits = torch.randn(3, 2, 16, 16, dtype=torch.float32, requires_grad=True)
    target = torch.randint(0, 2, (3, 16, 16))
    target[1, 3:] = 255
    target[2] = 255
    whole = F.cross_entropy(logits, target, ignore_index=255)
    (expected,) = torch.autograd.grad(whole, logits)
    total = total_weight(target, torch.ones(2))
    parts = sum(summed_cross_entropy(logits[i : i + 1], target[i : i + 1]) / total for i in range(3))
    (mine,) = torch.autograd.grad(parts, logits)
    torch.testing.assert_close(mine, expected)


def test_weighted_loss_equals_torch():
    weights = class_weights([100, 10, 0], 0.5)
    logits, target = torch.randn(1, 3, 8, 8), torch.randint(0, 2, (1, 8, 8))
    target[0, 0] = 255
    expected = F.cross_entropy(logits, target, weights, ignore_index=255)
    mine = summed_cross_entropy(logits, target, weights) / total_weight(target, weights)
    torch.testing.assert_close(mine, expected)


def test_rare_classes_weigh_more_but_not_without_limit():
    a, b, none = class_weights([1600, 100, 0], 0.5).tolist()
    assert b / a == pytest.approx(4)
    assert none == 1
    assert (1600 * a + 100 * b) / 1700 == pytest.approx(1)
    a, b = class_weights([10**9, 1], 0.5).tolist()
    assert b / a == pytest.approx(10)
    assert class_weights([5, 50], 0.0).tolist() == [1, 1]
    assert class_weights([0, 0], 0.5).tolist() == [1, 1]


def test_optimizer_equals_torch():
    torch.manual_seed(0)
    mine = [torch.randn(4, 3, requires_grad=True), torch.randn(5, requires_grad=True)]
    theirs = [p.detach().clone().requires_grad_() for p in mine]
    optimizer = AdamW([ParameterGroup(mine[:1], 1e-2, 0.1), ParameterGroup(mine[1:], 1e-3, 0.0)])
    oracle = torch.optim.AdamW(
        [{"params": theirs[:1], "lr": 1e-2, "weight_decay": 0.1}, {"params": theirs[1:], "lr": 1e-3}], weight_decay=0.0
    )
    for _ in range(5):
        for parameters, each in ((mine, optimizer), (theirs, oracle)):
            each.zero_grad()
            sum((p**3).sum() for p in parameters).backward()
        optimizer.step(1.0)
        oracle.step()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b)


# --- data


def labelled(key, load):
    return LabelledImage(key, load)


def test_cache_keeps_what_fits_and_drops_the_oldest():
    loads = []

    def make(number):
        def load():
            loads.append(number)
            return picture(number)

        return labelled(str(number), load)

    items = [make(i) for i in range(3)]
    cache = LabelledCache(CLASSES, budget_bytes=2 * 96 * 96 * 4)
    for i in (0, 1, 0, 2, 0, 1):
        cache.get(items[i])
    assert loads == [0, 1, 2, 1]


def test_cache_knows_which_pixels_were_accepted():
    image, class_map = picture(0)
    cache = LabelledCache(CLASSES)
    painted = labelled("painted", lambda: (image, class_map))
    mixed = replace(painted, key="mixed", load_accepted=lambda: class_map == 2)
    none = replace(painted, key="none", load_accepted=lambda: np.zeros(class_map.shape, bool))
    assert cache.accepted(painted) is None
    assert cache.accepted(none) is None
    assert (cache.accepted(mixed) == (class_map == 2)).all()
    with pytest.raises(TrainingError, match="wrong"):
        cache.accepted(replace(painted, key="wrong", load_accepted=lambda: np.zeros((3, 3), bool)))


def test_images_of_one_key_but_other_labels_are_not_confused():
    image, class_map = picture(0)
    empty = np.full_like(class_map, 255)
    cache = LabelledCache(CLASSES)
    a, b = labelled("same", lambda: (image, class_map)), labelled("same", lambda: (image, empty))
    assert cache.get(a)[1] is class_map
    assert cache.get(b)[1] is empty


def test_bad_data_are_named():
    image, class_map = picture(0)

    def unreadable():
        raise ImageReadError("broken.jpg is damaged.")

    def gone():
        raise FileNotFoundError(2, "No such file")

    cases = {
        "damaged": unreadable,
        "No such file": gone,
        "Class map": lambda: (image, class_map[:10]),
        "Known ids": lambda: (image, np.full_like(class_map, 9)),
    }
    for detail, load in cases.items():
        with pytest.raises(TrainingError, match=r"street/a\.jpg") as caught:
            LabelledCache(CLASSES).get(labelled("street/a.jpg", load))
        assert detail in caught.value.detail


def test_config_refuses_contradictions():
    good = {"train": (), "classes": CLASSES, "steps": 1}
    for wrong in (
        {"seconds": 1},
        {"steps": None},
        {"steps": 0},
        {"steps": None, "seconds": 0},
        {"init": "coco"},
        {"classes": CLASSES.__class__()},
        {"mode": "slow"},
    ):
        with pytest.raises(ValueError, match=r"seconds|length|init|class|mode"):
            TrainConfig(**{**good, **wrong})


def test_events_are_json():
    events = [Phase("read", 0.5), Step(1, 2, 0.25, 1.0, 2.0), Evaluated(3, float("nan"), {4: 0.5})]
    events += [Planned(9, 1.5), Resumed(4), Adjusted("memory", "Less.")]
    rows = [json.loads(json.dumps(e.to_json(), allow_nan=False)) for e in events]
    assert [r["event"] for r in rows] == ["phase", "step", "evaluated", "planned", "resumed", "adjusted"]
    assert rows[2]["mean_iou"] is None
    assert rows[2]["iou"] == {"4": 0.5}


@pytest.mark.parametrize("module", ["events", "versions", "holdout", "data", "schedule", "sampler", "length"])
def test_modules_that_the_window_needs_load_no_torch(module):
    code = f"import sys, pspnet_core.training.{module}; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_of_the_package():
    import pspnet_core.training as training

    assert callable(training.fit)
    assert training.TrainConfig is TrainConfig
    with pytest.raises(AttributeError):
        _ = training.nothing
