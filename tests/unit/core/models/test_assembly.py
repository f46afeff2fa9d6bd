"""Networks around tensors that are there already."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pspnet_core.models.assembly import assemble, blank
from pspnet_core.models.pspnet import PSPNet, make_model
from tests.helpers.networks import CASES, fill, image, small

CONFIG = small(CASES["studio-fast mobilenet_v2"], decoder="deconv", skip_channels=0)


@pytest.fixture(scope="module")
def model() -> PSPNet:
    made = make_model(CONFIG)
    fill(made)
    return made.eval()


def odd(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values, of other types and in other memory than a network has them."""
    result = {name: tensor.clone() for name, tensor in tensors.items()}
    matrices = [name for name, tensor in result.items() if tensor.ndim == 4]
    result[matrices[0]] = result[matrices[0]].double()
    result["fuse.0.weight"] = result["fuse.0.weight"].to(memory_format=torch.channels_last)
    assert not result["fuse.0.weight"].is_contiguous()
    line = torch.cat([result[name].flatten() for name in matrices[2:5]])
    start = 0
    for name in matrices[2:5]:
        result[name] = line[start : start + result[name].numel()].view(result[name].shape)
        start += result[name].numel()
    result["classifier.1.bias"] = nn.Parameter(result["classifier.1.bias"])
    return result


def test_nothing_is_made_before_the_tensors_are_there() -> None:
    empty = blank(CONFIG)
    assert all(tensor.is_meta for tensor in (*empty.parameters(), *empty.buffers()))


def test_the_network_is_ready_for_use_whatever_its_tensors_were(model) -> None:
    made = assemble(blank(CONFIG), odd(model.state_dict()))
    assert not any(module.training for module in made.modules())
    assert [name for name, _ in made.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert [name for name, _ in made.named_buffers()] == [name for name, _ in model.named_buffers()]
    assert not any(parameter.requires_grad for parameter in made.parameters())
    for name, tensor in model.state_dict().items():
        mine = made.state_dict()[name]
        assert torch.equal(mine, tensor)
        assert (mine.dtype, mine.device, mine.is_contiguous()) == (tensor.dtype, tensor.device, True)
        assert mine.untyped_storage().nbytes() == mine.numel() * mine.element_size()
    assert type(made.classifier[1].weight) is nn.Parameter
    x = image(33, 41)
    with torch.no_grad():
        assert torch.equal(made(x)["out"], model(x)["out"])


def test_it_learns_when_it_is_told_to(model) -> None:
    made = assemble(blank(CONFIG), odd(model.state_dict())).requires_grad_(True).train()
    sum(logits.sum() for logits in made(image(33, 41, 2)).values()).backward()
    assert made.classifier[1].weight.grad is not None


def test_tensors_that_fit_are_not_copied(model) -> None:
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    made = assemble(blank(CONFIG), tensors)
    assert made.classifier[1].weight.data_ptr() == tensors["classifier.1.weight"].data_ptr()


def test_what_does_not_fit_is_named(model) -> None:
    tensors = dict(model.state_dict())
    bias = tensors.pop("classifier.1.bias")
    with pytest.raises(ValueError, match=r"1 of \d+ tensors are missing, for example classifier\.1\.bias"):
        assemble(blank(CONFIG), tensors)
    with pytest.raises(ValueError, match=r"1 tensors have no place, for example more"):
        assemble(blank(CONFIG), {**tensors, "classifier.1.bias": bias, "more": bias})
    with pytest.raises(ValueError, match=r"classifier\.1\.bias has shape \[1\], expected \[\d+\]"):
        assemble(blank(CONFIG), {**tensors, "classifier.1.bias": bias[:1]})
