"""Another set of classes for a trained network: all is kept but the rows of its classifiers.

Rows go over by the names of the classes, so that "Road" stays what the network learned as "road".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pspnet_core.classes import ClassSet
from pspnet_core.models.assembly import assemble, blank
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.models.decoder import bilinear_kernel

_SHOWN = 12  # names in a text


@dataclass(frozen=True, slots=True)
class ClassChange:
    """What was kept and what is new.

    Attributes:
        kept: Names, as the new set spells them, whose rows went over; in the order of the new channels.
        new: Names whose rows are newly initialised.
        dropped: Names of the old set that the new one does not have.
        num_parameters_kept: Numbers in the network that went over, without statistics of norms.
        num_parameters_new: Those that are newly initialised.
    """

    kept: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]
    num_parameters_kept: int
    num_parameters_new: int

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def text(self) -> str:
        """One paragraph for people."""
        total = self.num_parameters_kept + self.num_parameters_new
        return " ".join(
            (
                f"{self.num_parameters_kept:,} of {total:,} parameters were kept.",
                f"Known classes: {_list(self.kept)}.",
                f"New classes, which the network has yet to learn: {_list(self.new)}.",
                f"Dropped classes: {_list(self.dropped)}.",
            )
        )


def change_classes(checkpoint: Checkpoint, classes: ClassSet, seed: int = 0) -> tuple[Checkpoint, ClassChange]:
    """A copy of ``checkpoint`` for other classes.

    Args:
        checkpoint: It stays as it is.
        classes: The new classes in channel order. Names are compared without case and outer blanks.
        seed: Of the new rows, which are initialised as torch initialises a convolution; a new class's kernel of a
            learned upsampling is bilinear.

    Returns:
        The new checkpoint, on the CPU, in evaluation mode and without gradients; its scores are gone, its origin tells
        of the change. And what was kept.
    """
    rows = _match(checkpoint.classes.names, classes.names)
    old_model, config = checkpoint.model, replace(checkpoint.config, num_classes=len(classes))
    model = blank(config)
    of_classes = model.class_parameters()
    tensors = {
        name: tensor.detach().cpu().clone() for name, tensor in old_model.state_dict().items() if name not in of_classes
    }
    learned = {name for name, _ in model.named_parameters()}
    num_kept = sum(tensor.numel() for name, tensor in tensors.items() if name in learned)
    num_new = 0
    old = old_model.state_dict()
    fresh = _fresh(old, sorted(of_classes), len(classes), model.logit_stride, seed)
    for name, tensor in fresh.items():
        for channel, row in rows.items():
            tensor[channel] = old[name][row].cpu()
        one_row = math.prod(tensor.shape[1:])
        num_kept += one_row * len(rows)
        num_new += one_row * (len(classes) - len(rows))
    assemble(model, tensors | fresh)
    change = _describe(checkpoint.classes.names, classes.names, rows, num_kept, num_new)
    origin = checkpoint.origin | {"class_change": change.to_json()}
    return Checkpoint(model, classes, checkpoint.preprocessing, {}, origin), change


def _match(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """New channel -> old row. Equal names first, then those that differ in case or blanks; no row goes over twice."""
    rows: dict[int, int] = {}
    for plain in (str, _plain):
        left = {plain(name): row for row, name in reversed(list(enumerate(old))) if row not in rows.values()}
        for channel, name in enumerate(new):
            if channel not in rows and plain(name) in left:
                rows[channel] = left.pop(plain(name))
    return dict(sorted(rows.items()))


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _fresh(old: dict[str, Tensor], names: Sequence[str], num_classes: int, stride: int, seed: int) -> dict[str, Tensor]:
    """New tensors of classifiers and learned upsampling, as a new network would have them."""
    result: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for weight in (name for name in names if name.endswith(".weight")):
            if weight == "upsampler.weight":
                result[weight] = bilinear_kernel(stride).expand(num_classes, 1, -1, -1).clone()
                continue
            layer = nn.Conv2d(old[weight].shape[1], num_classes, 1)
            result[weight] = layer.weight.detach()
            assert layer.bias is not None
            result[weight.removesuffix("weight") + "bias"] = layer.bias.detach()
    return result


def _describe(old: Sequence[str], new: Sequence[str], rows: dict[int, int], num_kept: int, num_new: int) -> ClassChange:
    return ClassChange(
        kept=tuple(new[channel] for channel in rows),
        new=tuple(name for channel, name in enumerate(new) if channel not in rows),
        dropped=tuple(name for row, name in enumerate(old) if row not in rows.values()),
        num_parameters_kept=num_kept,
        num_parameters_new=num_new,
    )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"
