"""PaddlePaddle/PaddleSeg: "PSPNet" with ResNet_vd.

Its grids are concatenated from fine to coarse, its convolutions in the heads have a bias before the norm. Source: its
``paddleseg/models/pspnet.py``, ``layers/pyramid_pool.py``, ``layers/layer_libs.py``, ``backbones/resnet_vd.py``.
"""

from __future__ import annotations

from pspnet_core.models.checkpoint import Preprocessing
from pspnet_core.models.importers.key_map import KeyMap, Layout, Publisher, Row

_BLOCK = {"conv0": ("conv1", "bn1"), "conv1": ("conv2", "bn2"), "conv2": ("conv3", "bn3")}
_BLOCK |= {"short": ("downsample.0", "downsample.1")}


def _pair(theirs: str, convolution: str, norm: str) -> tuple[Row, Row]:
    return (f"{theirs}._conv", convolution), (f"{theirs}._batch_norm", norm)


_NETWORK = KeyMap(
    (
        *_pair("backbone.conv1_1", "backbone.stem.0", "backbone.stem.1"),
        *_pair("backbone.conv1_2", "backbone.stem.3", "backbone.stem.4"),
        *_pair("backbone.conv1_3", "backbone.stem.6", "backbone.stem.7"),
        *(
            row
            for theirs, (convolution, norm) in _BLOCK.items()
            for row in _pair(
                f"backbone.bb_{{stage0}}_{{block}}.{theirs}",
                f"backbone.layer{{stage}}.{{block}}.{convolution}",
                f"backbone.layer{{stage}}.{{block}}.{norm}",
            )
        ),
        *_pair("head.psp_module.stages.{bin}.1", "ppm.branches.{nib}.0", "ppm.branches.{nib}.1"),
        *_pair("head.psp_module.conv_bn_relu2", "fuse.0", "fuse.1"),
        ("head.conv", "classifier.1"),
        *_pair("head.auxlayer.conv_bn_relu", "aux_heads.0.0.0", "aux_heads.0.0.1"),
        ("head.auxlayer.conv", "aux_heads.0.2"),
    ),
    parameters={"weight": "weight", "bias": "bias", "_mean": "running_mean", "_variance": "running_var"},
)

PUBLISHER = Publisher(
    name="paddle",
    repository="PaddlePaddle/PaddleSeg",
    layouts=(Layout(_NETWORK, ("backbone.conv1_1._conv.weight", "head.psp_module.stages.0.1._conv.weight")),),
    preset="paper",
    settings={"stem": "deep32", "shortcut": "avg", "align_corners": False, "bn_momentum": 0.1},
    preprocessing=Preprocessing((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
)
