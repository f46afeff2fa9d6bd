"""PSPNet and its checkpoints."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.errors import CheckpointError, StorageError  # noqa: E402
from pspnet_core.models import PSPNet, PSPNetConfig, PyramidPooling  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, Preprocessing, load_checkpoint, save_checkpoint  # noqa: E402


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    net = PSPNet(PSPNetConfig.studio_fast(3))
    net.load_imagenet_backbone()
    return net.eval()


@pytest.fixture
def checkpoint(model):
    classes = ClassSet().add("sky", index=4).add("road", index=0).add("car", index=9)
    return Checkpoint(model, classes, metrics={"mean_iou": 0.5}, origin={"init": "imagenet"})


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (33, 71), (97, 30)])
def test_any_size_gives_logits_at_input_size(model, size):
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        assert model(x)["out"].shape == (1, 3, *size)
        assert model.logits(x).shape == (1, 3, -(-size[0] // 4), -(-size[1] // 4))


def test_odd_sizes_equal_padding_by_hand(model):
    """The constant-pad rule: an odd image is the same as that image padded right and below to a multiple of 32."""
    x = torch.randn(1, 3, 45, 70)
    with torch.no_grad():
        whole = model.logits(F.pad(x, (0, 26, 0, 19)))[..., :12, :18]
        torch.testing.assert_close(model.logits(x), whole, atol=1e-6, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_traced_graph_is_right_at_other_sizes(model):
    """Nothing in the backbone depends on the parity of the size that was traced."""
    with torch.no_grad():
        traced = torch.jit.trace(model.backbone, torch.randn(1, 3, 64, 64))
        x = torch.randn(1, 3, 96, 160)
        for a, b in zip(traced(x), model.backbone(x), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_forward_upsamples_logits(model):
    x = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        expected = F.interpolate(model.logits(x), scale_factor=4.0, mode="bilinear")[..., :40, :50]
        torch.testing.assert_close(model(x)["out"], expected)


def test_training_mode_has_an_auxiliary_output_and_learns_everywhere():
    net = PSPNet(PSPNetConfig.studio_fast(2)).train()
    out = net(torch.randn(1, 3, 40, 64))
    assert out["aux"].shape == out["out"].shape == (1, 2, 40, 64)
    (out["out"].square().mean() + out["aux"].square().mean()).backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None]
    assert silent == []
    assert "aux" not in net.eval()(torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("studio-fast", {}),
        ("studio-fast", {"decoder": "deconv"}),
        ("studio-fast", {"backbone": "mobilenet_v2", "output_stride": 16}),
        ("semseg", {"backbone": "resnet18"}),
    ],
)
def test_the_loss_can_see_each_third_row_and_column_only(preset, changes):
    config = replace(PSPNetConfig.preset(preset, 4, changes.pop("backbone", None)), dropout=0.0, **changes)
    net = PSPNet(config).train()
    x = torch.randn(2, 3, 65, 97)
    every = net(x)
    net.loss_stride = 3
    thinned = net(x)
    assert list(thinned) == list(every)
    for name, logits in every.items():
        torch.testing.assert_close(thinned[name], logits[..., ::3, ::3], atol=1e-5, rtol=1e-4)
    assert net.eval()(x)["out"].shape == (2, 4, 65, 97)


def test_pyramid_pools_averages_of_the_grid_cells():
    ppm = PyramidPooling(8, 8, (1, 2))
    x = torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        out = ppm(x)
        assert out.shape == (1, 24, 6, 6)
        torch.testing.assert_close(out[:, :8], x)
        mean = ppm.branches[0](x.mean(dim=(2, 3), keepdim=True))
        torch.testing.assert_close(out[:, 8:16], mean.expand(-1, -1, 6, 6))


def test_heads_and_backbone_share_no_parameter(model):
    heads = {id(p) for p in model.head_parameters()}
    backbone = {id(p) for p in model.backbone.parameters()}
    assert not heads & backbone
    assert len(heads) + len(backbone) == len(list(model.parameters()))


def test_config():
    config = PSPNetConfig.studio_fast(7)
    assert PSPNetConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    for wrong in ({"num_classes": 0}, {"num_classes": 256}, {"bins": ()}, {"head_channels": 12}, {"dropout": 1.0}):
        with pytest.raises(ValueError, match="must be"):
            replace(config, **wrong)


def test_preprocessing_of_lite():
    image = np.array([[[127, 255, 0]]], np.uint8)
    assert Preprocessing()(image).flatten().tolist() == [0.0, 1.0, pytest.approx(-127 / 128)]
    assert Preprocessing()([image, image]).shape == (2, 3, 1, 1)


def test_checkpoint_comes_back(checkpoint, tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(checkpoint, path)
    back = load_checkpoint(path)
    assert (back.classes, back.config, back.preprocessing) == (
        checkpoint.classes,
        checkpoint.config,
        checkpoint.preprocessing,
    )
    assert (back.metrics, back.origin) == (checkpoint.metrics, checkpoint.origin)
    assert back.id == checkpoint.id
    assert not back.model.training
    x = torch.randn(1, 3, 32, 40)
    with torch.no_grad():
        assert torch.equal(back.model.logits(x), checkpoint.model.logits(x))
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_id_follows_the_weights(checkpoint):
    other = PSPNet(checkpoint.config)
    other.load_state_dict(checkpoint.model.state_dict())
    assert Checkpoint(other, checkpoint.classes).id == checkpoint.id
    with torch.no_grad():
        other.classifier[1].bias.add_(1)
    assert Checkpoint(other, checkpoint.classes).id != checkpoint.id


def test_id_follows_what_the_weights_do_not_tell(checkpoint):
    """Equal weights with another mean, or another dropout or alignment, are another network."""
    assert Checkpoint(checkpoint.model, checkpoint.classes, Preprocessing((0.0, 0.0, 0.0))).id != checkpoint.id
    whole = Preprocessing((127, 127, 127), (128, 128, 128))
    assert Checkpoint(checkpoint.model, checkpoint.classes, whole).id == checkpoint.id
    other = PSPNet(replace(checkpoint.config, dropout=0.5))
    other.load_state_dict(checkpoint.model.state_dict())
    assert Checkpoint(other, checkpoint.classes).id != checkpoint.id


def test_class_count_must_fit(model):
    with pytest.raises(ValueError, match="channels"):
        Checkpoint(model, ClassSet().add("only"))


def test_unreadable_checkpoints_are_named(checkpoint, tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(checkpoint, path)
    data = path.read_bytes()
    for broken in (b"", b"junk" * 10, data[: len(data) // 2]):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"x\.safetensors"):
            load_checkpoint(path)
    with pytest.raises(CheckpointError, match="missing"):
        load_checkpoint(tmp_path / "missing.safetensors")
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert "not a checkpoint" in caught.value.detail


def test_format_1_is_read(checkpoint, tmp_path):
    """The first format knew one auxiliary head, ``aux_head``, and one kind of backbone."""
    path = tmp_path / "old.safetensors"
    save_checkpoint(checkpoint, path)
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["pspnet_studio"])
        tensors = {k.replace("aux_heads.0.", "aux_head."): file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    old_names = ("num_classes", "backbone", "output_stride", "bins", "bin_channels", "head_channels", "skip_channels")
    config = {k: v for k, v in metadata["config"].items() if k in (*old_names, "refine_channels", "dropout")}
    metadata |= {"format": 1, "config": {**config, "aux_channels": 64}}
    save_file(tensors, path, {"pspnet_studio": json.dumps(metadata)})
    back = load_checkpoint(path)
    assert back.config == checkpoint.config
    assert back.id == checkpoint.id


def test_newer_format_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("pspnet_core.models.checkpoint.FORMAT", 99)
    save_checkpoint(checkpoint, tmp_path / "new.safetensors")
    monkeypatch.undo()
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "new.safetensors")
    assert "format 99" in caught.value.detail


def test_unwritable_folder(checkpoint, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        save_checkpoint(checkpoint, tmp_path / "file" / "x.safetensors")
