"""A network of ours around a publisher's tensors: each tensor has its place, and each place its tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pspnet_core.errors import CheckpointError
from pspnet_core.models.assembly import assemble, blank
from pspnet_core.models.config import AuxHead, PSPNetConfig
from pspnet_core.models.importers.key_map import BASIC, Facts, Layout, Publisher
from pspnet_core.models.importers.recognise import is_ignored, their_key
from pspnet_core.models.pspnet import PSPNet, make_model

_REMEDY = "Get the file again from its publisher. If it is whole, it is of a variant that is not supported."
_NAMED = 5  # names in a message
_SEED = 0  # of new heads: importing twice gives the same network

_DEPTHS = {
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
    ((3, 8, 36, 3), True): "resnet152",
}
_STEMS = {(64, 3, 7, 7): "conv7", (64, 3, 3, 3): "deep64", (32, 3, 3, 3): "deep32"}


@dataclass
class Translated:
    """Tensors by our names.

    Attributes:
        tensors: Ours -> tensor, float32 but for counters.
        theirs: Ours -> the publisher's name.
        ignored: The publisher's names that are not needed.
        folded: The publisher's names of biases that went into the norm behind them.
        converted: Number types that became float32.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)
    converted: set[str] = field(default_factory=set)


def translate(tensors: Mapping[str, Tensor], publisher: Publisher, layout: Layout, source: str) -> Translated:
    """The publisher's tensors by our names. Raises: CheckpointError when a name has no place."""
    result, unknown = Translated(), []
    for key, tensor in tensors.items():
        name = layout.key_map.to_ours(their_key(publisher, key))
        if is_ignored(publisher, layout, key):
            result.ignored.append(key)
        elif name is None:
            unknown.append(key)
        else:
            result.tensors[name] = _plain(key, tensor, result.converted, source)
            result.theirs[name] = key
    if unknown:
        raise CheckpointError(
            f"{source} holds {len(unknown)} tensor(s) that a PSPNet of {publisher.name} does not have.",
            f"For example {_some(unknown)}.",
            _REMEDY,
        )
    if publisher.is_bgr:
        result.tensors = {name: flip(name, tensor) for name, tensor in result.tensors.items()}
    _fold_biases(result)
    return result


def flip(name: str, tensor: Tensor) -> Tensor:
    """The first convolution, if it is one of three colours, with red and blue exchanged; all else as it is."""
    is_first = name == "backbone.stem.0.weight" and tensor.ndim == 4 and tensor.shape[1] == 3
    return tensor[:, [2, 1, 0]].contiguous() if is_first else tensor


def read_config(found: Translated, publisher: Publisher, layout: Layout, facts: Facts) -> PSPNetConfig:
    """The network that the tensors are of: widths and depth from them, the rest from the publisher's table.

    Args:
        found: Tensors by our names.
        publisher: Who published them.
        layout: Its layout.
        facts: Their file, backbone and number of classes; ``guesses`` is added to.

    Raises:
        CheckpointError: They are of no network that exists here.
    """
    if facts.backbone in BASIC and not (publisher.has_basic_blocks or layout.is_backbone):
        raise CheckpointError(
            f"{facts.name or 'The state dict'} is a {facts.backbone} of {publisher.name}, which cannot be imported.",
            "Its tensors do not tell which convolutions of a block are dilated, and no such network was published.",
            f"Choose a ResNet-50 or larger of {publisher.name}, or a ResNet-18 of mmsegmentation or CSAIL.",
        )
    settings: dict[str, Any] = {**publisher.settings, **layout.settings}
    weight = settings.pop("aux_weight", None)
    if publisher.decide is not None:
        settings |= publisher.decide(facts)
    if facts.align_corners is not None:
        settings["align_corners"] = facts.align_corners
    base = PSPNetConfig.preset(publisher.preset, facts.num_classes or 1, facts.backbone)
    if facts.backbone.startswith("resnet"):
        settings["stem"] = _stem(found)
    if layout.is_backbone:
        return replace(base, **settings)
    settings |= {"head_channels": _first(found, "fuse.0.weight")}
    if settings.get("context", "pyramid") == "pyramid":
        settings["bin_channels"] = _first(found, "ppm.branches.0.0.weight")
    has_aux = any(name.startswith("aux_heads.") for name in found.tensors)
    channels = _first(found, "aux_heads.0.0.0.weight") if has_aux else 0
    settings["aux"] = (AuxHead(3, channels, weight or base.aux[0].weight),) if has_aux else ()
    try:
        return replace(base, **settings)
    except ValueError as error:
        raise CheckpointError(
            f"{facts.name or 'The weights'} are of an impossible network.", f"{error}.", _REMEDY
        ) from error


def find_backbone(found: Translated, source: str) -> str:
    """The backbone that the tensors are of, by the number of its blocks. Raises: CheckpointError."""
    if any(name.startswith("backbone.features.") for name in found.tensors):
        last = max(int(m[1]) for name in found.tensors if (m := re.match(r"backbone\.features\.(\d+)\.", name)))
        kind = "mobilenet_v2" if last == 17 else "mobilenet_v3_large" if last == 16 else None
        if kind is None:
            raise _unknown_depth(source, f"{last + 1} layers")
        return kind
    blocks = [0, 0, 0, 0]
    for name in found.tensors:
        if match := re.match(r"backbone\.layer([1-4])\.(\d+)\.", name):
            stage = int(match[1]) - 1
            blocks[stage] = max(blocks[stage], int(match[2]) + 1)
    is_bottleneck = "backbone.layer1.0.conv3.weight" in found.tensors
    depth = _DEPTHS.get(((blocks[0], blocks[1], blocks[2], blocks[3]), is_bottleneck))
    if depth is None:
        kind = "bottlenecks" if is_bottleneck else "basic blocks"
        raise _unknown_depth(source, f"{', '.join(map(str, blocks))} {kind} in its stages")
    return depth


