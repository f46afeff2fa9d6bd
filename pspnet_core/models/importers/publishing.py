"""A network of ours by a publisher's names: the key maps of the imports, read the other way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from pspnet_core.errors import CheckpointError
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.models.config import RESNETS, PSPNetConfig
from pspnet_core.models.importers.building import flip
from pspnet_core.models.importers.key_map import BASIC, Layout, Publisher
from pspnet_core.models.importers.recognise import CROPS, PUBLISHERS, find_publisher

# What no tensor tells: in the publisher's code another value would compute something else, unseen.
_OF_BACKBONE = ("shortcut", "stride_at", "maxpool_ceil")
_OF_NETWORK = (
    *_OF_BACKBONE,
    "context",
    "bins",
    "dilation",
    "output_stride",
    "align_corners",
    "skip_channels",
    "decoder",
)


def to_published(checkpoint: Checkpoint, publisher: str) -> dict[str, Tensor]:
    """The tensors of ``checkpoint`` by a publisher's names, as its own code loads them.

    Args:
        checkpoint: Of a network that the publisher's code has too; of a publisher of backbones, with any heads.
        publisher: As for ``import_weights``. CSAIL's names get the prefixes ``encoder:`` and ``decoder:``.

    Returns:
        Copies, float32. Biases that were folded into norms are not there any more; they would be zeros.

    Raises:
        CheckpointError: The publisher has no such network.
    """
    wanted = find_publisher(publisher)
    wanted = "mmseg" if wanted in CROPS else wanted
    who = next((p for p in PUBLISHERS if p.name == wanted), None)
    if who is None:
        raise CheckpointError(
            f"There is no layout of {publisher!r} to write.",
            f"Known are {', '.join(p.name for p in PUBLISHERS)}.",
            "Save a checkpoint instead.",
        )
    tensors = checkpoint.model.state_dict()
    layout = _layout_for(checkpoint.config, who, list(tensors))
    result = {}
    for name, tensor in tensors.items():
        theirs = layout.key_map.to_theirs(name)
        if theirs is not None and (name.startswith("backbone.") or not layout.is_backbone):
            result[theirs] = (flip(name, tensor) if who.is_bgr else tensor).detach().cpu().clone()
    return result


def _layout_for(config: PSPNetConfig, who: Publisher, names: Sequence[str]) -> Layout:
    """The layout of ``who`` in which every tensor has a name, and whose code has our settings."""
    reasons = []
    has_pyramid = any(layout.key_map.to_theirs("ppm.branches.0.0.weight") for layout in who.layouts)
    for layout in who.layouts:
        if layout.is_backbone and has_pyramid:
            continue  # the publisher has the whole network, or it does not have it
        found = next(_differences(config, who, layout, names), None)
        if found is None:
            return layout
        reasons.append(found)
    raise CheckpointError(
        f"{who.repository} has no network such as this one.",
        "; ".join(dict.fromkeys(reasons)) + ".",
        "Choose another publisher's layout, or export ONNX.",
    )


def _differences(config: PSPNetConfig, who: Publisher, layout: Layout, names: Sequence[str]) -> Iterator[str]:
    """Reasons why the network is none of this layout."""
    ours = [name for name in names if name.startswith("backbone.") or not layout.is_backbone]
    known = set(layout.key_map.parameters.values())  # some publishers keep no counters
    nameless = [n for n in ours if n.rpartition(".")[2] in known and layout.key_map.to_theirs(n) is None]
    if nameless:
        yield f"it has no name for {nameless[0]}"
    if config.backbone in RESNETS:
        deep = layout.key_map.to_theirs("backbone.stem.6.weight") is not None
        if deep != (config.stem != "conv7"):
            yield f"its stem is not {config.stem}"
    if config.backbone in BASIC and not (who.has_basic_blocks or layout.is_backbone):
        yield f"its {config.backbone} is dilated otherwise"
    settings = {key: value for key, value in {**who.settings, **layout.settings}.items() if key != "aux_weight"}
    theirs = replace(PSPNetConfig.preset(who.preset, config.num_classes), **settings)
    compared = _OF_BACKBONE if layout.is_backbone else (*_OF_NETWORK, "stem")
    if config.backbone in BASIC and config.output_stride < 32 and not layout.is_backbone:
        compared = ("basic_dilation", *compared)
    for name in compared:
        if name not in who.varying and getattr(theirs, name) != getattr(config, name):
            yield f"it has {name}={getattr(theirs, name)}, this network {getattr(config, name)}"
