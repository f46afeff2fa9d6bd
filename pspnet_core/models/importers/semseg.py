"""hszhao/semseg, the authors' own PyTorch code. Source: its ``model/pspnet.py`` and ``model/resnet.py``."""

from __future__ import annotations

from pspnet_core.models.importers.key_map import KeyMap, Layout, Publisher, blocks, stem

_NETWORK = KeyMap(
    (
        *((f"layer0.{number}", f"backbone.stem.{number}") for number in (0, 1, 3, 4, 6, 7)),
        *blocks(""),
        ("ppm.features.{bin}.1", "ppm.branches.{bin}.0"),
        ("ppm.features.{bin}.2", "ppm.branches.{bin}.1"),
        ("cls.0", "fuse.0"),
        ("cls.1", "fuse.1"),
        ("cls.4", "classifier.1"),
        ("aux.0", "aux_heads.0.0.0"),
        ("aux.1", "aux_heads.0.0.1"),
        ("aux.4", "aux_heads.0.2"),
    ),
    prefixes=(("", "module."),),
)
# ImageNet weights of the deep stem: initmodel/resnet50_v2.pth and its siblings.
_BACKBONE = KeyMap((*stem("conv1", "bn1", "conv2", "bn2", "conv3", "bn3"), *blocks("")))

PUBLISHER = Publisher(
    name="semseg",
    repository="hszhao/semseg",
    layouts=(
        Layout(_NETWORK, ("layer0.0.weight", "layer1.0.conv1.weight", "cls.0.weight")),
        Layout(_BACKBONE, ("conv1.weight", "conv3.weight", "layer1.0.conv1.weight"), is_backbone=True),
    ),
    preset="semseg",
    ignored=(r"fc\..*", r"criterion\..*"),
)
