"""timm (huggingface/pytorch-image-models): ImageNet ResNets as backbones.

Plain ones have torchvision's names and are read as its; here are those with a deep stem ("s" 64-64-128, "c" 32-32-64)
and those which also average in their shortcuts ("d"). Source: its ``models/resnet.py``.
"""

from __future__ import annotations

from pspnet_core.models.importers.key_map import KeyMap, Layout, Publisher, Row, blocks, stem

_DEEP = stem("conv1.0", "conv1.1", "conv1.3", "conv1.4", "conv1.6", "bn1")


def _averaging() -> tuple[Row, ...]:
    """Rows of blocks whose shortcut begins with a pooling, which counts as module 0."""
    later = {"downsample.0": "downsample.1", "downsample.1": "downsample.2"}
    rows = []
    for theirs, ours in blocks(""):
        start, _, part = theirs.partition("{block}.")
        rows.append((f"{start}{{block}}.{later.get(part, part)}", ours))
    return tuple(rows)


_MARKS = ("conv1.0.weight", "layer1.0.conv1.weight")

PUBLISHER = Publisher(
    name="timm",
    repository="huggingface/pytorch-image-models",
    layouts=(
        Layout(
            KeyMap((*_DEEP, *_averaging())),
            (*_MARKS, "layer2.0.downsample.2.weight"),
            settings={"shortcut": "avg"},
            is_backbone=True,
        ),
        Layout(KeyMap((*_DEEP, *blocks(""))), _MARKS, ("layer2.0.downsample.2.weight",), is_backbone=True),
        Layout(
            KeyMap((*stem("conv1", "bn1"), *blocks(""))),
            ("conv1.weight", "layer1.0.conv1.weight"),
            ("conv3.weight", "layer2.0.downsample.2.weight"),
            is_backbone=True,
        ),
    ),
    preset="torchvision-backbone",
    has_basic_blocks=True,
    ignored=(r"fc\..*",),
)
