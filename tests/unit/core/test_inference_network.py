"""The network as it predicts: equal to the one that learns, and smaller in memory."""

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from pspnet_core.inference import folding  # noqa: E402
from pspnet_core.inference.network import InferenceNetwork  # noqa: E402
from pspnet_core.models import PRESETS, PSPNetConfig, make_model  # noqa: E402

SIZES = [(64, 64), (65, 97), (301, 66)]


def random_model(config):
    """A network whose norms do something."""
    torch.manual_seed(0)
    model = make_model(config).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, 0, 0.3)
    return model


def configs():
    for name in PRESETS:
        for backbone in ("resnet18", "mobilenet_v2", "efficientnet_lite0"):
            yield f"{name}-{backbone}", PSPNetConfig.preset(name, 3, backbone)
    narrow = {"bin_channels": 8, "head_channels": 16, "aux": ()}
    for name in ("semseg", "mmseg-512", "csail"):
        base = PSPNetConfig.preset(name, 3, "resnet50").to_json()
        yield f"{name}-resnet50", PSPNetConfig.from_json(base | narrow)
        yield f"{name}-1x1-avg", PSPNetConfig.from_json(base | narrow | {"stride_at": "1x1", "shortcut": "avg"})
    fcn = PSPNetConfig.preset("mmseg-512", 3, "resnet18").to_json() | {"context": "none", "decoder": "deconv"}
    yield "fcn", PSPNetConfig.from_json(fcn)
    ceil = PSPNetConfig.preset("semseg", 3, "resnet18").to_json() | {"maxpool_ceil": True, "bins": (1, 5, 9)}
    yield "ceil", PSPNetConfig.from_json(ceil)


CONFIGS = dict(configs())


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_equals_the_network_that_learns(name, monkeypatch):
    monkeypatch.setattr(folding, "_BAND_BYTES", 20_000)  # several bands also in small images
    model = random_model(CONFIGS[name])
    network = InferenceNetwork(model)
    for number, size in enumerate(SIZES):
        x = torch.randn(1 + number % 2, 3, *size)
        expected = model.logits(x)
        for layout in (torch.contiguous_format, torch.channels_last):
            network.to_numerics(torch.device("cpu"), torch.float32, layout)
            torch.testing.assert_close(
                network(x.contiguous(memory_format=layout)), expected, rtol=0, atol=5e-5 * float(expected.std() + 0.1)
            )


@torch.inference_mode()
def test_low_precision_is_near_and_logits_are_float32():
    model = random_model(PSPNetConfig.studio_fast(4))
    network = InferenceNetwork(model)
    network.to_numerics(torch.device("cpu"), torch.bfloat16, torch.channels_last)
    x = torch.randn(1, 3, 96, 128)
    expected, found = model.logits(x), network(x.bfloat16())
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.05 * expected.std()


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 5), (12, 24), (13, 31)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pooling_of_several_grids_at_once(size, layout, monkeypatch):
    monkeypatch.setattr(folding, "_BAND_BYTES", 100)
    x = torch.randn(2, 6, *size).contiguous(memory_format=layout)
    bins = (1, 2, 3, 6, 8)
    for side, found in zip(bins, folding.pool_cells(x, bins), strict=True):
        torch.testing.assert_close(found, torch.nn.functional.adaptive_avg_pool2d(x, side), rtol=1e-5, atol=1e-6)
    assert folding.pool_cells(x.bfloat16(), bins)[0].dtype == torch.float32


def test_rounded_weights_keep_the_sum_of_each_filter():
    weight = torch.randn(8, 40, 3, 3)
    result = folding.rounded(weight, torch.bfloat16)
    assert torch.equal(result, result.bfloat16().float())
    assert float((result - weight).abs().max()) < 0.05
    plain = weight.bfloat16().float()
    sums = [(found - weight).sum(dim=(1, 2, 3)).abs().mean() for found in (result, plain)]
    assert sums[0] < 0.2 * sums[1]


def test_what_the_model_learns_later_is_not_seen():
    model = random_model(PSPNetConfig.preset("mmseg-512", 3, "resnet18"))
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = InferenceNetwork(model)
        expected = before(x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    with torch.inference_mode():
        torch.testing.assert_close(before(x), expected)
    assert sum(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules()) > 0


class Largest(TorchDispatchMode):
    """Looks at every tensor that is made."""

    def __init__(self):
        super().__init__()
        self.numel, self.channels = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
                if tensor.dim() == 4 and min(tensor.shape[2:]) >= 20:
                    self.channels = max(self.channels, tensor.shape[1])
        return result


def test_the_concatenation_is_never_built():
    config = PSPNetConfig.preset("mmseg-512", 3, "resnet18")
    model = random_model(config)
    network = InferenceNetwork(model)
    x = torch.randn(1, 3, 256, 256)  # features 32 x 32
    with torch.no_grad(), Largest() as plain:
        model.logits(x)
    with torch.no_grad(), Largest() as lean:
        network(x)
    assert plain.channels == 512 + 4 * config.bin_channels
    assert lean.channels == 512
