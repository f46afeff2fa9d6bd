"""The paper's Caffe weights as meetps/pytorch-semseg converts them to ``.pth``.

They take blue, green, red in 0 to 255 minus a mean, and concatenate their grids from fine to coarse. Source: the
prototxt files of hszhao/PSPNet; ``ptsemseg/models/pspnet.py`` and ``utils.py`` of meetps/pytorch-semseg.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pspnet_core.models.checkpoint import Preprocessing
from pspnet_core.models.importers.key_map import Facts, KeyMap, Layout, Publisher

_BLOCK = {
    "cbr1.cbr_unit.0": "conv1",
    "cbr1.cbr_unit.1": "bn1",
    "cbr2.cbr_unit.0": "conv2",
    "cbr2.cbr_unit.1": "bn2",
    "cb3.cb_unit.0": "conv3",
    "cb3.cb_unit.1": "bn3",
    "cb4.cb_unit.0": "downsample.0",
    "cb4.cb_unit.1": "downsample.1",
}
_NETWORK = KeyMap(
    (
        *((f"convbnrelu1_{1 + n // 3}.cbr_unit.{n % 3}", f"backbone.stem.{n}") for n in (0, 1, 3, 4, 6, 7)),
        *(
            (f"res_block{{stage2}}.layers.{{block}}.{theirs}", f"backbone.layer{{stage}}.{{block}}.{ours}")
            for theirs, ours in _BLOCK.items()
        ),
        ("pyramid_pooling.path_module_list.{bin}.cbr_unit.0", "ppm.branches.{bin}.0"),
        ("pyramid_pooling.path_module_list.{bin}.cbr_unit.1", "ppm.branches.{bin}.1"),
        ("cbr_final.cbr_unit.0", "fuse.0"),
        ("cbr_final.cbr_unit.1", "fuse.1"),
        ("classification", "classifier.1"),
        ("convbnrelu4_aux.cbr_unit.0", "aux_heads.0.0.0"),
        ("convbnrelu4_aux.cbr_unit.1", "aux_heads.0.0.1"),
        ("aux_cls", "aux_heads.0.2"),
    )
)


def _decide(facts: Facts) -> Mapping[str, Any]:
    """Where the stride is: of the three published networks, ResNet-50 for ADE20K has it on the first convolution."""
    at = "1x1" if facts.backbone == "resnet50" and facts.num_classes == 150 else "3x3"
    facts.guesses.append(
        f"stride_at={at} was guessed: the paper's ResNet-50 for ADE20K has the stride on the 1x1 convolution, its "
        f"other networks on the 3x3; these weights are a {facts.backbone} for {facts.num_classes} classes."
    )
    return {"stride_at": at}


PUBLISHER = Publisher(
    name="caffe",
    repository="meetps/pytorch-semseg",
    layouts=(Layout(_NETWORK, ("convbnrelu1_1.cbr_unit.0.weight", "cbr_final.cbr_unit.0.weight")),),
    preset="paper",
    preprocessing=Preprocessing((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    aliases=(("pyramid_pooling.paths.", "pyramid_pooling.path_module_list."),),
    is_bgr=True,
    varying=frozenset({"stride_at"}),
    decide=_decide,
)
