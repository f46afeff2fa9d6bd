"""Files of weights are read safely: nothing runs, no memory is taken for a lie, and damage is said."""

from __future__ import annotations

import collections
import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pspnet_core.errors import CheckpointError
from pspnet_core.models.importers import import_weights
from pspnet_core.models.importers.reading import read_weights

HUGE = 2**40


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


def weights() -> dict[str, torch.Tensor]:
    return {
        "a.weight": torch.arange(6.0).reshape(2, 3),
        "a.bias": torch.ones(2),
        "n": torch.zeros((), dtype=torch.int64),
    }


def save_torch(value: object, path: Path, legacy: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, content: dict[str, bytes], packed: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            kind = zipfile.ZIP_DEFLATED if name == packed else zipfile.ZIP_STORED
            archive.writestr(name, data, compress_type=kind)
    return path


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


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(np.array([object()]), 4),  # an array of objects
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\xff\xff\xff\x7ftC\x01btR.",  # large
        b"\x80\x02}]K\x01s.",  # a list as key
        b"\x80\x02K\x01K\x02\x86K\x03\x85R.",  # a call of a tuple
        b"\x80\x02cpspnet_core.models.importers.reading\nread_weights\n.",
        b"\x80\x02X\x01\x00\x00\x00aQ.",  # something outside
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a frame that is not there
        b"\x80\x02I" + b"9" * 10000 + b"\n.",  # a number that is a program
        b"\x80\x02X\xff\xff\xff\x7fa.",  # a text that is not there
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa.",  # bytes that are not there
        b"\x80\x02)r\xff\xff\xff\x7f.",  # a memo of two thousand million places
        b"\x80\x02" + b"(" * 1000,
        b"\x80\x02.",
        b"\x80\x02" + b"]" + b"\x85" * 100_000 + b".",  # deep
    ],
    ids=range(14),
)
def test_strange_pickles(tmp_path, data) -> None:
    (tmp_path / "m.pdparams").write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_weights(tmp_path / "m.pdparams")
    assert caught.value.remedy


def test_an_array_that_lies_about_its_size(tmp_path) -> None:
    data = pickle.dumps({"a": np.zeros((3, 5), np.float32)}, 4)
    lie = data.replace(b"K\x03K\x05\x86", b"K\x7fK\x7f\x86")
    assert lie != data
    (tmp_path / "m.pdparams").write_bytes(lie)
    with pytest.raises(CheckpointError, match=r"shape \(127, 127\), which needs 64516 bytes, but it has 60"):
        read_weights(tmp_path / "m.pdparams")


def lying_zips(folder: Path) -> dict[str, Path]:
    """Archives that say they are larger than they are."""
    honest = entries(save_torch({"w": torch.zeros(4, 5)}, folder / "honest.pth"))
    root = next(iter(honest)).split("/")[0]
    table, block = f"{root}/data.pkl", f"{root}/data/0"
    huge = b"J" + struct.pack("<i", 2**30)
    shape = honest[table].replace(b"K\x04K\x05\x86", huge + huge + b"\x86", 1)
    count = honest[table].replace(b"K\x14t", huge + b"t", 1)
    assert shape != honest[table] != count
    (folder / "offsets.pth").write_bytes(_set_central_size((folder / "honest.pth").read_bytes(), block, 2**31))
    return {
        "shape": write_zip(folder / "shape.pth", honest | {table: shape}),
        "storage": write_zip(folder / "storage.pth", honest | {table: count}),
        "packed": write_zip(folder / "packed.pth", honest | {block: bytes(2**26)}, packed=block),
        "missing": write_zip(folder / "missing.pth", {k: v for k, v in honest.items() if k != block}),
        "directory": folder / "offsets.pth",
        "appended": _append(folder / "appended.pth", (folder / "honest.pth").read_bytes()),
    }


def _set_central_size(data: bytes, name: str, size: int) -> bytes:
    at = data.rindex(name.encode()) - 46  # its row in the directory
    assert data[at : at + 4] == b"PK\x01\x02"
    return data[: at + 20] + struct.pack("<II", size, size) + data[at + 28 :]


