"""torchvision: ImageNet ResNets and MobileNets as backbones, and its FCN networks on ResNets.

Source: its ``models/resnet.py``, ``mobilenetv2.py``, ``mobilenetv3.py``, ``segmentation/fcn.py``.
"""

from __future__ import annotations

from pspnet_core.models.importers.key_map import KeyMap, Layout, Publisher, blocks, stem

_FCN = KeyMap(
    (
        *stem("backbone.conv1", "backbone.bn1"),
        *blocks("backbone."),
        ("classifier.0", "fuse.0"),
        ("classifier.1", "fuse.1"),
        ("classifier.4", "classifier.1"),
        ("aux_classifier.0", "aux_heads.0.0.0"),
        ("aux_classifier.1", "aux_heads.0.0.1"),
        ("aux_classifier.4", "aux_heads.0.2"),
    )
)
_RESNET = KeyMap((*stem("conv1", "bn1"), *blocks("")))
_MOBILENET = KeyMap((("features.*", "backbone.features.*"),))

PUBLISHER = Publisher(
    name="torchvision",
    repository="pytorch/vision",
    layouts=(
        Layout(
            _FCN,
            ("backbone.conv1.weight", "backbone.layer1.0.conv1.weight", "classifier.4.weight"),
            settings={"context": "none", "head_norm": "batch", "dropout_kind": "element", "aux_weight": 0.5},
        ),
        Layout(
            _RESNET,
            ("conv1.weight", "layer1.0.conv1.weight"),
            ("conv3.weight",),
            is_backbone=True,
            ignored=(r"fc\..*",),
        ),
        Layout(
            _MOBILENET,
            ("features.0.0.weight", "features.2.conv.0.0.weight"),
            is_backbone=True,
            # Classification of whole images, for which the last convolution serves too.
            ignored=(r"classifier\..*", r"features\.18\..*"),
        ),
        Layout(
            _MOBILENET,
            ("features.0.0.weight", "features.2.block.0.0.weight"),
            is_backbone=True,
            ignored=(r"classifier\..*",),
        ),
    ),
    preset="torchvision-backbone",
    has_basic_blocks=True,
)
