"""Runs that are planned, interrupted, gone on with, and that get into trouble."""

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from pspnet_core import devices  # noqa: E402
from pspnet_core.devices import Numerics, training_numerics  # noqa: E402
from pspnet_core.errors import ImageReadError, StorageError, TrainingError  # noqa: E402
from pspnet_core.models import PSPNetConfig  # noqa: E402
from pspnet_core.training import LabelledImage, TrainConfig, fit, keeping, reading, run_state  # noqa: E402  # noqa: E402
from pspnet_core.training import learner as learner_module  # noqa: E402
from pspnet_core.training.config import Recipe  # noqa: E402
from pspnet_core.training.course import Course  # noqa: E402
from pspnet_core.training.events import Adjusted, Evaluated, Finished, Phase, Planned, Resumed, Step  # noqa: E402
from pspnet_core.training.learner import Learner  # noqa: E402
from pspnet_core.training.loss_scale import LossScale  # noqa: E402
from pspnet_core.training.schedule import Clock  # noqa: E402
from tests.helpers.networks import small  # noqa: E402
from tests.helpers.tiny import CLASSES, picture  # noqa: E402

RECIPE = Recipe(batch_size=2, crop_px=64, warmup_steps=2, frozen_stages=4)
NETWORK = small(PSPNetConfig.studio_fast(len(CLASSES)))


def item(seed, check=None, change=None):
    def load():
        image, class_map = picture(seed)
        if change is not None:
            change(class_map)
        return image, class_map

    return LabelledImage(f"p{seed}.png", load, check)


def config(**changes):
    settings = {"train": [item(0), item(1)], "classes": CLASSES, "steps": 8, "device": "cpu"}
    settings |= {"recipe": RECIPE, "model": NETWORK}
    return TrainConfig(**{**settings, **changes})


def losses(events):
    return {event.step: event.loss for event in events if isinstance(event, Step)}


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def stop_after(step, events):
    """Run until a step is done, then cancel, as a crash would."""
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, Step) and event.step == step:
            events.close()
    return seen


# --- plans


def test_equal_steps_give_equal_losses_whatever_is_measured_on_the_way():
    first = list(fit(config(seed=5)))
    again = list(fit(config(seed=5, holdout=[item(7)])))
    assert losses(first) == losses(again)
    assert of(Evaluated, again)
    assert losses(fit(config(seed=6))) != losses(first)


def test_a_run_by_time_can_be_repeated_by_its_steps():
    events = list(fit(config(steps=None, seconds=2.0, mode="quick", holdout=[item(7)])))
    metrics = events[-1].metrics
    (planned,) = of(Planned, events)
    assert metrics["steps"] == metrics["planned_steps"] == planned.steps
    assert (metrics["repeatable"], metrics["end"], metrics["mode"]) == (True, "plan", "quick")
    before_plan = events[: events.index(planned)]
    assert of(Step, before_plan)
    assert all(event.eta_s <= 2.0 for event in of(Step, before_plan))
    assert losses(fit(config(steps=metrics["steps"], mode="quick"))) == losses(events)


class Machine:
    """On whose clock only steps take time."""

    def __init__(self, monkeypatch):
        self.step_s, self.now_s = 1.0, 0.0
        monkeypatch.setattr("pspnet_core.training.course.Clock", lambda seconds: Clock(seconds, lambda: self.now_s))
        step = Learner.step

        def timed(learner, *args):
            self.now_s += self.step_s
            yield from step(learner, *args)

        monkeypatch.setattr(Learner, "step", timed)


def test_a_machine_that_becomes_slow_ends_the_run_at_one_and_a_half_times_its_budget(monkeypatch):
    machine = Machine(monkeypatch)
    seen = []
    for event in fit(config(steps=None, seconds=20.0, mode="quick")):
        seen.append(event)
        if isinstance(event, Planned):
            machine.step_s = 4.0
    metrics = seen[-1].metrics
    assert metrics["planned_steps"] == 20
    assert metrics["end"] == "time"
    assert metrics["steps"] < 20
    assert metrics["seconds"] == 33.0


