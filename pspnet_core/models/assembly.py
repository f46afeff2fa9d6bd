"""A network around tensors that are there already: none of its own is made only to be overwritten.

What a file says about the network it holds costs no memory until its tensors have been compared with that.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pspnet_core.models.config import PSPNetConfig
from pspnet_core.models.pspnet import PSPNet, make_model


def blank(config: PSPNetConfig) -> PSPNet:
    """The network of ``config`` on torch's device "meta": it has names, shapes and number types, but no numbers."""
    with torch.device("meta"):
        return make_model(config)


def assemble(model: PSPNet, tensors: Mapping[str, Tensor]) -> PSPNet:
    """Give a network of :func:`blank` its numbers.

    Args:
        model: It is changed.
        tensors: One for each of its names. Those that are contiguous, of the right number type and alone in their
            memory become part of the network; the others are copied.

    Returns:
        ``model``, on the CPU, in evaluation mode and without gradients.

    Raises:
        ValueError: A tensor is missing, has no place, or has another shape.
    """
    expected = model.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ValueError(f"{len(missing)} of {len(expected)} tensors are missing, for example {missing[0]}")
    if surplus := sorted(tensors.keys() - expected.keys()):
        raise ValueError(f"{len(surplus)} tensors have no place, for example {surplus[0]}")
    for name, like in expected.items():
        if tensors[name].shape != like.shape:
            raise ValueError(f"{name} has shape {list(tensors[name].shape)}, expected {list(like.shape)}")
    model.load_state_dict({name: _own(tensors[name], like.dtype) for name, like in expected.items()}, assign=True)
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    return model.eval().requires_grad_(False)


def _own(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """``tensor`` on the CPU, contiguous, in memory that holds nothing else; a copy where it is not so."""
    plain = tensor.detach().to("cpu", dtype).contiguous()
    return plain if plain.untyped_storage().nbytes() == plain.numel() * plain.element_size() else plain.clone()
