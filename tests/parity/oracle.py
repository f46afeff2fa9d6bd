"""mmsegmentation's own PSPNet, built from its packaged configurations without its compiled operations.

mmcv's compiled operations have no wheels for current Pythons; PSPNet uses none of them, but ``import mmseg.models``
imports modules that do. They find stand-ins here, which raise as soon as one is made.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tests.helpers.random_weights import randomise


class _Compiled:
    def __init__(self, *arguments: object, **options: object) -> None:
        raise RuntimeError("this is an operation of mmcv that is compiled; mmcv-lite has none")


def _stand_in(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = []

    def attribute(wanted: str) -> type[_Compiled]:
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        return _Compiled

    module.__getattr__ = attribute  # type: ignore[method-assign]
    return module


def _import_mmseg() -> ModuleType:
    for name in ("mmcv.ops", "mmcv.ops.carafe", "mmcv.ops.point_sample"):
        sys.modules[name] = _stand_in(name)
    import mmseg
    import mmseg.models

    return mmseg


@dataclass(frozen=True)
class Variant:
    """Which PSPNet mmsegmentation builds.

    Attributes:
        depth: Of the ResNet: 18, 50 or 101.
        contract: Whether the first block of a dilated stage has the dilation of the stage before.
        align_corners: Of every interpolation; also chooses the packaged configuration (769 px or 512x1024 px).
        backbone: mmsegmentation's class: ``ResNetV1c`` has three 3x3 convolutions first, ``ResNet`` one 7x7, and
            ``ResNetV1d`` adds average pooling in the shortcut.
        stem_channels: After the three convolutions: 64 in mmsegmentation, 128 in hszhao/semseg, CSAIL and Encoding.
        aux_channels: Of the auxiliary head; None for mmsegmentation's own.
        style: ``pytorch``: stride on the 3x3 convolution; ``caffe``: on the first 1x1.
    """

    depth: int
    contract: bool = True
    align_corners: bool = False
    backbone: str = "ResNetV1c"
    stem_channels: int = 64
    aux_channels: int | None = None
    style: str = "pytorch"

    @property
    def config_file(self) -> str:
        """Name of the packaged configuration it starts from."""
        crop = "769x769" if self.align_corners else "512x1024"
        return f"pspnet_r{self.depth}-d8_4xb2-80k_cityscapes-{crop}.py"


def build(variant: Variant, num_classes: int, seed: int = 0) -> nn.Module:
    """The network in evaluation mode, with random weights and random statistics in every BatchNorm."""
    mmseg = _import_mmseg()
    from mmengine.config import Config
    from mmseg.registry import MODELS

    folder = Path(mmseg.__file__).parent / ".mim" / "configs" / "pspnet"
    model: Any = Config.fromfile(folder / variant.config_file).model
    norm = {"type": "BN", "requires_grad": True}
    model.pretrained = model.data_preprocessor = None
    assert model.decode_head.align_corners is variant.align_corners, "the packaged configuration says otherwise"
    model.backbone.update(
        type=variant.backbone, contract_dilation=variant.contract, style=variant.style, norm_cfg=norm,
        stem_channels=variant.stem_channels,
    )  # fmt: skip
    for head in (model.decode_head, model.auxiliary_head):
        head.update(norm_cfg=norm, num_classes=num_classes)
    if variant.aux_channels is not None:
        model.auxiliary_head.channels = variant.aux_channels
    network: nn.Module = MODELS.build(model)
    randomise(network, seed, louder="conv_seg")
    network.train(False)  # not eval(): its ResNet returns None from train()
    return network


def outputs(network: Any, image: Tensor) -> tuple[Tensor, Tensor]:
    """Logits at input size of the main and of the auxiliary head, by mmsegmentation's own test-time code.

    Args:
        network: From :func:`build`.
        image: (N, 3, H, W) float32, normalised.

    Returns:
        Two (N, K, H, W) float32.
    """
    size = tuple(image.shape[-2:])
    metas = [{"img_shape": size, "ori_shape": size, "pad_shape": size}] * len(image)
    with torch.inference_mode():
        features = network.extract_feat(image)
        main = network.decode_head.predict(features, metas, network.test_cfg)
        aux = network.auxiliary_head.predict(features, metas, network.test_cfg)
    return main, aux