def test_full_ends_when_the_score_does_not_rise(monkeypatch):
    Machine(monkeypatch)
    monkeypatch.setattr("pspnet_core.training.course.Plateau", lambda: Flat())
    monkeypatch.setattr("pspnet_core.training.course.evaluation_period", lambda *_: 2)
    events = list(fit(config(steps=None, seconds=100.0, holdout=[item(7)])))
    planned, shorter = of(Planned, events)
    metrics = events[-1].metrics
    assert shorter.steps < planned.steps
    assert metrics["steps"] == shorter.steps
    assert (metrics["planned_steps"], metrics["end"]) == (planned.steps, "score")
    assert losses(fit(config(steps=metrics["steps"]))) == losses(events)


class Flat:
    """Says after the third score that it does not rise."""

    def __init__(self):
        self.scores = []

    def add(self, step, score):
        self.scores.append((step, score))
        return len(self.scores) == 3


def test_full_without_a_hold_out_has_a_rule(monkeypatch):
    monkeypatch.setattr("pspnet_core.training.course.recommended_steps", lambda images, px: 9)
    events = list(fit(config(steps=None, seconds=600.0)))
    assert (events[-1].metrics["steps"], events[-1].metrics["end"]) == (9, "plan")


def test_images_beyond_the_first_are_read_by_step_and_so_repeatably(monkeypatch):
    monkeypatch.setattr(reading, "FIRST_PX", 1)
    monkeypatch.setattr(reading, "_PX_PER_STEP", 150_000)
    settings = {"train": [item(i) for i in range(5)]}
    seen = []
    for event in fit(config(**settings)):
        seen.append(event)
    assert losses(seen) == losses(fit(config(**settings)))
    assert of(Phase, seen)[-1].name == "train"
    assert 1 < seen[-1].metrics["train_images"] <= 5
    assert seen[-1].metrics["repeatable"]


# --- data


def test_files_are_looked_at_before_the_first_step():
    def gone():
        raise ImageReadError("roof.jpg is not there.")

    for part in ("train", "holdout"):
        events = fit(config(**{part: [item(0), item(3, gone)]}))
        with pytest.raises(TrainingError, match=r"p3\.png"):
            stop_after(1, events)


def test_an_image_that_cannot_be_read_later_is_left_out(monkeypatch):
    monkeypatch.setattr(reading, "FIRST_PX", 1)
    loads = []

    def load():
        loads.append(1)
        raise ImageReadError("It is damaged.")

    bad = LabelledImage("bad.png", load)
    for seed in range(20):  # until it is not the first
        events = []
        try:
            events = list(fit(config(train=[item(0), item(1), bad], seed=seed, steps=3)))
        except TrainingError as error:
            assert "bad.png" in str(error)  # noqa: PT017 - it may be the first
            continue
        break
    (adjusted,) = of(Adjusted, events)
    assert (adjusted.what, "bad.png" in adjusted.detail) == ("data", True)
    assert events[-1].metrics["adjustments"] == [adjusted.detail]
    assert set(events[-1].train_keys) == {"p0.png", "p1.png"}


# --- state


@pytest.fixture
def state_file(tmp_path):
    return tmp_path / "training" / "state.safetensors"


def kept(state_file, **changes):
    return config(state_file=state_file, state_period_s=0.0, **changes)


def test_goes_on_exactly_where_it_was(state_file):
    settings = {"steps": 20, "holdout": [item(7)], "seed": 2}
    whole = list(fit(config(**settings)))
    first = stop_after(11, fit(kept(state_file, **settings)))
    rest = list(fit(kept(state_file, **settings)))
    (resumed,) = of(Resumed, rest)
    assert resumed.step in (10, 11)
    assert min(losses(rest)) == resumed.step + 1
    assert losses(first) | losses(rest) == losses(whole)
    assert rest[-1].checkpoint.id == whole[-1].checkpoint.id
    for name in ("steps", "planned_steps", "mean_iou", "loss", "labelled_px"):
        assert rest[-1].metrics[name] == whole[-1].metrics[name]
    assert not state_file.exists()


