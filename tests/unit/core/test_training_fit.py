"""fit as a generator of events, on tiny pictures."""

import gc
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.devices import Numerics, numerics_for  # noqa: E402
from pspnet_core.errors import DeviceError, ImageReadError, TrainingError  # noqa: E402
from pspnet_core.inference import Predictor  # noqa: E402
from pspnet_core.metrics import ConfusionMatrix  # noqa: E402
from pspnet_core.training import LabelledImage, TrainConfig, fit  # noqa: E402
from pspnet_core.training.config import Recipe  # noqa: E402
from pspnet_core.training.events import Evaluated, FinishEarly, Finished, Phase, Step  # noqa: E402
from pspnet_core.training.learner import Learner  # noqa: E402
from tests.helpers.tiny import CLASSES, picture  # noqa: E402

RECIPE = Recipe(batch_size=2, crop_px=64, warmup_steps=2)


def item(seed, change=None):
    def load():
        image, class_map = picture(seed)
        if change is not None:
            change(class_map)
        return image, class_map

    return LabelledImage(f"p{seed}.png", load)


def config(**changes):
    settings = {"train": [item(0), item(1)], "classes": CLASSES, "steps": 2, "device": "cpu", "recipe": RECIPE}
    return TrainConfig(**{**settings, **changes})


def last(events):
    *_, event = events
    return event


def test_learns_the_pictures():
    finished = last(fit(config(train=[item(i) for i in range(4)], steps=30)))
    image, class_map = picture(99)
    matrix = ConfusionMatrix(CLASSES.indices)
    matrix.update(class_map, Predictor(finished.checkpoint, "cpu").predict(image).class_map)
    assert matrix.mean_iou > 0.5
    assert finished.checkpoint.classes == CLASSES


def test_events_in_order():
    events = list(fit(config(holdout=[item(7)], steps=4)))
    assert events[0] == Phase("read", 0.0)
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(e, Finished) for e in events) == 1
    steps = [e for e in events if isinstance(e, Step)]
    assert [s.step for s in steps] == [1, 2, 3, 4]
    assert all(s.num_steps == 4 and np.isfinite(s.loss) for s in steps)
    evaluated = [e for e in events if isinstance(e, Evaluated)]
    assert evaluated[-1].step == 4
    assert set(evaluated[-1].iou) <= set(CLASSES.indices)
    metrics = events[-1].metrics
    assert metrics["mean_iou"] == pytest.approx(evaluated[-1].mean_iou, abs=1e-4)
    assert metrics["steps"] == 4
    assert events[-1].checkpoint.metrics == metrics
    # a sign of life before and after each backward pass
    first = events.index(steps[0])
    between = events[first + 1 : events.index(steps[1])]
    assert sum(isinstance(e, Phase) and e.name == "train" for e in between) == 2


def test_equal_seeds_give_equal_networks_whatever_happens_between():
    ids = []
    for _ in range(2):
        events = fit(config(seed=3))
        for _ in range(4):
            next(events)
            torch.rand(3)  # other work in the same thread
        ids.append(last(events).checkpoint.id)
    assert ids[0] == ids[1]
    assert last(fit(config(seed=4))).checkpoint.id != ids[0]


def test_leaves_no_global_state():
    before = torch.random.get_rng_state()
    for _ in fit(config(steps=1)):
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.equal(torch.random.get_rng_state(), before)


def test_gradient_of_micro_batches_equals_that_of_the_batch(monkeypatch):
    """Crops with different numbers of labelled pixels, accumulated, weigh as in one batch."""
    crops = [picture(0, 64), picture(1, 64)]
    crops[1][1][8:] = 255
    gradients = []
    for micro_batch in (1, 2):
        numerics = Numerics(torch.device("cpu"), None, torch.channels_last)
        learner = Learner(config(model=replace(config().network, dropout=0.0)), numerics, {})
        monkeypatch.setattr(learner._optimizer, "step", lambda factor: None)
        learner.micro_batch = micro_batch
        assert sum(1 for _ in learner.step(crops, 1.0)) == 4 / micro_batch
        gradients.append([p.grad.clone() for p in learner._model.parameters() if p.grad is not None])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_the_result_is_an_average_of_the_weights():
    finished = last(fit(config(steps=3)))
    assert not finished.checkpoint.model.training
    assert not any(p.requires_grad for p in finished.checkpoint.model.parameters())


