"""Backbones against independent implementations: torchvision's and timm's networks, random weights and statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import torchvision  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from pspnet_core.models import PSPNetConfig  # noqa: E402
from pspnet_core.models.backbones import Backbone, make_backbone  # noqa: E402
from pspnet_core.models.backbones.efficientnet_lite import EfficientNetLite, load_published  # noqa: E402
from pspnet_core.models.weights import imagenet_state  # noqa: E402
from tests.helpers.random_weights import randomise  # noqa: E402

SIZE = (65, 81)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of one thread have one order, so that equal means equal."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _config(name: str, **values: Any) -> PSPNetConfig:
    return replace(PSPNetConfig.preset("torchvision-backbone", 2, name), **values)


def _image(height: int = SIZE[0], width: int = SIZE[1]) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def _resnet_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's and timm's names of a ResNet's entries to ours."""
    deep = "conv1.0.weight" in state
    result = {}
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        if first == "fc":
            continue
        if first.startswith("layer"):
            result[name] = tensor
        elif first == "conv1":
            result[f"stem.{rest}" if deep else f"stem.0.{rest}"] = tensor
        else:
            assert first == "bn1", name
            result[f"stem.{7 if deep else 1}.{rest}"] = tensor
    return result


def _stages(theirs: Any, x: Tensor) -> list[Tensor]:
    """Features of the four stages of a ResNet of torchvision or timm."""
    x = theirs.conv1(x)
    x = theirs.bn1(x)
    x = theirs.maxpool((theirs.relu if hasattr(theirs, "relu") else theirs.act1)(x))
    features = []
    for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        x = layer(x)
        features.append(x)
    return features


def _assert_equal(ours: Backbone, expected: list[Tensor], image: Tensor) -> None:
    with torch.no_grad():
        found = list(ours.eval()(image))
    assert [f.shape for f in found] == [e.shape for e in expected]
    assert [f.shape[1] for f in found] == list(ours.channels)
    for stride, f in zip(ours.strides, found, strict=True):
        assert tuple(f.shape[-2:]) == tuple(-(-size // stride) for size in image.shape[-2:])
    assert [float((f - e).abs().max()) for f, e in zip(found, expected, strict=True)] == [0.0] * 4
    assert min(float(e.std()) for e in expected) > 0.01  # they say something


def _compare_resnet(config: PSPNetConfig, theirs: nn.Module, change: Callable[[Any], None] | None = None) -> None:
    randomise(theirs)
    if change is not None:
        change(theirs)
    ours = make_backbone(config)
    ours.load_state_dict(_resnet_names(theirs.state_dict()), strict=True)
    with torch.no_grad():
        expected = _stages(theirs.eval(), _image())
    _assert_equal(ours, expected, _image())


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_resnet_equals_torchvision(depth: int) -> None:
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    _compare_resnet(_config(f"resnet{depth}", output_stride=32), theirs)


@pytest.mark.parametrize(("output_stride", "replaced"), [(8, [False, True, True]), (16, [False, False, True])])
def test_contracted_dilation_equals_torchvision(output_stride: int, replaced: list[bool]) -> None:
    theirs = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=replaced)
    _compare_resnet(_config("resnet50", output_stride=output_stride, dilation="contract"), theirs)


def _dilate_all(theirs: Any) -> None:
    """As hszhao/semseg does it: every 3x3 convolution of a dilated layer alike, also the first."""
    for layer, dilation in ((theirs.layer3, 2), (theirs.layer4, 4)):
        layer[0].downsample[0].stride = (1, 1)
        for block in layer:
            block.conv2.stride, block.conv2.dilation, block.conv2.padding = (1, 1), (dilation,) * 2, (dilation,) * 2


def test_dilation_of_all_blocks_equals_a_changed_torchvision() -> None:
    theirs = torchvision.models.resnet50(weights=None)
    _compare_resnet(_config("resnet50", output_stride=8, dilation="all"), theirs, _dilate_all)


def _dilate_first_convolutions(dilations: dict[str, tuple[int, int]]) -> Callable[[Any], None]:
    def change(theirs: Any) -> None:
        for name, (first, others) in dilations.items():
            layer = getattr(theirs, name)
            layer[0].downsample[0].stride = (1, 1)
            for index, block in enumerate(layer):
                d = others if index else first
                block.conv1.stride, block.conv1.dilation, block.conv1.padding = (1, 1), (d, d), (d, d)

    return change


@pytest.mark.parametrize(
    ("dilation", "dilations"),
    [("contract", {"layer3": (1, 2), "layer4": (2, 4)}), ("all", {"layer3": (2, 2), "layer4": (4, 4)})],
)
def test_basic_blocks_dilate_their_first_convolution(dilation: Any, dilations: dict[str, tuple[int, int]]) -> None:
    """As in mmsegmentation; torchvision itself refuses to dilate basic blocks."""
    theirs = torchvision.models.resnet18(weights=None)
    config = _config("resnet18", output_stride=8, dilation=dilation)
    _compare_resnet(config, theirs, _dilate_first_convolutions(dilations))


@pytest.mark.parametrize("output_stride", [16, 8])
def test_basic_blocks_that_dilate_both_convolutions_equal_timm(output_stride: int) -> None:
    theirs = timm.create_model("resnet18", pretrained=False, output_stride=output_stride)
    values = {"basic_dilation": "both", "dilation": "contract", "output_stride": output_stride}
    _compare_resnet(_config("resnet18", **values), theirs)


def test_stride_on_the_first_convolution_and_ceiling_pool_equal_a_changed_torchvision() -> None:
    def change(theirs: Any) -> None:
        theirs.maxpool.ceil_mode = True
        for layer in (theirs.layer2, theirs.layer3, theirs.layer4):
            layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)

    config = _config("resnet50", output_stride=32, stride_at="1x1", maxpool_ceil=True, align_corners=True)
    theirs = torchvision.models.resnet50(weights=None)
    randomise(theirs)
    change(theirs)
    ours = make_backbone(config).eval()
    ours.load_state_dict(_resnet_names(theirs.state_dict()), strict=True)
    image = _image(65, 82)  # 33 x 41 after the stem: rounding up leaves them odd, then one more row and column
    with torch.no_grad():
        for found, expected in zip(ours(image), _stages(theirs.eval(), image), strict=True):
            assert torch.equal(found, expected)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2"])