def test_goes_on_with_images_that_were_read_on_the_way(state_file, monkeypatch):
    monkeypatch.setattr(reading, "FIRST_PX", 1)
    monkeypatch.setattr(reading, "_PX_PER_STEP", 150_000)
    settings = {"train": [item(i) for i in range(9)], "steps": 6}
    whole = losses(fit(config(**settings)))
    stop_after(3, fit(kept(state_file, **settings)))
    assert losses(fit(kept(state_file, **settings))).items() <= whole.items()


def test_a_run_by_time_keeps_its_plan(state_file, monkeypatch):
    monkeypatch.setattr(Course, "is_far_too_late", lambda _self: False)  # other work may slow this machine down
    settings = {"steps": None, "mode": "quick"}
    seen = []
    events = fit(kept(state_file, seconds=6.0, **settings))
    for event in events:
        seen.append(event)
        if of(Planned, seen) and isinstance(event, Step) and event.step > of(Planned, seen)[0].steps / 2:
            events.close()
    rest = list(fit(kept(state_file, seconds=5.5, **settings)))  # what is left after some preparation
    assert rest[-1].metrics["steps"] == of(Planned, seen)[0].steps
    assert [event.steps for event in of(Planned, rest)] == [of(Planned, seen)[0].steps]


def test_the_state_stays_until_the_result_was_taken(state_file):
    events = fit(kept(state_file, steps=3))
    for event in events:
        if isinstance(event, Finished):
            break
    assert state_file.exists()
    assert next(events, None) is None
    assert not state_file.exists()


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage_bit(path):
    data = bytearray(path.read_bytes())
    data[-5000] ^= 16
    path.write_bytes(bytes(data))


def damage_empty(path):
    path.write_bytes(b"")


def damage_text(path):
    path.write_bytes(b"not a state, but long enough to be taken for one" * 10)


def damage_foreign(path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3)}, path)


def damage_newer(path):
    path.write_bytes(path.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 9'))


def damage_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage", [damage_cut, damage_bit, damage_empty, damage_text, damage_foreign, damage_newer, damage_folder]
)
def test_a_state_that_is_of_no_use_is_told_and_not_used(state_file, damage):
    expected = losses(fit(config(steps=3)))
    stop_after(2, fit(kept(state_file, steps=3)))
    damage(state_file)
    events = list(fit(kept(state_file, steps=3)))
    adjusted = of(Adjusted, events)[0]
    assert (adjusted.what, "starts anew" in adjusted.detail) == ("state", True)
    assert not of(Resumed, events)
    assert losses(events) == expected


def paint(class_map):
    class_map[:20] = 0


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"steps": 5}, {"mode": "quick"}, {"train": [item(0), item(1, change=paint)]}, {"holdout": [item(8)]}],
)
def test_a_state_of_another_run_is_not_used(state_file, change):
    stop_after(2, fit(kept(state_file, steps=4)))
    events = list(fit(kept(state_file, **{"steps": 4, **change})))
    assert [event.what for event in of(Adjusted, events)] == ["state"]
    assert not of(Resumed, events)
    assert min(losses(events)) == 1


def test_a_record_with_nonsense_starts_anew(state_file, monkeypatch):
    write = keeping.write_state

    def nonsense(path, state):
        return write(path, replace(state, record={**state.record, "course": {"plan": {"colour": 3}}}))

    monkeypatch.setattr(keeping, "write_state", nonsense)
    stop_after(2, fit(kept(state_file, steps=3)))
    events = list(fit(kept(state_file, steps=3)))
    assert [event.what for event in of(Adjusted, events)] == ["state"]
    assert losses(events) == losses(fit(config(steps=3)))


def test_a_full_disk_is_told_once_and_training_goes_on(state_file, monkeypatch):
    def full(path, state):
        yield
        raise StorageError("The disk is full.")

    monkeypatch.setattr(keeping, "write_state", full)
    events = list(fit(kept(state_file, steps=4)))
    (adjusted,) = of(Adjusted, events)
    assert adjusted.detail.startswith("The disk is full.")
    assert events[-1].metrics["steps"] == 4


