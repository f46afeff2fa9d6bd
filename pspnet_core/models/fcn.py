"""The fully convolutional network that PSPNet is measured against: the same, without pyramid pooling.

It is the baseline of the paper's ablation (table 1): dilated backbone, convolution 3x3, classifier, auxiliary loss.
"""

from __future__ import annotations

from dataclasses import replace

from pspnet_core.models.config import PSPNetConfig
from pspnet_core.models.pspnet import PSPNet


class FCN(PSPNet):
    """A network without context. Args: config: As of :class:`PSPNet`; its ``context`` is set to ``none``."""

    def __init__(self, config: PSPNetConfig) -> None:
        super().__init__(replace(config, context="none"))
