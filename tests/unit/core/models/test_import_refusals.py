"""What is not a known PSPNet, or not whole, is refused with the reason."""

from __future__ import annotations

import pytest
import torch

from pspnet_core.errors import CheckpointError
from pspnet_core.models.importers import NAMES, import_weights
from tests.helpers import golden, publishers


@pytest.fixture(scope="module")
def whole() -> dict[str, torch.Tensor]:
    return golden.state_dict("mmseg_r18_512")


def refusal(tensors, *arguments, **options) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        import_weights(tensors, *arguments, **options)
    assert caught.value.title
    assert caught.value.detail
    assert caught.value.remedy
    return caught.value


def small(*keys: str) -> dict[str, torch.Tensor]:
    return {key: torch.zeros(1) for key in keys}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            ("encoder.conv1.weight", "decoder.psp.blocks.0.pool.1.0.weight", "segmentation_head.0.weight"),
            'the "PSPNet" of segmentation_models_pytorch. It is another network despite its name',
        ),
        (("encoder.conv1.weight", "decoder.x.weight", "segmentation_head.0.weight"), "which is not a PSPNet"),
        (("backbone.conv1.weight", "classifier.0.convs.0.0.weight", "classifier.4.weight"), "torchvision's DeepLabV3"),
        (("backbone.0.0.weight", "classifier.low_classifier.weight"), "LR-ASPP"),
        (("backbone.stem.0.weight", "decode_head.aspp_modules.0.conv.weight"), "with another head than that of PSPNet"),
        (("conv1.weight", "head.0.stages.0.1.weight", "dsn.0.weight"), "speedinghzl's PSPNet"),
        (("feats.conv1.weight", "psp.stages.0.1.weight", "up_1.conv.0.weight"), "Lextal's PSPNet"),
        (("psa.reduce.0.weight",), "PSANet"),
        (("pretrained.conv1.0.weight", "head.conv5.0.weight"), "PyTorch-Encoding with another head"),
        (("ppm_conv.0.0.weight", "fpn_in.0.0.weight"), "CSAIL's UPerNet"),
        (("ppm.0.1.weight", "conv_last.0.weight"), "a decoder of CSAIL without its encoder"),
        (("head.aspp.conv.weight",), "a network of PaddleSeg that is not"),
        (("conv_stem.weight", "blocks.0.0.conv.weight"), "a backbone of timm that is not a ResNet"),
        (("cls_token", "patch_embed.proj.weight"), "a transformer"),
    ],
)
def test_other_architectures(keys, expected) -> None:
    error = refusal(small(*keys))
    assert expected in error.detail
    assert "not a PSPNet that can be imported" in error.title


def test_a_real_network_of_another_architecture() -> None:
    import torchvision

    net = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None)
    assert "torchvision's DeepLabV3" in refusal(net.state_dict()).detail


def test_an_unknown_source() -> None:
    error = refusal(small("trunk.a", "trunk.b"))
    assert "It is not known who published" in error.title
    assert "trunk.a, trunk.b" in error.detail
    assert all(name in error.remedy for name in NAMES)


def test_an_unknown_publisher(whole) -> None:
    error = refusal(whole, "nobody")
    assert "There is no publisher 'nobody'" in error.title


def test_another_publisher_than_was_said(whole) -> None:
    error = refusal(whole, "hszhao/semseg")
    assert "was not published by semseg" in error.title
    assert "those of mmseg (open-mmlab/mmsegmentation)" in error.detail


def test_a_wrong_shape_names_the_tensor_and_both_shapes(whole) -> None:
    key = "backbone.layer3.1.conv2.weight"
    error = refusal({**whole, key: torch.zeros(256, 128, 3, 3)})
    assert key in error.title
    assert "Expected [256, 256, 3, 3]" in error.detail
    assert "found [256, 128, 3, 3]" in error.detail


def test_wrong_widths_between_heads(whole) -> None:
    error = refusal({**whole, "decode_head.psp_modules.2.1.conv.weight": torch.zeros(64, 512, 1, 1)})
    assert "decode_head.psp_modules.2.1.conv.weight" in error.title