def test_the_state_is_written_in_pieces_and_is_a_plain_file(state_file, monkeypatch):
    monkeypatch.setattr(run_state, "_PIECE", 1 << 20)
    tensors = {"a": torch.randn(3_000_000), "b": torch.arange(5), "c": torch.tensor(2.0)}
    pieces = 0
    for _ in run_state.write_state(state_file, run_state.RunState({"fingerprint": "x"}, tensors)):
        pieces += 1
        assert state_file.exists() == (pieces == 12)
    assert pieces == 12
    from safetensors.torch import load_file

    read = load_file(state_file)
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    assert list(state_file.parent.iterdir()) == [state_file]


def test_cancelling_while_the_state_is_written_leaves_the_old_one(state_file):
    for _ in run_state.write_state(state_file, run_state.RunState({"fingerprint": "old"}, {"a": torch.zeros(2)})):
        pass
    before = state_file.read_bytes()
    writing = run_state.write_state(
        state_file, run_state.RunState({"fingerprint": "new"}, {"a": torch.zeros(3_000_000)})
    )
    next(writing)
    writing.close()
    assert state_file.read_bytes() == before
    assert list(state_file.parent.iterdir()) == [state_file]


# --- trouble


def broken_loss(monkeypatch, steps):
    """Let the loss of these forward passes be not a number."""
    from pspnet_core.training import learner

    calls = []
    loss = learner.summed_cross_entropy

    def broken(logits, *args):
        calls.append(1)
        return loss(logits, *args) * (math.nan if len(calls) in steps else 1.0)

    monkeypatch.setattr(learner, "summed_cross_entropy", broken)


def test_a_broken_step_goes_back_with_half_the_rate(monkeypatch):
    broken_loss(monkeypatch, {7})  # of the fourth step: the network and its auxiliary head have one each
    factors = []
    step = Learner._update
    monkeypatch.setattr(Learner, "_update", lambda self, loss, f: (factors.append(f), step(self, loss, f))[1])
    events = list(fit(config(steps=6, mode="quick")))
    (adjusted,) = of(Adjusted, events)
    assert adjusted.what == "rate"
    assert "back to the weights of step 0" in adjusted.detail
    assert sorted(losses(events)) == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(loss) for loss in losses(events).values())
    broken, again = (i for i, f in enumerate(factors) if f in (factors[3], factors[3] / 2) and i in (3, 4))
    assert factors[again] == factors[broken] / 2
    assert not events[-1].metrics["repeatable"]


def test_it_gives_up_after_three_times(monkeypatch):
    broken_loss(monkeypatch, range(5, 1000))
    seen = []
    with pytest.raises(TrainingError, match="not a number"):
        seen.extend(fit(config()))
    assert [event.what for event in of(Adjusted, seen)] == ["rate"] * 3


@pytest.mark.parametrize("error", [RuntimeError("MPS backend out of memory"), MemoryError()])
def test_less_memory_means_smaller_crops(monkeypatch, error):
    recipe = replace(RECIPE, crop_px=96)
    forward = Learner._forward

    def limited(self, images, *args):
        if images[0].shape[0] > 64:
            raise error
        return forward(self, images, *args)

    monkeypatch.setattr(Learner, "_forward", limited)
    events = list(fit(config(recipe=recipe, steps=3)))
    first, second = of(Adjusted, events)
    assert ("1 crop(s)" in first.detail, "64 pixels" in second.detail) == (True, True)
    assert sorted(losses(events)) == [1, 2, 3]


def test_parts_of_a_batch_follow_from_the_configuration_alone():
    def micro_batch(crop_px, backbone="efficientnet_lite0", device="cpu"):
        told = config(
            recipe=Recipe(batch_size=8, crop_px=crop_px), model=PSPNetConfig.preset("studio-fast", 3, backbone)
        )
        return learner_module._micro_batch(told, replace(plain(), device=torch.device(device)))

    assert [micro_batch(px) for px in (96, 128, 192, 256, 320, 512)] == [8, 8, 3, 2, 1, 1]
    assert micro_batch(128, "resnet50") == 1
    assert micro_batch(512, device="cuda") == 8


