"""zhanghang1989/PyTorch-Encoding and DANet: "PSP".

Source: its ``encoding/models/sseg/pspnet.py`` and ``encoding/models/backbone/resnet.py``.
"""

from __future__ import annotations

from pspnet_core.models.importers.key_map import KeyMap, Layout, Publisher, blocks, stem

_HEADS = (
    ("head.conv5.0.conv{bin1}.0", "ppm.branches.{bin}.0"),
    ("head.conv5.0.conv{bin1}.1", "ppm.branches.{bin}.1"),
    ("head.conv5.1", "fuse.0"),
    ("head.conv5.2", "fuse.1"),
    ("head.conv5.5", "classifier.1"),
    ("auxlayer.conv5.0", "aux_heads.0.0.0"),
    ("auxlayer.conv5.1", "aux_heads.0.0.1"),
    ("auxlayer.conv5.4", "aux_heads.0.2"),
)
_DEEP = stem(*(f"pretrained.{name}" for name in ("conv1.0", "conv1.1", "conv1.3", "conv1.4", "conv1.6", "bn1")))
_PLAIN = stem("pretrained.conv1", "pretrained.bn1")
_MARK = "head.conv5.0.conv1.0.weight"

PUBLISHER = Publisher(
    name="encoding",
    repository="zhanghang1989/PyTorch-Encoding",
    layouts=(
        Layout(KeyMap((*_DEEP, *blocks("pretrained."), *_HEADS)), ("pretrained.conv1.0.weight", _MARK)),
        Layout(
            KeyMap((*_PLAIN, *blocks("pretrained."), *_HEADS)),
            ("pretrained.conv1.weight", _MARK),
            settings={"stem": "conv7"},
        ),
    ),
    preset="encoding",
    ignored=(r"pretrained\.fc\..*",),
)