def _append(path: Path, data: bytes) -> Path:
    path.write_bytes(data + b"more")
    return path


EXPECTED = {
    "shape": r"says it has shape \[1073741824, 1073741824\], but its storage 0 has 80 bytes",
    "storage": r"Storage 0 says it has 4294967296 bytes, but 80 are there",
    "packed": r"is packed: \d+ bytes say they become 67108864",
    "missing": r"Storage 0 is not in the archive",
    "directory": r"data/0 says it has 2147483648 bytes; the file has",
    "appended": r"cut off, or something was appended",
}


@pytest.mark.parametrize("lie", EXPECTED)
def test_archives_that_lie_about_sizes(tmp_path, lie) -> None:
    with pytest.raises(CheckpointError, match=EXPECTED[lie]):
        read_weights(lying_zips(tmp_path)[lie])


def lying_legacy(folder: Path) -> dict[str, Path]:
    data = save_torch({"w": torch.zeros(4, 5)}, folder / "honest.pth", legacy=True).read_bytes()
    huge = b"J" + struct.pack("<i", 2**30)
    files = {
        "shape": data.replace(b"K\x04K\x05\x86", huge + huge + b"\x86", 1),
        "storage": data.replace(b"K\x14N", huge + b"N", 1),
        "length": data[:-88] + struct.pack("<q", HUGE) + data[-80:],
    }
    files["both"] = files["storage"][:-88] + struct.pack("<q", 2**30) + data[-80:]
    assert all(content != data for content in files.values())
    for name, content in files.items():
        (folder / f"{name}.pth").write_bytes(content)
    return {name: folder / f"{name}.pth" for name in files}


LEGACY = {
    "shape": r"says it has shape \[1073741824, 1073741824\]",
    "storage": r"Storage \d+ says 4294967296 bytes in one place and 80 in another",
    "length": r"Storage \d+ says 80 bytes in one place and 4398046511104 in another",
    "both": r"ends within storage \d+: 4294967296 bytes expected, 80 are there",
}


@pytest.mark.parametrize("lie", LEGACY)
def test_old_files_that_lie_about_sizes(tmp_path, lie) -> None:
    with pytest.raises(CheckpointError, match=LEGACY[lie]):
        read_weights(lying_legacy(tmp_path)[lie])


def lying_safetensors(folder: Path) -> dict[str, Path]:
    def write(name: str, header: object, length: int | None = None, data: bytes = bytes(16)) -> Path:
        text = json.dumps(header).encode()
        path = folder / f"{name}.safetensors"
        path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
        return path

    def row(shape: list[int], end: int) -> dict[str, object]:
        return {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}

    return {
        "header": write("header", row([4], 16), 2**62),
        "long header": write("long", row([4], 16), 10**9),
        "shape": write("shape", row([2**20, 2**20], 16)),
        "offsets": write("offsets", row([2**20, 2**20], 2**42)),
    }


@pytest.mark.parametrize("lie", ["header", "long header", "shape", "offsets"])
def test_safetensors_that_lie(tmp_path, lie) -> None:
    with pytest.raises(CheckpointError):
        read_weights(lying_safetensors(tmp_path)[lie])


LIMITED = """
import resource, sys
from pathlib import Path
from pspnet_core.errors import CheckpointError
from pspnet_core.models.importers.reading import read_weights
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 48 * 2**20,) * 2)
for path in sys.argv[1:]:
    try:
        read_weights(Path(path))
    except CheckpointError:
        continue
    sys.exit(f"{path} was read")
print("refused", len(sys.argv) - 1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are checked on Linux")
def test_no_lie_takes_memory(tmp_path) -> None:
    """With 48 MiB of address space left, each is refused for its lie, not for want of memory."""
    paths = [*lying_zips(tmp_path).values()]
    (tmp_path / "old").mkdir()
    paths += lying_legacy(tmp_path / "old").values()
    paths += lying_safetensors(tmp_path).values()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, paths)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == f"refused {len(paths)}", done.stderr[-2000:]


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
