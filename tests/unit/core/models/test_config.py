"""What presets become on other backbones, and what a configuration refuses to be read from."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from pspnet_core.models import PSPNetConfig  # noqa: E402
from pspnet_core.models.backbones import make_backbone  # noqa: E402
from pspnet_core.models.config import MOBILENETS  # noqa: E402

# Preset -> widths of bins and head, and channels and weight of the auxiliary head, on a ResNet-18.
WIDTHS = {
    "mmseg-512": (128, 128, 64, 0.4),
    "mmseg-769": (128, 128, 64, 0.4),
    "torchvision-backbone": (128, 128, 64, 0.4),
    "encoding": (128, 128, 64, 0.2),
    "csail": (512, 512, 128, 0.4),
    "semseg": (512, 512, 256, 0.4),
    "paper": (512, 512, 256, 0.4),
    "studio-fast": (64, 128, 64, 0.4),
}


@pytest.mark.parametrize("name", WIDTHS)
def test_a_preset_keeps_its_weights_and_its_own_widths_on_basic_blocks(name: str) -> None:
    for backbone in ("resnet18", "resnet34"):
        config = PSPNetConfig.preset(name, 2, backbone)
        (aux,) = config.aux
        assert (config.bin_channels, config.head_channels, aux.channels, aux.weight) == WIDTHS[name]
    (own,) = PSPNetConfig.preset(name, 2, "resnet50").aux
    assert own.weight == WIDTHS[name][-1]


@pytest.mark.parametrize("name", MOBILENETS)
def test_batch_norms_of_mobilenets_have_the_momentum_that_was_asked_for(name: str) -> None:
    config = replace(PSPNetConfig.preset("torchvision-backbone", 2, name), backbone_norm="batch", bn_momentum=0.03)
    norms = [m for m in make_backbone(config).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert {norm.momentum for norm in norms} == {0.03}
    assert {norm.eps for norm in norms} == {0.001 if name == "mobilenet_v3_large" else 1e-5}


@pytest.mark.parametrize("name", ["num_classes", "bins", "aux"])
def test_what_lacks_a_setting_is_refused_by_its_name(name: str) -> None:
    data = PSPNetConfig(2).to_json()
    del data[name]
    with pytest.raises(ValueError, match=name):
        PSPNetConfig.from_json(data)
