"""Backbones: one file per family."""

from __future__ import annotations

from pspnet_core.models.backbones.base import Backbone, Features
from pspnet_core.models.config import LITES, MOBILENETS, PSPNetConfig

__all__ = ["Backbone", "Features", "make_backbone"]


def make_backbone(config: PSPNetConfig) -> Backbone:
    """The backbone of ``config``, with random weights."""
    if config.backbone in LITES:
        from pspnet_core.models.backbones.efficientnet_lite import EfficientNetLite

        return EfficientNetLite(config.backbone, config.output_stride)
    if config.backbone in MOBILENETS:
        from pspnet_core.models.backbones.mobilenet import MobileNet

        return MobileNet(config)
    from pspnet_core.models.backbones.resnet import ResNet

    return ResNet(config)