def fill(config: PSPNetConfig, found: Translated, is_backbone: bool, source: str) -> tuple[PSPNet, list[str]]:
    """The network with the tensors in it.

    Args:
        config: Its shape.
        found: The tensors.
        is_backbone: Whether everything but the backbone is to be new.
        source: What to call the weights in a message.

    Returns:
        The network in evaluation mode without gradients, and the names of what is newly initialised.

    Raises:
        CheckpointError: A tensor is missing or has another shape.
    """
    model = blank(config)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    new = [name for name in expected if is_backbone and not name.startswith("backbone.")]
    wrong = [name for name, tensor in found.tensors.items() if expected.get(name) not in (None, tensor.shape)]
    if wrong:
        name = wrong[0]
        raise CheckpointError(
            f"{source} has a tensor of the wrong shape: {found.theirs[name]}.",
            f"Expected {list(expected[name])} in a {config.backbone} of this kind, found "
            f"{list(found.tensors[name].shape)}. {len(wrong)} tensor(s) do not fit.",
            _REMEDY,
        )
    if extra := [found.theirs[name] for name in found.tensors if name not in expected]:
        raise CheckpointError(
            f"{source} holds {len(extra)} tensor(s) that its network does not have.",
            f"For example {_some(extra)}.",
            _REMEDY,
        )
    tensors = dict(found.tensors)
    for name in expected:  # what publishers of before torch 0.4.1 do not have; nothing depends on it
        if name.endswith(".num_batches_tracked") and name not in tensors and name not in new:
            tensors[name] = torch.zeros((), dtype=torch.int64)
    if missing := sorted(expected.keys() - tensors.keys() - set(new)):
        raise CheckpointError(
            f"{source} is incomplete: {len(missing)} of {len(expected)} tensors are missing.",
            f"For example (in our names) {_some(missing)}.",
            _REMEDY,
        )
    if new:
        tensors |= _fresh(config, new)
    return assemble(model, tensors), new


def _fresh(config: PSPNetConfig, names: list[str]) -> dict[str, Tensor]:
    """Tensors of a new network, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        made = make_model(config).state_dict()
    return {name: made[name] for name in names}


def _plain(key: str, tensor: Tensor, converted: set[str], source: str) -> Tensor:
    """A tensor as float32 (counters as int64), contiguous and finite. Raises: CheckpointError."""
    if key.endswith("num_batches_tracked"):
        if tensor.numel() != 1 or tensor.layout is not torch.strided or tensor.is_complex():
            raise CheckpointError(
                f"{source} is damaged: {key} is no counter.",
                f"Expected one number, found shape {list(tensor.shape)}, {tensor.dtype}.",
                _REMEDY,
            )
        return tensor.to(torch.int64).reshape(())
    if tensor.is_sparse or tensor.is_quantized or not tensor.is_floating_point():
        raise CheckpointError(
            f"{source} has weights of a kind that is not supported: {key} is {tensor.dtype}.",
            "Expected floating point numbers.",
            "Choose weights that were not quantised.",
        )
    if tensor.dtype != torch.float32:
        converted.add(str(tensor.dtype).removeprefix("torch."))
    if not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(
            f"{source} is damaged: {key} holds values that are no numbers.",
            "Expected finite numbers in every tensor.",
            "Get the file again, or choose an earlier checkpoint of that training.",
        )
    return tensor.detach().to(torch.float32).contiguous()


def _fold_biases(found: Translated) -> None:
    """Take the bias of a convolution before a batch norm out of the norm's mean: the same function."""
    for name in [n for n in found.tensors if n.endswith(".0.bias")]:
        mean = f"{name.removesuffix('.0.bias')}.1.running_mean"
        if mean in found.tensors and found.tensors[mean].shape == found.tensors[name].shape:
            found.tensors[mean] = found.tensors[mean] - found.tensors.pop(name)
            found.folded.append(found.theirs[name])


def _stem(found: Translated) -> str:
    first = found.tensors.get("backbone.stem.0.weight")
    shape = tuple(first.shape) if first is not None else ()
    if shape not in _STEMS:
        raise CheckpointError(
            f"The first convolution has the shape {list(shape)}.",
            f"Expected one of {', '.join(str(list(s)) for s in _STEMS)}: an RGB image, and the stem of a ResNet.",
            _REMEDY,
        )
    return _STEMS[shape]


def _first(found: Translated, name: str) -> int:
    """Number of output channels of a tensor. Raises: CheckpointError when it is not there."""
    if name not in found.tensors:
        raise CheckpointError("The weights are incomplete.", f"{name} (our name) is missing.", _REMEDY)
    return int(found.tensors[name].shape[0]) if found.tensors[name].ndim else 0


def _unknown_depth(source: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"The backbone of {source} is none that is known: it has {what}.",
        "Known are ResNet-18, 34, 50, 101, 152, MobileNetV2 and MobileNetV3-Large.",
        "If it should be one of them, the file is cut off: get it again.",
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
