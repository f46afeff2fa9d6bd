"""Files of weights are read safely: nothing runs, and damage is said."""

from __future__ import annotations

import collections
import importlib
import io
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pspnet_core.classes import ClassSet
from pspnet_core.errors import CheckpointError
from pspnet_core.models.checkpoint import Checkpoint, save_checkpoint
from pspnet_core.models.importers import import_weights
from pspnet_core.models.importers.reading import read_weights
from pspnet_core.models.pspnet import make_model
from tests.helpers.networks import CASES, small
from tests.helpers.weight_files import save_torch, weights, write_zip


class Evil:
    """Unpickled the usual way, it makes a file."""

    def __init__(self, path: Path, how: str) -> None:
        self.path, self.how = path, how

    def __reduce__(self):
        if self.how == "system":
            return os.system, (f"touch {self.path}",)
        if self.how == "eval":
            return eval, (f"open({str(self.path)!r}, 'w')",)
        return open, (str(self.path), "w")


@pytest.mark.parametrize("legacy", [False, True])
def test_both_formats_of_torch(tmp_path, legacy) -> None:
    contents = read_weights(save_torch({"epoch": 3, "state_dict": weights()}, tmp_path / "a.pth", legacy))
    assert contents.meta == {"epoch": 3}
    assert all(torch.equal(contents.tensors[key], tensor) for key, tensor in weights().items())


def test_shared_storages_views_and_parameters(tmp_path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    value = {"rows": base, "column": base[:, 1], "turned": base.T, "p": torch.nn.Parameter(base[0]), "empty": base[:0]}
    for legacy in (False, True):
        tensors = read_weights(save_torch(value, tmp_path / "a.pth", legacy)).tensors
        assert all(torch.equal(tensors[key], tensor) for key, tensor in value.items())


def test_other_safetensors(tmp_path) -> None:
    save_file(weights(), tmp_path / "model.safetensors")
    assert read_weights(tmp_path / "model.safetensors").tensors.keys() == weights().keys()


@pytest.mark.parametrize("how", ["system", "eval", "open"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "pdparams"])
def test_a_malicious_pickle_runs_nothing(tmp_path, how, kind) -> None:
    trap = tmp_path / "trap"
    value = {"state_dict": weights() if kind != "pdparams" else {}, "meta": Evil(trap, how)}
    path = tmp_path / "evil.pth"
    if kind == "pdparams":
        path.write_bytes(pickle.dumps(value, protocol=4))
    else:
        save_torch(value, path, legacy=kind == "legacy")
    with pytest.raises(CheckpointError) as caught:
        import_weights(path)
    assert not trap.exists()
    name = {"system": f"{os.system.__module__}.system", "eval": "eval", "open": "open"}[how]
    assert "not a plain file of weights" in caught.value.title
    assert re.search(rf"would run code: \S*{name}", caught.value.detail)
    assert "unless you trust" in caught.value.remedy
    pickle.loads(pickle.dumps(Evil(trap, how)))  # the trap is a real one
    assert trap.exists()


def test_a_whole_model_is_refused_by_the_name_of_its_class(tmp_path) -> None:
    save_torch({"model": torch.nn.Linear(2, 2)}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"(?s)would run code: torch\.nn\.modules\.linear\.Linear"):
        read_weights(tmp_path / "m.pth")


def test_an_array_of_two_names_is_one_tensor(tmp_path) -> None:
    array = np.arange(3, dtype=np.float32)
    (tmp_path / "m.pdparams").write_bytes(pickle.dumps({"a": array, "b": array}, 4))
    tensors = read_weights(tmp_path / "m.pdparams").tensors
    assert tensors["a"].tolist() == tensors["b"].tolist() == [0, 1, 2]


def test_a_checkpoint_of_ours_is_read_once(tmp_path, monkeypatch) -> None:
    seen = []
    for name in ("importers.reading", "checkpoint"):

        def counted(*arguments, **options):
            seen.append(arguments)
            return safe_open(*arguments, **options)

        monkeypatch.setattr(importlib.import_module(f"pspnet_core.models.{name}"), "safe_open", counted)
    model = make_model(small(CASES["studio-fast mobilenet_v2"]))
    save_checkpoint(Checkpoint(model, ClassSet().add("a").add("b")), tmp_path / "ours.safetensors")
    assert import_weights(tmp_path / "ours.safetensors").origin["import"]["publisher"] == "studio"
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["zip", "legacy", "pdparams", "safetensors"])
def test_files_that_are_cut_off(tmp_path, kind) -> None:
    path = tmp_path / "m.bin"
    if kind == "pdparams":
        path.write_bytes(pickle.dumps({key: tensor.numpy() for key, tensor in weights().items()}, 4))
    elif kind == "safetensors":
        save_file(weights(), path)
    else:
        save_torch(weights(), path, legacy=kind == "legacy")
    whole = path.read_bytes()
    assert read_weights(path).tensors.keys() == weights().keys()
    for length in {*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1, len(whole) - 8}:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as caught:
            read_weights(path)
        assert "m.bin" in caught.value.title
        assert caught.value.detail
        assert caught.value.remedy


