"""What no tensor of mmsegmentation tells comes from the configuration in the file, else from its name."""

from __future__ import annotations

import pytest

from pspnet_core.errors import CheckpointError
from pspnet_core.models.importers import importing
from pspnet_core.models.importers.key_map import Facts
from pspnet_core.models.importers.mmseg import PUBLISHER
from pspnet_core.models.importers.reading import finish
from tests.helpers import golden


@pytest.mark.parametrize(
    ("meta", "name", "expected", "is_guess"),
    [
        ({"config": "decode_head=dict(type='PSPHead', align_corners=True)"}, "m.pth", True, False),
        ({"cfg": "align_corners = False"}, "pspnet_r18-d8_769x769.pth", False, False),
        ({}, "pspnet_r18-d8_769x769_80k_cityscapes.pth", True, True),
        ({}, "pspnet_r18-d8_512x1024_80k_cityscapes.pth", False, True),
        ({}, "m.pth", False, True),
    ],
)
def test_align_corners_of_mmsegmentation(meta, name, expected, is_guess) -> None:
    facts = Facts(name, meta, "resnet50", 19, None)
    assert PUBLISHER.decide(facts)["align_corners"] is expected
    assert any(f"align_corners={expected} was guessed" in text for text in facts.guesses) is is_guess


def test_strides_of_mmsegmentation() -> None:
    facts = Facts("m.pth", {"config": "dilations=(1, 1, 1, 2), strides=(1, 2, 2, 1)"}, "resnet50", 19, True)
    assert PUBLISHER.decide(facts)["output_stride"] == 16
    with pytest.raises(CheckpointError, match=r"strides \(1, 2, 2, 2\) together with dilation"):
        PUBLISHER.decide(Facts("pspnet_r50-d32_512x1024.pth", {}, "resnet50", 19, True))


@pytest.mark.parametrize(
    ("text", "backbone", "expected"),
    [
        ("type='ResNetV1c', dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), contract_dilation=True", "resnet50", {}),
        ("type='ResNetV1c', dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)", "resnet50", {"dilation": "all"}),
        ("'contract_dilation': False", "resnet50", {"dilation": "all"}),
        ("style='pytorch', contract_dilation=True", "resnet101", {}),
        ("style='caffe', contract_dilation=True", "resnet101", {"stride_at": "1x1"}),
        ("style='caffe', contract_dilation=True", "resnet18", {}),
        ("pool_scales=(1, 2, 3, 6), contract_dilation=True", "resnet50", {"bins": (1, 2, 3, 6)}),
        ("'pool_scales': [6, 3, 1], contract_dilation=True", "resnet50", {"bins": (6, 3, 1)}),
    ],
)
def test_configurations_of_mmsegmentation_are_read_with_its_defaults(text, backbone, expected) -> None:
    facts = Facts("pspnet_512x512.pth", {"cfg": text}, backbone, 19, False)
    usual = {"dilation": "contract", "stride_at": "3x3", "bins": (1, 2, 3, 6), "output_stride": 8}
    assert usual | dict(PUBLISHER.decide(facts)) == usual | expected
    assert facts.guesses == []


@pytest.mark.parametrize("scales", ["(1, 2, 3, 6, 8)", "(0, 1)", "SCALES"])
def test_unknown_pyramids_of_mmsegmentation_are_refused(scales) -> None:
    with pytest.raises(CheckpointError, match=r"(?s)pyramid of these weights is not known.*pool_scales"):
        PUBLISHER.decide(Facts("m.pth", {"cfg": f"pool_scales={scales}"}, "resnet50", 19, False))


def test_the_dilation_of_mmsegmentation_is_a_guess_without_a_configuration() -> None:
    checkpoint = finish(importing(golden.state_dict("mmseg_r18_512")))
    assert checkpoint.config.dilation == "contract"
    assert any("dilation=contract was guessed" in text for text in checkpoint.origin["import"]["warnings"])
    facts = Facts("resnet50_v1c.pth", {}, "resnet50", None, None)  # a backbone, which is not dilated yet
    PUBLISHER.decide(facts)
    assert facts.guesses == []