def test_contracted_dilation_computes_the_pretrained_network_at_more_places(name: str) -> None:
    """Every fourth feature at stride 8 is the feature at stride 32. With all blocks dilated alike it is not."""
    values = {"backbone_norm": "batch", "basic_dilation": "both"}
    coarse = make_backbone(_config(name, output_stride=32, **values)).eval()
    randomise(coarse)
    image = _image(65, 97)
    features = {}
    for dilation in ("contract", "all"):
        dense = make_backbone(_config(name, output_stride=8, dilation=dilation, **values)).eval()
        dense.load_state_dict(coarse.state_dict())
        with torch.no_grad():
            features[dilation] = dense(image).stage4[..., ::4, ::4]
    with torch.no_grad():
        expected = coarse(image).stage4
    torch.testing.assert_close(features["contract"], expected, atol=1e-5, rtol=1e-5)
    assert float((features["all"] - expected).abs().max()) > 1e-3


TIMM = {"resnet50s": "deep64", "resnet50c": "deep32"}


@pytest.mark.parametrize("output_stride", [32, 16, 8])
@pytest.mark.parametrize("name", TIMM)
def test_deep_stems_equal_timm(name: str, output_stride: int) -> None:
    theirs = timm.create_model(name, pretrained=False, output_stride=output_stride)
    values = {"stem": TIMM[name], "dilation": "contract", "output_stride": output_stride}
    _compare_resnet(_config("resnet50", **values), theirs)


def _without_pooling_at_stride_1(theirs: Any) -> None:
    for layer in (theirs.layer3, theirs.layer4):
        assert type(layer[0].downsample[0]).__name__ in ("AvgPool2d", "AvgPool2dSame")
        if type(layer[0].downsample[0]).__name__ == "AvgPool2dSame":
            layer[0].downsample[0] = nn.Identity()


def _vd_names(theirs: nn.Module) -> None:
    """Leave the pool, which has no weights, out of the shortcut's numbering."""
    for module in theirs.modules():
        if isinstance(getattr(module, "downsample", None), nn.Sequential):
            pool, convolution, norm = module.downsample
            module.downsample = _Pooled(pool, convolution, norm)


class _Pooled(nn.Sequential):
    def __init__(self, pool: nn.Module, convolution: nn.Module, norm: nn.Module) -> None:
        super().__init__(convolution, norm)
        self.__dict__["pool"] = pool  # not a child: it has no weights

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.__dict__["pool"](x))