@pytest.mark.parametrize("kind", ["zip", "legacy", "pdparams", "safetensors"])
def test_damaged_bytes_never_escape_as_another_error(tmp_path, kind) -> None:
    path = tmp_path / "m.bin"
    if kind == "pdparams":
        path.write_bytes(pickle.dumps({key: tensor.numpy() for key, tensor in weights().items()}, 4))
    elif kind == "safetensors":
        save_file(weights(), path)
    else:
        save_torch(weights(), path, legacy=kind == "legacy")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            tensors = read_weights(path).tensors
        except CheckpointError:
            continue
        assert sum(tensor.numel() for tensor in tensors.values()) < len(whole)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"", "The file is empty"),
        (b"<!DOCTYPE html><html>", "It is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        (b"\n\x08ResNet50" * 20, "caffemodel has to be converted"),
    ],
)
def test_other_files(tmp_path, start, expected) -> None:
    (tmp_path / "m.pth").write_bytes(start)
    with pytest.raises(CheckpointError, match=expected):
        read_weights(tmp_path / "m.pth")


def test_a_missing_file_and_a_folder(tmp_path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(CheckpointError, match="could not be read as weights"):
            read_weights(path)


def test_archives_of_other_kinds(tmp_path) -> None:
    write_zip(tmp_path / "a.pth", {"photo.txt": b"x"})
    with pytest.raises(CheckpointError, match=r"there is no data\.pkl"):
        read_weights(tmp_path / "a.pth")
    write_zip(tmp_path / "b.pth", {"m/data.pkl": b"", "m/constants.pkl": b"", "m/code/x.py": b""})
    with pytest.raises(CheckpointError, match="TorchScript archive: a program"):
        read_weights(tmp_path / "b.pth")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2], "found a list"),
        ({"epoch": 3}, "found a dictionary with 'epoch'"),
        ({"state_dict": {}}, "found a dictionary with nothing in it"),
        ({"a": torch.zeros(2), "b": 3}, "'b' is a int"),
        ({"a": torch.zeros(2), "module.a": torch.zeros(2)}, "holds 'a' twice"),
    ],
)
def test_what_holds_no_weights(tmp_path, value, expected) -> None:
    with pytest.raises(CheckpointError, match=expected):
        read_weights(save_torch(value, tmp_path / "m.pth"))


def test_numbers_of_numpy_beside_the_weights(tmp_path) -> None:
    meta = {"best": np.float64(0.25), "step": np.int64(7), "flag": np.bool_(True), "colors": np.eye(3, dtype=np.uint8)}
    for legacy in (False, True):
        path = save_torch({"state_dict": weights(), "meta": meta}, tmp_path / "m.pth", legacy)
        assert read_weights(path).meta["meta"]["best"] == 0.25


def test_names_of_numpy_that_are_no_numbers_are_refused(tmp_path) -> None:
    save_torch({"state_dict": weights(), "meta": np.array([{"a": 1}], dtype=object)}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match="which is no number"):
        read_weights(tmp_path / "m.pth")


def test_metadata_of_ordered_dictionaries(tmp_path) -> None:
    """``state_dict()`` carries an attribute that pickles along."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    assert isinstance(net.state_dict(), collections.OrderedDict)
    for legacy in (False, True):
        path = save_torch(net.state_dict(), tmp_path / "m.pth", legacy)
        assert read_weights(path).tensors.keys() == net.state_dict().keys()


def test_the_file_is_read_and_not_changed(tmp_path) -> None:
    path = save_torch(weights(), tmp_path / "m.pth")
    before = path.read_bytes()
    tensors = read_weights(path).tensors
    tensors["a.bias"].add_(1)
    assert path.read_bytes() == before
    assert torch.load(io.BytesIO(before), weights_only=True)["a.bias"].sum() == 2
