"""Networks and their checkpoints."""

from pspnet_core.models.config import BACKBONES, PRESETS, AuxHead, PSPNetConfig
from pspnet_core.models.fcn import FCN
from pspnet_core.models.pspnet import PSPNet, PyramidPooling, make_model

__all__ = ["BACKBONES", "FCN", "PRESETS", "AuxHead", "PSPNet", "PSPNetConfig", "PyramidPooling", "make_model"]