def test_time_budget_is_kept():
    start = time.monotonic()
    finished = last(fit(config(steps=None, seconds=3.0, holdout=[item(5)])))
    assert time.monotonic() - start < 4.5
    assert finished.metrics["steps"] >= 1


def test_finish_early_keeps_what_was_learned():
    events = fit(config(steps=1000, holdout=[item(5)]))
    for event in events:
        if isinstance(event, Step) and event.step == 2:
            break
    finished = last([events.throw(FinishEarly()), *events])
    assert isinstance(finished, Finished)
    assert finished.metrics["steps"] == 2


def test_finish_early_before_the_first_evaluation_still_measures():
    events = fit(config(steps=1000, holdout=[item(5), item(6)]))
    for event in events:
        if isinstance(event, Step) and event.step == 2:
            break
    rest = [events.throw(FinishEarly()), events.throw(FinishEarly()), *events]  # also when asked twice
    assert sum(isinstance(e, Evaluated) for e in rest) == 1
    metrics = rest[-1].metrics
    assert (metrics["evaluated_step"], metrics["holdout_images"]) == (2, 2)
    assert 0 <= metrics["mean_iou"] <= 1


def slow_item(seed, seconds):
    fast = item(seed)

    def load():
        time.sleep(seconds)
        return fast.load()

    return LabelledImage(fast.key, load)


def test_images_that_do_not_fit_into_the_start_are_read_between_steps():
    events = list(fit(config(train=[slow_item(i, 0.15) for i in range(4)], steps=None, seconds=3.0)))
    assert max(e.fraction for e in events if isinstance(e, Phase) and e.name == "read") < 1
    assert set(events[-1].train_keys) == {f"p{i}.png" for i in range(4)}
    assert events[-1].metrics["train_images"] == 4


def test_the_images_that_never_fitted_are_not_listed():
    finished = last(fit(config(train=[slow_item(i, 0.3) for i in range(40)], steps=None, seconds=2.0)))
    assert len(finished.train_keys) == finished.metrics["train_images"] < 15
    assert finished.metrics["train_images_offered"] == 40


def test_late_images_change_the_balance_of_the_classes():
    learner = Learner(config(), numerics_for(torch.device("cpu")), {2: 100, 0: 100})
    before = learner._weights.clone()
    learner.weigh({2: 100, 0: 100, 5: 4})
    assert learner._weights[2] > learner._weights[0]
    assert not torch.equal(before, learner._weights)


def test_time_is_kept_when_the_last_evaluation_takes_as_long_as_the_first(monkeypatch):
    def evaluation(*_, **__):
        time.sleep(1.0)
        yield 1.0
        return ConfusionMatrix(CLASSES.indices), 1

    monkeypatch.setattr("pspnet_core.training.scoring.evaluate_images", evaluation)
    finished = last(fit(config(steps=None, seconds=5.0, holdout=[item(5)])))
    assert finished.metrics["seconds"] < 5.9  # 6 and more if no time were kept for the last one


def test_finish_early_before_the_first_step_says_so():
    events = fit(config())
    next(events)
    with pytest.raises(TrainingError, match="before it had learned"):
        events.throw(FinishEarly())


def test_the_temperature_of_the_hold_out_goes_into_the_network(monkeypatch):
    plain = last(fit(config(holdout=[item(7)], steps=4)))
    monkeypatch.setattr("pspnet_core.training.scoring.Calibration.temperature", lambda _: 2.0)
    softened = last(fit(config(holdout=[item(7)], steps=4)))
    first, second = plain.metrics["temperature"], softened.metrics["temperature"]
    assert (first, second) == (pytest.approx(first), 2.0)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ratio = plain.checkpoint.model.logits(x) * first / second
        torch.testing.assert_close(softened.checkpoint.model.logits(x), ratio, rtol=1e-3, atol=1e-4)


