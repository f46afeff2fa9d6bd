"""Another set of classes keeps everything but the classifiers' rows, and maps those by name."""

from __future__ import annotations

import json

import pytest
import torch

from pspnet_core.classes import ClassSet
from pspnet_core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pspnet_core.models.class_change import change_classes
from pspnet_core.models.config import AuxHead, PSPNetConfig
from pspnet_core.models.decoder import bilinear_kernel
from pspnet_core.models.pspnet import make_model

OLD = ("sky", "Road", "car", "tree")
NEW = ("Car", "grass", "  sky ", "road", "wall")
ROWS = {0: 2, 2: 0, 3: 1}  # new channel -> old row


def class_set(names) -> ClassSet:
    classes = ClassSet()
    for name in names:
        classes = classes.add(name)
    return classes


def make(**settings) -> Checkpoint:
    torch.manual_seed(0)
    aux = (AuxHead(3, 16, 0.4), AuxHead(2, 8, 0.2))
    config = PSPNetConfig(
        len(OLD), bin_channels=8, head_channels=16, skip_channels=8, refine_channels=8, aux=aux, **settings
    )
    model = make_model(config).eval()
    if config.decoder == "deconv":
        torch.nn.init.normal_(model.upsampler.weight)
    return Checkpoint(model, class_set(OLD), metrics={"mean_iou": 0.5}, origin={"data": "roads"})


@pytest.fixture(scope="module")
def deconv() -> Checkpoint:
    return make(decoder="deconv")


def test_rows_go_over_by_name_and_everything_else_as_it_is(deconv) -> None:
    before = {name: tensor.clone() for name, tensor in deconv.model.state_dict().items()}
    changed, change = change_classes(deconv, class_set(NEW), seed=3)
    after = changed.model.state_dict()
    of_classes = {
        f"{head}.{part}" for head in ("classifier.1", "aux_heads.0.2", "aux_heads.1.2") for part in ("weight", "bias")
    }
    of_classes.add("upsampler.weight")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        if name not in of_classes:
            assert torch.equal(after[name], tensor)
            continue
        assert len(after[name]) == len(NEW)
        assert all(torch.equal(after[name][channel], tensor[row]) for channel, row in ROWS.items())
    assert torch.equal(after["upsampler.weight"][1, 0], bilinear_kernel(changed.model.logit_stride))
    assert (change.kept, change.new, change.dropped) == (("Car", "sky", "road"), ("grass", "wall"), ("tree",))
    assert all(torch.equal(tensor, before[name]) for name, tensor in deconv.model.state_dict().items())


def test_the_prediction_for_kept_classes_is_the_same(deconv) -> None:
    changed, _ = change_classes(deconv, class_set(NEW))
    x = torch.randn(1, 3, 40, 56)
    with torch.inference_mode():
        old, new = deconv.model.eval()(x)["out"], changed.model(x)["out"]
    assert all(torch.allclose(new[:, channel], old[:, row], atol=1e-6) for channel, row in ROWS.items())


def test_new_rows_are_drawn_as_torch_draws_them_and_repeatable(deconv) -> None:
    state = torch.random.get_rng_state()
    first, _ = change_classes(deconv, class_set(NEW), seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    again, _ = change_classes(deconv, class_set(NEW), seed=1)
    other, _ = change_classes(deconv, class_set(NEW), seed=2)
    assert first.id == again.id != other.id
    rows = first.model.state_dict()["classifier.1.weight"][[1, 4]]
    bound = rows.shape[1] ** -0.5  # of torch.nn.Conv2d
    assert 0 < rows.abs().max() <= bound


def test_counts_and_words(deconv) -> None:
    changed, change = change_classes(deconv, class_set(NEW))
    total = sum(parameter.numel() for parameter in changed.model.parameters())
    assert change.num_parameters_kept + change.num_parameters_new == total
    stride = 2 * changed.model.logit_stride
    assert change.num_parameters_new == 2 * ((8 + 1) + (16 + 1) + (8 + 1) + stride**2)
    for word in ("Car, sky, road", "grass, wall", "tree", f"{total:,}"):
        assert word in change.text
    assert json.loads(json.dumps(change.to_json()))["new"] == ["grass", "wall"]
    assert changed.origin == {"data": "roads", "class_change": change.to_json()}
    assert changed.metrics == {}


def test_the_same_names_change_nothing_but_their_order() -> None:
    checkpoint = make()
    turned, change = change_classes(checkpoint, class_set(reversed(OLD)))
    assert (change.new, change.dropped, change.num_parameters_new) == ((), (), 0)
    back, _ = change_classes(turned, checkpoint.classes)
    assert back.id == checkpoint.id


def test_equal_names_come_before_those_that_differ_in_case() -> None:
    checkpoint = make()
    checkpoint = Checkpoint(checkpoint.model, class_set(("a", "A", "b", "c")))
    old = checkpoint.model.state_dict()["classifier.1.bias"]
    changed, change = change_classes(checkpoint, class_set(("A", "a", "B", "b ", "x")))
    new = changed.model.state_dict()["classifier.1.bias"]
    assert change.new == ("B", "x")  # "b" had the better claim
    assert [new[0], new[1], new[3]] == [old[1], old[0], old[2]]


def test_a_changed_network_can_be_saved(tmp_path, deconv) -> None:
    changed, change = change_classes(deconv, class_set(NEW))
    save_checkpoint(changed, tmp_path / "c.safetensors")
    again = load_checkpoint(tmp_path / "c.safetensors")
    assert again.id == changed.id
    assert again.classes.names == tuple(name.strip() for name in NEW)
    assert again.origin["class_change"] == change.to_json()