def test_batches_are_halved_before_crops(monkeypatch):
    forward = Learner._forward

    def limited(self, images, *args):
        if len(images) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(self, images, *args)

    monkeypatch.setattr(Learner, "_forward", limited)
    events = list(fit(config(recipe=replace(RECIPE, batch_size=4), steps=2)))
    assert [event.what for event in of(Adjusted, events)] == ["memory", "memory"]
    assert "2 crop(s)" in of(Adjusted, events)[0].detail
    assert sorted(losses(events)) == [1, 2]


# --- numbers


def test_a_gradient_that_overflows_loses_one_step_and_not_the_run():
    learner = Learner(config(), Numerics(torch.device("cpu"), None, torch.channels_last), {})
    learner._scale = LossScale(is_used=True)
    crops = [picture(0, 64)]
    weight = learner._model.classifier[1].weight
    before = weight.detach().clone()
    hook = weight.register_hook(lambda gradient: gradient * 1e12)
    learner._scale.value = 1e38
    list(learner.step(crops, 1.0))
    assert torch.equal(weight, before)
    assert (learner.num_steps, learner._scale.value) == (1, 5e37)
    hook.remove()
    learner._scale.value = 2.0**16
    list(learner.step(crops, 1.0))
    assert not torch.equal(weight, before)
    assert math.isfinite(learner.loss)


def test_the_factor_of_the_loss_changes_no_step():
    weights = []
    for value in (1.0, 1024.0):
        learner = Learner(config(model=replace(NETWORK, dropout=0.0)), plain(), {})
        learner._scale = LossScale(is_used=True)
        learner._scale.value = value
        list(learner.step([picture(0, 64)], 1.0))
        weights.append(learner._model.classifier[1].weight.detach().clone())
    torch.testing.assert_close(*weights)


def plain():
    return Numerics(torch.device("cpu"), None, torch.channels_last)


def test_the_factor_grows_again():
    scale = LossScale(is_used=True)
    scale.shrink()
    low = scale.value
    for _ in range(2000):
        scale.stay()
    assert scale.value == 2 * low
    unused = LossScale(is_used=False)
    for _ in range(3000):
        unused.stay()
    assert (unused.value, unused.may_shrink) == (1.0, False)


def test_float16_learns_on_a_processor_that_is_asked_to():
    learner = Learner(config(), replace(plain(), dtype=torch.float16), {})
    for _ in range(3):
        list(learner.step([picture(0, 64)], 1.0))
    assert learner._scale.value > 1.0
    assert math.isfinite(learner.loss)


def test_numbers_of_training(monkeypatch):
    gpu = torch.device("cuda", 0)
    for capability, dtype in (((9, 0), torch.bfloat16), ((7, 5), torch.float16), ((6, 1), None)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, c=capability: c)
        assert training_numerics(gpu).dtype == dtype
        assert training_numerics(gpu).is_narrow == (dtype == torch.float16)
    assert training_numerics(gpu, "float32").dtype is None
    exact = training_numerics(torch.device("cpu"), "float64")
    assert (exact.dtype, exact.base) == (None, torch.float64)
    for wrong, device in (("float64", "mps"), ("int8", "cpu")):
        with pytest.raises(ValueError, match="precision"):
            training_numerics(torch.device(device), wrong)


def test_images_for_a_gpu_lie_in_pinned_memory(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    x = torch.zeros(2)
    assert devices.pinned(x, torch.device("cuda", 0)) is x
    assert devices.pinned(x, torch.device("cpu")) is x
    assert len(pinned) == 1


def test_float64_gives_a_checkpoint_of_float32():
    events = list(fit(config(steps=2, precision="float64", holdout=[item(7)])))
    assert events[-1].checkpoint.model.classifier[1].weight.dtype == torch.float32
    assert 0 <= events[-1].metrics["mean_iou"] <= 1
