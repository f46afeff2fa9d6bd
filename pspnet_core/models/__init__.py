"""Networks and their checkpoints."""

from pspnet_core.models.pspnet import PSPNet, PSPNetConfig, PyramidPooling

__all__ = ["PSPNet", "PSPNetConfig", "PyramidPooling"]
