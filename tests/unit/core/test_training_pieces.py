"""What takes long in a run is done in pieces, with signs of life between them, and not too often."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from pspnet_core.devices import training_numerics  # noqa: E402
from pspnet_core.models import PSPNetConfig  # noqa: E402
from pspnet_core.training import TrainConfig, keeping, recovery, run_state  # noqa: E402
from pspnet_core.training.distributed import ALONE  # noqa: E402
from pspnet_core.training.keeping import Keeper  # noqa: E402
from pspnet_core.training.learner import Learner  # noqa: E402
from pspnet_core.training.recovery import Recovery  # noqa: E402
from tests.helpers.networks import small  # noqa: E402
from tests.helpers.tiny import CLASSES  # noqa: E402

COUNTERS = {"num_steps": 3, "optimizer_steps": 3}


class _Learner:
    """Nothing but what is remembered of one."""

    def __init__(self):
        self.num_steps, self.lr_scale, self.micro_batch = 3, 1.0, 1
        self.weights = {f"weight.{i}": torch.full((1000,), float(i)) for i in range(20)}
        self.restored = None

    def tensors(self):
        return self.weights

    def counters(self):
        return dict(COUNTERS)

    def forget_gradients(self):
        pass

    def restore(self, tensors, counters):
        self.restored = {name: tensor.clone() for name, tensor in tensors.items()}


def _result(events):
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value


def test_weights_are_remembered_in_pieces(monkeypatch):
    monkeypatch.setattr(recovery, "_PIECE", 8000)  # two of the tensors
    learner, memory = _Learner(), Recovery(torch.device("cpu"))
    assert sum(1 for _ in memory.remember(learner, now=True)) == 10
    before = {name: tensor.clone() for name, tensor in learner.weights.items()}
    for tensor in learner.weights.values():
        tensor.zero_()
    half = memory.remember(learner, now=True)
    next(half)
    half.close()
    memory.roll_back(learner, recovery.DivergedError("broken"))
    assert all(torch.equal(learner.restored[name], before[name]) for name in before)


def test_weights_are_remembered_every_50_steps():
    learner, memory = _Learner(), Recovery(torch.device("cpu"))
    list(memory.remember(learner))
    assert memory._good is None
    learner.num_steps = 50
    list(memory.remember(learner))
    assert memory._good is not None


def test_many_small_tensors_are_written_in_pieces_that_are_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(run_state, "_PIECE", 8000)
    synced = []
    sync = run_state.os.fsync
    monkeypatch.setattr(run_state.os, "fsync", lambda number: (synced.append(number), sync(number))[1])
    tensors = _Learner().weights
    for pieces, _ in enumerate(
        run_state.write_state(tmp_path / "s", run_state.RunState({"fingerprint": "x"}, tensors)), start=1
    ):
        if pieces <= 10:
            assert len(synced) == pieces
    assert pieces == 11
    read = _result(run_state.read_state(tmp_path / "s", "x")).tensors
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(("cost_s", "wait_s"), [(0.1, 20.0), (1.0, 50.0)])
def test_a_state_that_costs_much_is_kept_seldom(tmp_path, monkeypatch, cost_s, wait_s):
    """Two percent of the time, or each 20 s; the time between two pieces is not the state's."""
    now, written = [0.0], []

    def write(path, state):
        now[0] += cost_s
        yield
        written.append(now[0])

    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(keeping, "write_state", write)
    config = TrainConfig(train=(), classes=CLASSES, steps=9, device="cpu", state_file=tmp_path / "s")
    keeper = Keeper(config, ALONE)

    def keep(at_s):
        now[0] = at_s
        for _ in keeper.keep(lambda: ({}, {}), 0.5):
            now[0] += 5.0

    keep(19.0)
    assert written == []
    keep(21.0)
    assert len(written) == 1
    done_s = now[0]
    keep(done_s + wait_s - 1.0)
    assert len(written) == 1
    keep(done_s + wait_s + 1.0)
    assert len(written) == 2


@pytest.mark.parametrize("init", ["none", "checkpoint"])
def test_a_learner_made_in_pieces_is_the_same(init):
    numerics = training_numerics(torch.device("cpu"), "auto")
    settings = {"train": (), "classes": CLASSES, "steps": 9, "device": "cpu"}
    config = TrainConfig(**settings, init="none", model=small(PSPNetConfig.studio_fast(len(CLASSES))))
    if init == "checkpoint":
        config = TrainConfig(**settings, init=Learner(config, numerics, {}).checkpoint({}))
    whole, made = Learner(config, numerics, {}), Learner.in_pieces(config, numerics, {})
    assert next(made) is None  # there is a sign of life before it is complete
    pieces = _result(made)
    assert pieces.tensors().keys() == whole.tensors().keys()
    assert all(torch.equal(pieces.tensors()[name], tensor) for name, tensor in whole.tensors().items())
    assert {t.data_ptr() for n, t in pieces.tensors().items() if n.startswith("weight")}.isdisjoint(
        t.data_ptr() for n, t in pieces.tensors().items() if n.startswith("average")
    )
