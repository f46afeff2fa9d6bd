"""CSAILVision/semantic-segmentation-pytorch: "resnet50dilated" with "ppm_deepsup", an encoder's and a decoder's file.

Source: its ``mit_semseg/models/models.py`` and ``resnet.py``.
"""

from __future__ import annotations

from pspnet_core.models.importers.key_map import KeyMap, Layout, Publisher, blocks, stem

_ENCODER = (*stem("conv1", "bn1", "conv2", "bn2", "conv3", "bn3"), *blocks(""))
_NETWORK = KeyMap(
    (
        *_ENCODER,
        ("ppm.{bin}.1", "ppm.branches.{bin}.0"),
        ("ppm.{bin}.2", "ppm.branches.{bin}.1"),
        ("conv_last.0", "fuse.0"),
        ("conv_last.1", "fuse.1"),
        ("conv_last.4", "classifier.1"),
        ("cbr_deepsup.0", "aux_heads.0.0.0"),
        ("cbr_deepsup.1", "aux_heads.0.0.1"),
        ("conv_last_deepsup", "aux_heads.0.2"),
    ),
    prefixes=(("backbone.", "encoder:"), ("", "decoder:")),
)

PUBLISHER = Publisher(
    name="csail",
    repository="CSAILVision/semantic-segmentation-pytorch",
    layouts=(
        Layout(
            _NETWORK, ("conv1.weight", "conv3.weight", "layer1.0.conv1.weight", "conv_last.0.weight", "ppm.0.1.weight")
        ),
        Layout(
            KeyMap(_ENCODER),
            ("conv1.weight", "conv3.weight", "layer1.0.conv1.weight", "bn1._running_iter"),
            is_backbone=True,
        ),
        Layout(KeyMap(_ENCODER), ("conv1.weight", "conv3.weight", "layer1.0.conv1.weight"), is_backbone=True),
    ),
    preset="csail",
    has_basic_blocks=True,
    # The first are running sums of its own synchronised batch norm.
    ignored=(r".*\._tmp_running_mean", r".*\._tmp_running_var", r".*\._running_iter", r"fc\..*"),
)
