"""What a run starts from, and what of it stays as it is."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from pspnet_core.devices import Numerics  # noqa: E402
from pspnet_core.models import PSPNetConfig, make_model  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint  # noqa: E402
from pspnet_core.models.layers import FrozenBatchNorm2d  # noqa: E402
from pspnet_core.training.config import Recipe, TrainConfig  # noqa: E402
from pspnet_core.training.learner import Learner  # noqa: E402
from tests.helpers.networks import small  # noqa: E402
from tests.helpers.tiny import CLASSES, picture  # noqa: E402

RECIPE = Recipe(batch_size=2, crop_px=64)
NUMERICS = Numerics(torch.device("cpu"), None, torch.channels_last)


def network(**settings):
    return small(PSPNetConfig.preset("torchvision-backbone", 3, "resnet18"), **settings)


def learner_of(init, recipe=RECIPE, **settings):
    config = TrainConfig(train=(), classes=CLASSES, steps=1, device="cpu", recipe=recipe, init=init, **settings)
    return Learner(config, NUMERICS, {})


def step(learner):
    for _ in learner.step([picture(0, 64), picture(1, 64)], 1.0):
        pass


@pytest.fixture
def checkpoint():
    torch.manual_seed(0)
    return Checkpoint(make_model(network(backbone_norm="frozen", head_norm="frozen")).eval(), CLASSES)


@pytest.mark.parametrize("num_frozen", [0, 1])
def test_constant_norms_stay_constant_in_a_run_from_a_checkpoint(checkpoint, num_frozen):
    learner = learner_of(checkpoint, replace(RECIPE, frozen_stages=num_frozen))
    before = {key: m.state_dict() for key, m in norms_of(checkpoint.model)}
    assert before
    assert not any(p.requires_grad for _, norm in norms_of(learner._model) for p in norm.parameters())
    step(learner)
    for model in (learner._model, learner.checkpoint({}).model):
        for key, norm in norms_of(model):
            assert all(torch.equal(value, before[key][name]) for name, value in norm.state_dict().items())
    assert not torch.equal(learner._model.fuse[0].weight, checkpoint.model.fuse[0].weight)


def norms_of(model):
    return [(key, m) for key, m in model.named_modules() if isinstance(m, FrozenBatchNorm2d)]


def moved(learner, before):
    """Names of the norms whose statistics are not those of ``before`` any more."""
    after = dict(learner._model.named_buffers())
    return {key.rpartition(".")[0] for key, value in before.items() if not torch.equal(value, after[key])}


def test_norms_of_new_heads_learn_their_statistics():
    """Only a backbone was imported: statistics of its heads are those of no data at all."""
    torch.manual_seed(0)
    model = make_model(network(backbone_norm="batch", head_norm="batch")).eval()
    before = {key: value.clone() for key, value in model.named_buffers()}
    new = [key for key in model.state_dict() if not key.startswith("backbone.")]
    for names, expected in ((new, False), ([], True)):
        learner = learner_of(Checkpoint(model, CLASSES, origin={"import": {"new": names}}))
        step(learner)
        heads = {name for name in moved(learner, before) if not name.startswith("backbone.")}
        assert (heads == set()) is expected
        assert not any(name.startswith("backbone.") for name in moved(learner, before))
    assert "fuse.1" in {key.rpartition(".")[0] for key in new}


def test_learned_upsampling_does_not_decay():
    """Its kernel is right as it starts; decay would draw all logits towards zero."""
    config = network(decoder="deconv", output_stride=16)
    learner = learner_of("none", model=config)
    upsampler = learner._model.upsampler.weight
    decays = {id(p): group.weight_decay for group in learner._optimizer._groups for p in group.parameters}
    assert decays[id(upsampler)] == 0
    assert decays[id(learner._model.fuse[0].weight)] == RECIPE.weight_decay


def test_rows_of_new_classes_follow_the_seed(checkpoint):
    classes = CLASSES.add("new", index=9)
    rows = [
        Learner(TrainConfig(train=(), classes=classes, steps=1, device="cpu", init=checkpoint, seed=seed), NUMERICS, {})
        ._model.classifier[1]
        .weight[3]
        for seed in (1, 1, 2)
    ]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
