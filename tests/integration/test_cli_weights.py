"""``train`` with backbones whose weights have to come from somewhere."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
import torchvision  # noqa: E402

from pspnet_core import cli, pretrained  # noqa: E402
from pspnet_core.download import RemoteFile  # noqa: E402
from pspnet_core.models.checkpoint import load_checkpoint  # noqa: E402
from pspnet_core.models.importers.key_map import IMAGENET  # noqa: E402
from tests.helpers.file_server import FileServer, serving  # noqa: E402
from tests.helpers.random_weights import randomise  # noqa: E402
from tests.helpers.tiny import CLASSES, write_data_set  # noqa: E402

NAME = "mobilenet_v3_large"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data_set(tmp_path_factory.mktemp("data"), train=2, val=0, test=1)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Random weights as torchvision publishes them, of a small backbone."""
    path = tmp_path_factory.mktemp("published") / "net.pth"
    model = getattr(torchvision.models, NAME)(weights=None)
    randomise(model)
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty place for downloads."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setattr(pretrained, "weights_folder", lambda: tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def server(published, monkeypatch):
    """Has the file, and is where it is said to be."""
    contents = published.read_bytes()
    digest = hashlib.sha256(contents).hexdigest()
    with serving(FileServer(contents)) as running:
        entry = pretrained.PRETRAINED[NAME]
        changed = replace(entry, sha256=digest, remote=RemoteFile(running.url, len(contents), digest))
        monkeypatch.setattr(pretrained, "PRETRAINED", {**pretrained.PRETRAINED, NAME: changed})
        yield running


def train(data, out, *arguments) -> int:
    return cli.main(["train", str(data), "--out", str(out), "--steps", "1", "--device", "cpu", *map(str, arguments)])


def test_missing_weights_name_address_size_and_both_remedies(data, folder, tmp_path, capsys) -> None:
    assert train(data, tmp_path / "x.safetensors", "--backbone", "resnet50") == 1
    said = capsys.readouterr().err
    remote = pretrained.remote_weights("resnet50")
    for part in (remote.url, "102.5 MB", str(folder), "--download", "--weights FILE"):
        assert part in said
    assert not (tmp_path / "x.safetensors").exists()
    assert not folder.exists()


def test_weights_are_downloaded_when_that_is_wanted(data, server, folder, tmp_path, capsys) -> None:
    out = tmp_path / "x.safetensors"
    assert train(data, out, "--backbone", NAME) == 1
    assert server.requests == []
    capsys.readouterr()
    server.cut_after = [1_000_000]
    assert train(data, out, "--backbone", NAME, "--download", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    downloads = [e for e in events if e["event"] == "download"]
    assert downloads[-1]["done"] == downloads[-1]["total"] == len(server.data)
    assert server.requests == [None, "bytes=1000000-"]
    assert [p.name for p in folder.iterdir()] == ["net-12345678.pth"]
    checkpoint = load_checkpoint(out)
    assert checkpoint.config.backbone == NAME
    assert checkpoint.preprocessing == IMAGENET
    assert checkpoint.origin["init"] == "imagenet"
    assert train(data, out, "--backbone", NAME, "--download") == 0  # now it is here
    assert len(server.requests) == 2


def test_a_download_that_fails_is_told(data, server, folder, tmp_path, capsys) -> None:
    server.status = [404]
    assert train(data, tmp_path / "x.safetensors", "--backbone", NAME, "--download") == 1
    assert "404" in capsys.readouterr().err


def test_weights_from_a_file(data, published, folder, tmp_path) -> None:
    out = tmp_path / "x.safetensors"
    assert train(data, out, "--backbone", NAME, "--weights", published) == 0
    checkpoint = load_checkpoint(out)
    assert checkpoint.origin["weights"] == "net.pth"
    theirs = torch.load(published, weights_only=True)["features.0.0.weight"]
    assert torch.equal(checkpoint.model.state_dict()["backbone.features.0.0.weight"], theirs)  # a frozen stage
    assert not folder.exists()


def test_init_takes_a_publishers_file(data, published, tmp_path, capsys, caplog) -> None:
    out = tmp_path / "x.safetensors"
    assert train(data, out, "--init", published) == 0
    assert "New classes" in capsys.readouterr().out
    assert "Only a backbone" in caplog.text
    checkpoint = load_checkpoint(out)
    assert (checkpoint.config.backbone, checkpoint.classes) == (NAME, CLASSES)
    assert checkpoint.preprocessing == IMAGENET
    assert checkpoint.origin["parent"]["publisher"] == "torchvision"
    assert checkpoint.origin["parent"]["sha256"] == hashlib.sha256(published.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--init", "none", "--weights", "FILE"), 2, "does not go with --init none"),
        (("--init", "FILE", "--preset", "studio-fast"), 2, "--preset studio-fast does not go with --init"),
        (("--init", "FILE", "--backbone", "resnet18"), 2, "the backbone mobilenet_v3_large"),
        (("--weights", "nowhere.pth"), 1, "no file nowhere.pth"),
        (("--init", "nowhere.pth"), 1, "no file nowhere.pth"),
        (("--backbone", "resnet18", "--weights", "FILE"), 1, "ResNet-18"),
    ],
)
def test_what_does_not_go_together_is_refused(data, published, tmp_path, capsys, arguments, code, said) -> None:
    chosen = [str(published) if a == "FILE" else a for a in arguments]
    assert train(data, tmp_path / "x.safetensors", *chosen) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()


def test_the_weights_are_not_overwritten(data, published, capsys) -> None:
    before = published.read_bytes()
    assert train(data, published, "--backbone", NAME, "--weights", published) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert published.read_bytes() == before


def test_wrong_usage(data, tmp_path, capsys) -> None:
    assert train(data, tmp_path / "x", "--backbone", "vgg16") == 2
    assert train(data, tmp_path / "x", "--download", "--weights", "a.pth") == 2


def test_random_weights_need_no_file(data, tmp_path) -> None:
    out = tmp_path / "x.safetensors"
    assert train(data, out, "--backbone", "mobilenet_v2", "--init", "none") == 0
    assert load_checkpoint(out).config.backbone == "mobilenet_v2"


def test_preset_without_published_weights_says_what_to_do(data, tmp_path, capsys):
    assert cli.main(["train", str(data), "--out", str(tmp_path / "x.safetensors"), "--preset", "semseg"]) == 1
    assert "no ImageNet weights to fetch for the preset semseg" in capsys.readouterr().err


def test_the_parser_knows_all_presets():
    from pspnet_core.cli_ml import PRESET_NAMES
    from pspnet_core.models.config import PRESETS

    assert tuple(PRESETS) == PRESET_NAMES
