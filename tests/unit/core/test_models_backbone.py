"""EfficientNet-Lite0: weights, paddings, phases, gradients, real photographs."""

import pytest

torch = pytest.importorskip("torch")

import skimage.data  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from pspnet_core.errors import CheckpointError  # noqa: E402
from pspnet_core.models.backbones import efficientnet_lite as lite  # noqa: E402
from pspnet_core.models.backbones.depthwise import DepthwiseConv2d  # noqa: E402
from pspnet_core.models.checkpoint import Preprocessing  # noqa: E402
from pspnet_core.models.weights import imagenet_state  # noqa: E402


@pytest.fixture(scope="module")
def published():
    return imagenet_state("efficientnet_lite0")


@pytest.fixture(scope="module", params=[16, 32])
def backbone(request, published):
    net = lite.EfficientNetLite(output_stride=request.param)
    lite.load_published(net, published)
    return net.eval()


def published_features(state, x, eps=1e-3):
    """Plain reference in the publisher's layout: unfused BatchNorm, dynamic TensorFlow padding, output stride 32."""

    def norm(y, name):
        parts = [state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(y, *parts, False, 0.0, eps)

    def same(y, weight, stride, groups=1):
        pads = []
        for size in (y.shape[3], y.shape[2]):
            total = max((-(-size // stride) - 1) * stride + weight.shape[-1] - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(y, pads), weight, stride=stride, groups=groups)

    x = F.relu6(norm(same(x, state["_conv_stem.weight"], 2), "_bn0"))
    number, features = 0, []
    for stage in lite.scaled_stages("efficientnet_lite0"):
        for index in range(stage.num_blocks):
            b, y = f"_blocks.{number}.", x
            if stage.expansion > 1:
                y = F.relu6(norm(F.conv2d(y, state[b + "_expand_conv.weight"]), b + "_bn0"))
            depthwise = state[b + "_depthwise_conv.weight"]
            stride = stage.stride if index == 0 else 1
            y = F.relu6(norm(same(y, depthwise, stride, len(depthwise)), b + "_bn1"))
            y = norm(F.conv2d(y, state[b + "_project_conv.weight"]), b + "_bn2")
            x = x + y if y.shape == x.shape and stride == 1 and index > 0 else y
            number += 1
        features.append(x)
    return features


def test_features_equal_the_published_network(published):
    net = lite.EfficientNetLite(output_stride=32).eval()
    lite.load_published(net, published)
    x = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        ours, theirs = net(x), published_features(published, x)
    for mine, reference in zip(ours, (theirs[1], theirs[2], theirs[4], theirs[6]), strict=True):
        torch.testing.assert_close(mine, reference, atol=2e-4, rtol=1e-4)


def test_phases_equal_dilation(published):
    """Output stride 16 by phases is what dilated convolutions give."""
    net = lite.EfficientNetLite(output_stride=16).eval()
    lite.load_published(net, published)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        mine = net(x).stage4
        y = net.stages[4](net.stages[3](net.stages[2](net(x).stage1)))
        blocks = [*net.stages[5], *net.stages[6]]
        y = blocks[0](y)
        for block in blocks[1:]:
            d, k = block.depthwise, block.depthwise.kernel_size[0]
            z = F.relu6(block.expand(y))
            z = F.relu6(F.conv2d(z, d.weight, d.bias, 1, k - 1, 2, d.groups))
            z = block.project(z)
            y = y + z if block.has_shortcut else z
    torch.testing.assert_close(mine, y, atol=1e-4, rtol=1e-4)


def test_phases_come_back():
    x = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(lite.batch_to_space(lite.space_to_batch(x)), x)


# ImageNet ids: domestic cats and their likes 281-287, espresso and coffee cup, motor scooter and moped.
PHOTOS = {
    "chelsea": {281, 282, 283, 284, 285, 287},
    "coffee": {967, 968, 504, 925, 969},
    "motorcycle": {670, 665, 671},
}


@pytest.mark.parametrize("name", PHOTOS)
def test_recognises_real_photographs(name, backbone, published):
    loader = {"motorcycle": lambda: skimage.data.stereo_motorcycle()[0]}.get(name) or getattr(skimage.data, name)
    image = loader()
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    x = Preprocessing()(image[top : top + side, left : left + side])
    x = F.interpolate(x, size=(224, 224), mode="bilinear", antialias=True, align_corners=False)
    weight, bias, _ = lite.fuse(published, "_conv_head", "_bn1")
    with torch.no_grad():
        pooled = F.relu6(F.conv2d(backbone(x).stage4, weight, bias)).mean(dim=(2, 3))
        top1 = int((pooled @ published["_fc.weight"].T + published["_fc.bias"]).argmax())
    assert top1 in PHOTOS[name]


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_depthwise_gradients_equal_those_of_plain_convolution(size, stride):
    torch.manual_seed(0)
    conv = DepthwiseConv2d(6, size, stride).double()
    x = torch.randn(2, 6, 8, 10, dtype=torch.double, requires_grad=True)
    parameters = (x, conv.weight, conv.bias)
    out = conv(x)
    probe = torch.randn_like(out)
    mine = torch.autograd.grad(out, parameters, probe)
    reference = F.conv2d(F.pad(x, conv._pads), conv.weight, conv.bias, stride, groups=6)
    torch.testing.assert_close(out, reference)
    for a, b in zip(mine, torch.autograd.grad(reference, parameters, probe), strict=True):
        # at stride 2 the input gradient is computed in float32
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
def test_depthwise_in_bfloat16_stays_close(size):
    torch.manual_seed(0)
    conv, x = DepthwiseConv2d(8, size, 2), torch.randn(1, 8, 16, 16)
    (exact,) = torch.autograd.grad(conv(x).square().sum(), conv.weight)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x)
    assert out.dtype == torch.bfloat16
    (rounded,) = torch.autograd.grad(out.float().square().sum(), conv.weight)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.03 * exact.norm()


def test_frozen_stages_get_no_gradient(published):
    net = lite.EfficientNetLite()
    net.freeze(1)
    net(torch.randn(1, 3, 32, 32)).stage4.sum().backward()
    assert net.stem.weight.grad is None
    assert all(p.grad is None for p in net.stages[:2].parameters())
    assert all(p.grad is not None for p in net.stages[2:].parameters())
    net.freeze(0)
    assert all(p.requires_grad for p in net.parameters())


def test_foreign_weights_are_refused(published):
    net = lite.EfficientNetLite()
    missing = {k: v for k, v in published.items() if k != "_blocks.3._bn1.bias"}
    with pytest.raises(CheckpointError, match="not those"):
        lite.load_published(net, missing)
    with pytest.raises(CheckpointError, match="not those"):
        lite.load_published(net, {**published, "_blocks.16._bn0.weight": torch.ones(1)})
    wrong = {**published, "_conv_stem.weight": torch.ones(32, 3, 5, 5)}
    with pytest.raises(CheckpointError, match="not those"):
        lite.load_published(net, wrong)


def test_bad_arguments():
    with pytest.raises(ValueError, match="unknown backbone"):
        lite.EfficientNetLite("resnet1")
    with pytest.raises(ValueError, match="output stride"):
        lite.EfficientNetLite(output_stride=8)
    with pytest.raises(ValueError, match="frozen"):
        lite.EfficientNetLite().freeze(5)