@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_averaging_shortcut_equals_timm(output_stride: int) -> None:
    """Where a stride became dilation timm still averages 2x2 pixels; mmsegmentation and PaddleSeg do not, nor do we."""
    theirs = timm.create_model("resnet50d", pretrained=False, output_stride=output_stride)
    _without_pooling_at_stride_1(theirs)
    _vd_names(theirs)
    values = {"stem": "deep32", "shortcut": "avg", "dilation": "contract", "output_stride": output_stride}
    _compare_resnet(_config("resnet50", **values), theirs)


def test_the_comparison_sees_a_wrong_flag() -> None:
    theirs = torchvision.models.resnet18(weights=None)
    randomise(theirs)
    ours = make_backbone(_config("resnet18", output_stride=16)).eval()
    ours.load_state_dict(_resnet_names(theirs.state_dict()))
    with torch.no_grad():
        expected = _stages(theirs.eval(), _image())[2:]
        found = ours(_image())[2:]
    assert torch.equal(found[0], expected[0])
    assert found[1].shape != expected[1].shape


# First layer of each stage in torchvision's `features`, minus one: the layers whose outputs are the stages' features.
_ENDS = {"mobilenet_v2": (3, 6, 13, 17), "mobilenet_v3_large": (3, 6, 12, 16)}


def _mobile_stages(theirs: Any, name: str, x: Tensor) -> list[Tensor]:
    features = []
    for index, layer in enumerate(theirs.features):
        x = layer(x)
        if index in _ENDS[name]:
            features.append(x)
    return features


def _compare_mobile(config: PSPNetConfig, theirs: Any) -> None:
    randomise(theirs)
    ours = make_backbone(config)
    state = {k: v for k, v in theirs.state_dict().items() if k in ours.state_dict()}
    ours.load_state_dict(state, strict=True)
    with torch.no_grad():
        expected = _mobile_stages(theirs.eval(), config.backbone, _image())
    _assert_equal(ours, expected, _image())


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large"])
def test_mobilenet_equals_torchvision(name: str) -> None:
    _compare_mobile(_config(name, output_stride=32), getattr(torchvision.models, name)(weights=None))


def test_dilated_mobilenet_v3_equals_torchvision() -> None:
    """What torchvision's own segmentation networks use: the whole last stage dilated alike."""
    theirs = torchvision.models.mobilenet_v3_large(weights=None, dilated=True)
    _compare_mobile(_config("mobilenet_v3_large", output_stride=16, dilation="all"), theirs)


def test_dilated_mobilenet_v2_equals_a_changed_torchvision() -> None:
    theirs = torchvision.models.mobilenet_v2(weights=None)
    # Strides 16 and 32 begin in layers 7 and 14; the first block of each has the dilation of what came before.
    for index in range(7, 18):
        d = 1 if index == 7 else 2 if index <= 14 else 4
        depthwise = next(m for m in theirs.features[index].modules() if isinstance(m, nn.Conv2d) and m.groups > 1)
        depthwise.stride, depthwise.dilation, depthwise.padding = (1, 1), (d, d), (d, d)
    _compare_mobile(_config("mobilenet_v2", output_stride=8, dilation="contract"), theirs)


@pytest.mark.parametrize("output_stride", [32, 16])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_lite_equals_timm_with_published_weights(name: str, output_stride: int) -> None:
    """timm pads as TensorFlow does, for the size at hand; ours are constant paddings at multiples of 32."""
    published = imagenet_state(name)
    ours = EfficientNetLite(name, output_stride).eval()
    load_published(ours, published)
    theirs = timm.create_model(f"tf_{name}", pretrained=False, output_stride=output_stride).eval()
    state = theirs.state_dict()
    assert len(state) == len(published)  # same order, other names
    theirs.load_state_dict(dict(zip(state, published.values(), strict=True)), strict=True)
    odd = _image(65, 81)
    image = F.pad(odd, (0, 96 - 81, 0, 96 - 65))
    with torch.no_grad():
        x = theirs.bn1(theirs.conv_stem(image))
        expected = []
        for index, stage in enumerate(theirs.blocks):
            x = stage(x)
            if index in (1, 2, 4, 6):
                expected.append(x)
        found = ours(image)
    for f, e in zip(found, expected, strict=True):
        assert f.shape == e.shape
        assert float((f - e).abs().max() / e.abs().max()) < 1e-5
