"""What every network keeps to: one class of tests over all presets, backbones, decoders and norms."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.models import FCN, PRESETS, AuxHead, PSPNet, PSPNetConfig, make_model  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402
from pspnet_core.models.config import BACKBONES, LITES, MOBILENETS  # noqa: E402
from pspnet_core.models.decoder import Deconvolution  # noqa: E402
from pspnet_core.models.layers import FrozenBatchNorm2d, require_gradients  # noqa: E402
from tests.helpers.networks import CASES, GOLDEN_FILE, LARGE, NUM_CLASSES, golden_logits, image, small  # noqa: E402

ODD_SIZES = ((1, 1), (33, 47), (65, 81), (97, 121))
MOBILE = "studio-fast mobilenet_v3_large"
EXPORTED = ("studio-fast efficientnet_lite2", MOBILE, "FCN", "deconvolution", "vd at 32")
"""One for each way in which a graph could be bound to the size of its example; the fourth has group norms."""


@pytest.fixture(scope="module", params=[name for name in CASES if name not in LARGE])
def network(request: pytest.FixtureRequest) -> PSPNet:
    """One network of the table, with initial weights. Tests that change it take a copy."""
    torch.manual_seed(0)
    return make_model(CASES[request.param])


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["network"])


def _outputs(config: PSPNetConfig) -> list[str]:
    return ["out", *("aux" if n == 1 else f"aux{n}" for n in range(1, len(config.aux) + 1))]


def _loss(model: PSPNet, batch: int = 2) -> Tensor:
    x = image(33, 41, batch)
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, model.config.num_classes, (batch, 33, 41), generator=generator)
    weights = [1.0, *(head.weight for head in model.config.aux)]
    losses = [F.cross_entropy(logits, target) for logits in model(x).values()]
    return torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)]).sum()


def _step(model: PSPNet) -> None:
    """One step of plain gradient descent."""
    _loss(model).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad


def _check_sizes(model: PSPNet, sizes: tuple[tuple[int, int], ...]) -> None:
    stride = model.logit_stride
    for height, width in sizes:
        x = image(height, width)
        with torch.no_grad():
            logits, out = model.logits(x), model(x)
        assert list(out) == ["out"]
        assert out["out"].shape == (1, NUM_CLASSES, height, width)
        if not model.config.maxpool_ceil:  # which may give one more
            assert logits.shape == (1, NUM_CLASSES, math.ceil(height / stride), math.ceil(width / stride))
        assert torch.isfinite(out["out"]).all()
        assert torch.equal(model.upsample(logits, (height, width)), out["out"])


def _check_golden(model: PSPNet, name: str) -> None:
    with np.load(GOLDEN_FILE) as file:
        expected = file[name]
    found = golden_logits(model)
    assert found.shape == expected.shape
    assert expected.std() > 0.01
    # Other processors sum in another order.
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def _statistics(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.named_buffers()}


def _assert_unchanged(before: dict[str, Tensor], module: nn.Module) -> None:
    after = module.state_dict()
    assert [key for key, value in before.items() if not torch.equal(value, after[key])] == []


class TestContract:
    """For each network of the table."""

    def test_is_the_network_that_its_configuration_says(self, network: PSPNet) -> None:
        assert isinstance(network, FCN) is (network.config.context == "none")
        assert hasattr(network, "ppm") is (network.config.context == "pyramid")
        assert network.logit_stride == (4 if network.config.skip_channels else network.config.output_stride)
        assert PSPNetConfig.from_json(network.config.to_json()) == network.config

    def test_takes_every_size(self, network: PSPNet) -> None:
        _check_sizes(network.eval(), ODD_SIZES)

    def test_trains_on_a_single_image_of_any_size(self, network: PSPNet) -> None:
        """Also where one value per channel is left, which batch norm has no statistics for."""
        model = copy.deepcopy(network).train()
        for height, width in ODD_SIZES[:2]:
            out = model(image(height, width))
            assert list(out) == _outputs(model.config)
            assert {tuple(logits.shape) for logits in out.values()} == {(1, NUM_CLASSES, height, width)}
            assert all(torch.isfinite(logits).all() for logits in out.values())
        _, aux = model.logits_and_aux(image(33, 49))
        for head, logits in zip(model.config.aux, aux, strict=True):
            stride = min(2 ** (head.stage + 1), model.config.output_stride)
            assert logits.shape == (1, NUM_CLASSES, math.ceil(33 / stride), math.ceil(49 / stride))

    def test_gradients_are_finite_and_reach_every_parameter_that_learns(self, network: PSPNet) -> None:
        model = copy.deepcopy(network).train()
        _loss(model).backward()
        learning = {key: p for key, p in model.named_parameters() if p.requires_grad}
        assert [key for key, p in learning.items() if p.grad is None] == []
        assert [key for key, p in learning.items() if not torch.isfinite(p.grad).all()] == []
        assert [key for key, p in learning.items() if p.ndim == 4 and not p.grad.any()] == []
        kept = {key for key, p in model.named_parameters() if not p.requires_grad}
        frozen = model.config.backbone_norm == "frozen" and model.config.backbone not in LITES
        assert any(key.startswith("backbone.") for key in kept) is frozen
        assert any(not key.startswith("backbone.") for key in kept) is (model.config.head_norm == "frozen")

    def test_frozen_stages_stay_bit_identical_through_a_step(self, network: PSPNet) -> None:
        model = copy.deepcopy(network)
        model.freeze(2)
        model.train()
        parts = model.backbone.parts()
        before = [[copy.deepcopy(m.state_dict()) for m in part] for part in parts[:3]]
        _step(model)
        for states, part in zip(before, parts, strict=False):
            for state, module in zip(states, part, strict=True):
                _assert_unchanged(state, module)
                assert all(p.grad is None for p in module.parameters())
        for part in parts[3:]:
            assert any(p.grad is not None for module in part for p in module.parameters())

    def test_frozen_statistics_stay_bit_identical_through_train_and_a_step(self, network: PSPNet) -> None:
        model = copy.deepcopy(network)
        model.freeze_batchnorm()
        before = _statistics(model)
        weights = [p.clone() for p in model.classifier.parameters()]
        for mode in (True, False, True):
            model.train(mode)
        _step(model)
        _assert_unchanged(before, model)
        assert not any(torch.equal(old, new) for old, new in zip(weights, model.classifier.parameters(), strict=True))

    def test_statistics_follow_the_data_where_they_may(self, network: PSPNet) -> None:
        """Otherwise the two tests above would prove nothing."""
        model = copy.deepcopy(network).train()
        before = _statistics(model)
        _step(model)
        changed = {key for key, value in model.named_buffers() if not torch.equal(value, before[key])}
        kinds = {"backbone": model.config.backbone_norm, "head": model.config.head_norm}
        for place, kind in kinds.items():
            moved = [key for key in changed if key.startswith("backbone.") is (place == "backbone")]
            assert bool(moved) is (kind == "batch"), place

    @pytest.mark.parametrize("network", ["frozen norm", "torchvision-backbone", MOBILE], indirect=True)
    def test_constant_norms_stay_constant_through_freezing_and_a_step(self, network: PSPNet) -> None:
        model = copy.deepcopy(network)
        norms = [module for module in model.modules() if isinstance(module, FrozenBatchNorm2d)]
        assert norms
        before = [copy.deepcopy(norm.state_dict()) for norm in norms]
        model.freeze(2)
        model.freeze(0)
        require_gradients(model)
        assert not any(p.requires_grad for norm in norms for p in norm.parameters())
        assert all(p.requires_grad for p in model.parameters() if p.ndim == 4)
        _step(model.train())
        for state, norm in zip(before, norms, strict=True):
            _assert_unchanged(state, norm)

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("network", EXPORTED, indirect=True)
    def test_exported_program_is_equal_at_other_sizes(self, network: PSPNet) -> None:
        """Height, width and batch stay open; nothing in the graph is bound to the size of the example."""
        model, dynamic = network.eval(), torch.export.Dim.AUTO
        program = torch.export.export(
            model, (image(64, 96, 2),), dynamic_shapes={"x": {0: dynamic, 2: dynamic, 3: dynamic}}
        ).module()
        with torch.no_grad():
            for height, width, batch in ((97, 121, 2), (33, 47, 1), (160, 65, 3)):
                x = image(height, width, batch)
                expected = model(x)["out"]
                limit = 1e-5 * max(1.0, float(expected.abs().max()))
                assert float((program(x)["out"] - expected).abs().max()) < limit

    def test_comes_back_from_a_file_bit_for_bit(self, network: PSPNet, tmp_path: Path) -> None:
        path = tmp_path / "network.safetensors"
        classes = ClassSet().add("one").add("two")
        save_checkpoint(Checkpoint(network.eval(), classes), path)
        back = load_checkpoint(path).model
        path.unlink()
        assert type(back) is type(network)
        assert back.config == network.config
        ours, theirs = network.state_dict(), back.state_dict()
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
        with torch.no_grad():
            assert torch.equal(network(image())["out"], back(image())["out"])

    def test_gives_the_golden_logits(self, network: PSPNet, name: str) -> None:
        _check_golden(copy.deepcopy(network), name)


@pytest.mark.parametrize("name", LARGE)
def test_large_backbones_keep_to_it_too(name: str) -> None:
    model = make_model(CASES[name])
    _check_golden(model, name)
    _check_sizes(model, ODD_SIZES[:2])
    _loss(model.train(), batch=1).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)


def test_the_table_has_every_preset_and_every_backbone() -> None:
    assert set(PRESETS) <= set(CASES)
    assert {config.backbone for config in CASES.values()} == set(BACKBONES)
    assert GOLDEN_FILE.stat().st_size < 50_000
    with np.load(GOLDEN_FILE) as file:
        assert set(file.files) == set(CASES)


@pytest.mark.parametrize("num_classes", [1, 2, 255])
@pytest.mark.parametrize("name", ["studio-fast", "semseg", "deconvolution", "studio-fast mobilenet_v3_large"])
def test_any_number_of_classes(name: str, num_classes: int) -> None:
    model = make_model(replace(CASES[name], num_classes=num_classes)).train()
    for logits in model(image(33, 47)).values():
        assert logits.shape == (1, num_classes, 33, 47)


def test_bin_1_normalises_by_what_it_has_learned_when_there_is_one_image() -> None:
    """One image pooled to one cell has no variance: its batch norm takes the running statistics and keeps them."""
    model = make_model(replace(CASES["paper"], backbone="resnet18", bins=(1, 2))).train()
    norm, other = (branch[1] for branch in model.ppm.branches)
    with torch.no_grad():
        norm.running_mean.fill_(0.5)
        norm.running_var.fill_(4.0)
    x = torch.randn(1, model.backbone.channels[-1], 5, 7)
    out = model.ppm(x)
    pooled = F.conv2d(x.mean((2, 3), keepdim=True), model.ppm.branches[0][0].weight)
    expected = F.relu((pooled - 0.5) / math.sqrt(4.0 + norm.eps))
    channels = x.shape[1]
    torch.testing.assert_close(out[:, channels : channels + 8], expected.expand(-1, -1, 5, 7))
    assert float(norm.running_mean.mean()) == 0.5
    assert int(norm.num_batches_tracked) == 0
    assert int(other.num_batches_tracked) == 1
    model.ppm(x.expand(2, -1, -1, -1) * torch.tensor([1.0, 2.0])[:, None, None, None])
    assert int(norm.num_batches_tracked) == 1


def test_dropout_of_channels_and_of_elements() -> None:
    for kind, layer in (("channel", nn.Dropout2d), ("element", nn.Dropout)):
        model = make_model(replace(CASES["studio-fast"], dropout_kind=kind, dropout=0.3))
        dropouts = [m for m in model.modules() if isinstance(m, nn.Dropout | nn.Dropout2d)]
        assert [(type(m), m.p) for m in dropouts] == [(layer, 0.3)] * 2


@pytest.mark.parametrize("stride", [2, 4, 8, 16, 32])
def test_deconvolution_starts_as_bilinear_interpolation_up_to_the_border(stride: int) -> None:
    layer = Deconvolution(3, stride)
    for size in ((5, 7), (1, 1), (1, 4), (2, 2)):
        logits = torch.randn(2, 3, *size)
        expected = F.interpolate(logits, scale_factor=float(stride), mode="bilinear", align_corners=False)
        torch.testing.assert_close(layer(logits), expected, atol=1e-6, rtol=1e-5)


def test_deconvolution_is_computed_in_float32() -> None:
    """Its result is compared by argmax: bfloat16 has two to three digits."""
    layer, logits = Deconvolution(2, 8), torch.randn(1, 2, 5, 7)
    expected = layer(logits)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(logits)
    assert out.dtype == torch.float32
    assert torch.equal(out, expected)
    assert layer(logits.bfloat16()).dtype == torch.float32
    assert layer.double()(logits.double()).dtype == torch.float64


@pytest.mark.parametrize("name", ["deconvolution", "deconvolution lite"])
def test_network_with_deconvolution_starts_as_the_one_without(name: str) -> None:
    torch.manual_seed(0)
    learned = make_model(CASES[name]).eval()
    plain = make_model(replace(CASES[name], decoder="bilinear")).eval()
    state = learned.state_dict()
    kernel = state.pop("upsampler.weight")
    assert kernel.shape == (NUM_CLASSES, 1, 2 * learned.logit_stride, 2 * learned.logit_stride)
    plain.load_state_dict(state, strict=True)
    x = image(64, 96)
    with torch.no_grad():
        torch.testing.assert_close(learned(x)["out"], plain(x)["out"], atol=1e-5, rtol=1e-5)
    assert learned.upsampler.weight.requires_grad


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no class": ({"num_classes": 0}, "number of classes .* found 0"),
    "too many classes": ({"num_classes": 256}, "number of classes .* found 256"),
    "backbone": ({"backbone": "vgg16"}, "backbone .*found 'vgg16'"),
    "stride": ({"output_stride": 4}, "output_stride .* found 4"),
    "stem": ({"stem": "conv3"}, "stem .*found 'conv3'"),
    "shortcut": ({"shortcut": "max"}, "shortcut .*found 'max'"),
    "dilation": ({"dilation": "some"}, "dilation .*found 'some'"),
    "basic dilation": ({"basic_dilation": "second"}, "basic_dilation .*found 'second'"),
    "stride_at": ({"stride_at": "5x5"}, "stride_at .*found '5x5'"),
    "context": ({"context": "aspp"}, "context .*found 'aspp'"),
    "no bins": ({"bins": ()}, r"bins .*found \(\)"),
    "bin of 0": ({"bins": (1, 0)}, r"bins .*found \(1, 0\)"),
    "bin channels": ({"bin_channels": 0}, "bin_channels .* found 0"),
    "head channels": ({"head_channels": -1}, "head_channels .* found -1"),
    "groups": ({"head_norm": "group", "head_channels": 12}, "head_channels .* 8, found 12"),
    "skip channels": ({"skip_channels": -8}, "skip_channels .* found -8"),
    "refine channels": ({"skip_channels": 8, "refine_channels": 0}, "refine_channels .* found 0"),
    "dropout": ({"dropout": 1.0}, r"dropout .* found 1\.0"),
    "dropout kind": ({"dropout_kind": "row"}, "dropout_kind .*found 'row'"),
    "momentum": ({"bn_momentum": 1.5}, r"bn_momentum .* found 1\.5"),
    "backbone norm": ({"backbone_norm": "layer"}, "backbone_norm .*found 'layer'"),
    "head norm": ({"head_norm": "layer"}, "head_norm .*found 'layer'"),
    "decoder": ({"decoder": "unet"}, "decoder .*found 'unet'"),
    "ceiling pool": ({"maxpool_ceil": True}, "maxpool_ceil .*align_corners=True"),
    "decoder and corners": ({"decoder": "deconv", "align_corners": True}, "deconv .*align_corners=False"),
    "lite at 8": ({"backbone": LITES[0], "backbone_norm": "frozen", "output_stride": 8}, "output_stride .* found 8"),
    "lite learns norms": ({"backbone": LITES[0], "output_stride": 16}, "backbone_norm .*found 'batch'"),
    "mobile with groups": ({"backbone": MOBILENETS[0], "backbone_norm": "group"}, "backbone_norm .*found 'group'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_configurations_are_refused_by_name_and_value(case: str) -> None:
    values, message = WRONG[case]
    config = small(PSPNetConfig.preset("mmseg-512", 2, "resnet50"))
    with pytest.raises(ValueError, match=message):
        replace(config, **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stage": 0}, "stage .* found 0"),
        ({"stage": 5}, "stage .* found 5"),
        ({"channels": 0}, "channels .* found 0"),
        ({"weight": 0.0}, r"weight .* found 0\.0"),
        ({"weight": math.nan}, "weight .* found nan"),
    ],
)
def test_wrong_auxiliary_heads_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AuxHead(**values)


def test_unknown_presets_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"preset .*found 'best'"):
        PSPNetConfig.preset("best", 2)
    with pytest.raises(ValueError, match="depth"):
        PSPNetConfig.from_json(PSPNetConfig(2).to_json() | {"depth": 50})


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