def test_closing_frees_everything(monkeypatch):
    learners = []
    original = Learner.__init__

    def remember(self, *args):
        original(self, *args)
        learners.append(weakref.ref(self))

    monkeypatch.setattr(Learner, "__init__", remember)
    images = []

    def load():
        image, class_map = picture(0)
        images.append(weakref.ref(image))
        return image, class_map

    events = fit(config(train=[LabelledImage("a", load)], steps=1000))
    for event in events:
        if isinstance(event, Step):
            break
    assert learners[0]() is not None
    events.close()
    gc.collect()
    assert learners[0]() is None
    assert images[0]() is None


def test_class_without_a_pixel_and_unlabelled_images_are_fine():
    classes = CLASSES.add("never", index=9)

    def clear(class_map):
        class_map[:] = 255

    finished = last(fit(config(train=[item(0), item(1, clear)], classes=classes)))
    assert len(finished.checkpoint.classes) == 4
    assert "9" not in finished.metrics["labelled_px"]


def test_single_class_is_fine():
    def only_ground(class_map):
        class_map[class_map != 2] = 255

    finished = last(fit(config(train=[item(0, only_ground)], classes=ClassSet().add("ground", index=2))))
    prediction = Predictor(finished.checkpoint, "cpu").predict(picture(3)[0])
    assert (prediction.class_map == 2).all()


def test_nothing_labelled_is_an_error():
    def clear(class_map):
        class_map[:] = 255

    for train in ([item(0, clear)], []):
        with pytest.raises(TrainingError, match="No pixel is labelled"):
            list(fit(config(train=train)))


def test_strokes_of_few_pixels_are_found():
    def stroke(class_map):
        keep = class_map[40:43, 10:30].copy()
        class_map[:] = 255
        class_map[40:43, 10:30] = keep

    assert isinstance(last(fit(config(train=[item(0, stroke)]))), Finished)


def test_unreadable_image_is_named():
    def load():
        raise ImageReadError("bad.jpg is truncated.")

    with pytest.raises(TrainingError, match=r"roof\.jpg"):
        list(fit(config(train=[item(0), LabelledImage("roof.jpg", load)])))
    with pytest.raises(TrainingError, match=r"val\.jpg"):
        list(fit(config(holdout=[LabelledImage("val.jpg", load)])))


def test_loss_that_is_no_number_stops_training(monkeypatch):
    def broken(logits, target, weights):
        return logits.sum() * float("nan")

    monkeypatch.setattr("pspnet_core.training.learner.summed_cross_entropy", broken)
    with pytest.raises(TrainingError, match="not a number"):
        list(fit(config()))


def test_out_of_memory_is_told(monkeypatch):
    def full(self, *args):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(Learner, "_forward", full)
    with pytest.raises(DeviceError, match="ran out while training"):
        list(fit(config()))


def test_starts_from_a_checkpoint_and_maps_rows_by_class():
    first = last(fit(config())).checkpoint
    swapped = ClassSet().add("bar", index=5).add("new", index=8).add("ground", index=2)
    learner = Learner(config(classes=swapped, init=first), numerics_for(torch.device("cpu")), {})
    old, new = first.model.classifier[1].weight, learner.checkpoint({}).model.classifier[1].weight
    assert torch.equal(new[0], old[2])
    assert torch.equal(new[2], old[0])
    assert not any(torch.equal(new[1], row) for row in old)


def test_checkpoint_of_another_shape_is_refused():
    first = last(fit(config())).checkpoint
    other = replace(config().network, head_channels=64)
    with pytest.raises(TrainingError, match="another shape"):
        list(fit(config(init=first, model=other)))


def test_random_start_differs_from_imagenet():
    a, b = (
        last(fit(config(init=init, steps=1))).checkpoint.model.backbone.stem.weight for init in ("none", "imagenet")
    )
    assert not torch.equal(a, b)


def test_frozen_stages_stay_bit_for_bit():
    from pspnet_core.models import PSPNet

    model = PSPNet(config().network)
    model.load_imagenet_backbone()
    trained = last(fit(config())).checkpoint.model.backbone
    assert RECIPE.frozen_stages == 2
    for before, after in zip(model.backbone.parts()[:3], trained.parts()[:3], strict=True):
        for a, b in zip(before, after, strict=True):
            assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    changed = zip(model.backbone.stages[3].parameters(), trained.stages[3].parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in changed)