def test_another_stem(whole) -> None:
    error = refusal({**whole, "backbone.stem.0.weight": torch.zeros(24, 3, 3, 3)})
    assert "[24, 3, 3, 3]" in error.title
    error = refusal({**whole, "backbone.stem.0.weight": torch.zeros(32, 4, 3, 3)})
    assert "an RGB image" in error.detail


@pytest.mark.parametrize(
    "gone",
    [
        "backbone.layer2.1.bn1.running_var",
        "decode_head.psp_modules.3.1.bn.weight",
        "auxiliary_head.convs.0.conv.weight",
    ],
)
def test_a_missing_tensor(whole, gone) -> None:
    error = refusal({key: tensor for key, tensor in whole.items() if key != gone})
    assert "incomplete" in error.title


def test_a_missing_branch(whole) -> None:
    error = refusal({key: tensor for key, tensor in whole.items() if "psp_modules.3" not in key})
    assert "incomplete" in error.title
    assert "ppm.branches.3" in error.detail


def test_a_surplus_tensor(whole) -> None:
    error = refusal({**whole, "backbone.layer1.0.se.fc1.weight": torch.zeros(2)})
    assert "1 tensor(s) that a PSPNet of mmseg does not have" in error.title
    assert "backbone.layer1.0.se.fc1.weight" in error.detail


def test_a_surplus_tensor_with_a_known_name(whole) -> None:
    error = refusal({**whole, "backbone.layer1.0.downsample.0.weight": torch.zeros(64, 64, 1, 1)})
    assert "backbone.layer1.0.downsample.0.weight" in error.detail


def test_another_depth(whole) -> None:
    error = refusal({key: tensor for key, tensor in whole.items() if "layer4.1" not in key})
    assert "2, 2, 2, 1 basic blocks" in error.title


def test_values_that_are_no_numbers(whole) -> None:
    key = "backbone.layer1.0.conv1.weight"
    broken = whole[key].clone()
    broken[0, 0, 0, 0] = float("nan")
    assert f"{key} holds values that are no numbers" in refusal({**whole, key: broken}).title


def test_a_counter_that_is_none(whole) -> None:
    key = "backbone.layer1.0.bn1.num_batches_tracked"
    for value in (torch.zeros(2), torch.zeros(0, dtype=torch.int64)):
        error = refusal({**whole, key: value})
        assert f"{key} is no counter" in error.title
        assert str(list(value.shape)) in error.detail


def test_a_first_convolution_of_one_colour_with_blue_first() -> None:
    net = publishers.Meetps(3)
    net.convbnrelu1_1.cbr_unit[0] = torch.nn.Conv2d(1, 64, 3, 2, padding=1, bias=False)
    error = refusal(golden.randomise(net))
    assert "[64, 1, 3, 3]" in error.title


def test_quantised_weights(whole) -> None:
    key = "backbone.layer1.0.conv1.weight"
    assert "int8" in refusal({**whole, key: whole[key].to(torch.int8)}).title


def test_basic_blocks_of_publishers_that_dilate_them_otherwise(whole) -> None:
    tensors = {}
    for key, tensor in whole.items():
        new = key.replace("backbone.stem.", "module.layer0.").replace("backbone.", "module.")
        for theirs, other in (
            ("decode_head.psp_modules.", "module.ppm.features."),
            (".1.conv.", ".1."),
            (".1.bn.", ".2."),
            ("decode_head.bottleneck.conv", "module.cls.0"),
            ("decode_head.bottleneck.bn", "module.cls.1"),
            ("decode_head.conv_seg", "module.cls.4"),
        ):
            new = new.replace(theirs, other)
        if "auxiliary" not in key:
            tensors[new] = tensor
    error = refusal(tensors)
    assert "a resnet18 of semseg, which cannot be imported" in error.title
    assert "which convolutions of a block are dilated" in error.detail


def test_two_files_that_hold_the_same(tmp_path, whole) -> None:
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for path in paths:
        torch.save({"conv1.weight": torch.zeros(1)}, path)
    error = refusal(paths)
    assert "both hold 'conv1.weight'" in error.title


def test_studio_is_said_of_another_file(whole) -> None:
    assert "was not written by PSPNet Studio" in refusal(whole, "studio").title
