"""Files of weights that say what is not so: no memory is taken for a lie, and each is told."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pspnet_core.errors import CheckpointError
from pspnet_core.models.config import PSPNetConfig
from pspnet_core.models.importers import import_weights
from pspnet_core.models.importers.reading import read_weights
from tests.helpers import golden
from tests.helpers.weight_files import entries, save_torch, write_zip

HUGE = 2**40

# An empty tuple, then 34 times a pair of what there is: 170 bytes whose text would have 2**34 parentheses.
NESTED = b")" + b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(34))
DTYPE = b"\x80\x02cnumpy\ndtype\n"
F4 = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R"
FROM_BUFFER = b"cnumpy.core.numeric\n_frombuffer\n"
# An array with a shape of 10,000 times the same number of 16,000 bits: its product would have 20 million digits.
SHARED_SHAPE = (
    b"\x80\x04" + FROM_BUFFER + b"(C\x00" + F4 + b"(\x8b" + struct.pack("<i", 2000) + b"\x7f" * 2000
    + b"\x94" + b"h\x00" * 10_000 + b"tX\x01\x00\x00\x00CtR."
)  # fmt: skip


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
        DTYPE + NESTED + b"\x85R.",  # a type that would be 2**34 characters long in a message
        DTYPE + b")" + b"\x85" * 3000 + b"\x85R.",  # one that is 3,000 deep
        b"\x80\x04" + NESTED + NESTED + b"\x93.",  # a name of this kind
        DTYPE + b"X\x03\x00\x00\x00f16\x85R.",  # numbers that torch does not have
        pickle.dumps({"a": np.zeros(2, np.longdouble)}, 4),
        SHARED_SHAPE,
    ],
    ids=range(20),
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
    deep = b"\x80\x02)" + b"\x85" * 3000 + b"Q."
    return {
        "nested id": write_zip(folder / "nested.pth", honest | {table: b"\x80\x02" + NESTED + b"Q."}),
        "deep id": write_zip(folder / "deep.pth", honest | {table: deep}),
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
    "nested id": r"It refers to \(\(.{1,100}\), which is not a storage",
    "deep id": r"It refers to \(.{1,100}\), which is not a storage",
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


SAFETENSORS = {
    "header": r"header says it has 4611686018427387904 bytes",
    "long header": r"header says it has 1000000000 bytes",
    "shape": r"could not be read as weights",
    "offsets": r"could not be read as weights",
}


@pytest.mark.parametrize("lie", SAFETENSORS)
def test_safetensors_that_lie(tmp_path, lie) -> None:
    with pytest.raises(CheckpointError, match=SAFETENSORS[lie]):
        read_weights(lying_safetensors(tmp_path)[lie])


def lying_pickles(folder: Path) -> dict[str, Path]:
    """Short files of Paddle's kind that make the same thing again and again: 100 KB would become hundreds of MB."""

    def write(name: str, function: bytes, argument: bytes, again: bytes = b"h\x00h\x01\x85R") -> Path:
        path = folder / f"{name}.pdparams"
        start = b"\x80\x03" + function + b"q\x00" + argument + b"q\x01"
        pairs = b"".join(b"X\x05\x00\x00\x00%05d" % number + again for number in range(10_000))
        path.write_bytes(start + b"}(" + pairs + b"u.")
        return path

    text = b"X" + struct.pack("<I", 20_000) + b"a" * 20_000
    block = b"B" + struct.pack("<I", 20_000) + bytes(20_000)
    array = b"(" + block + F4 + b"M\x88\x13\x85X\x01\x00\x00\x00Ct"
    old_array = array.replace(block, text)
    return {
        "copies of bytes": write("bytes", b"c_codecs\nencode\n", text),
        "copies of a list": write("tuples", b"cbuiltins\ntuple\n", b"](" + b")" * 20_000 + b"e"),
        "arrays of the same bytes": write("arrays", FROM_BUFFER, array, b"h\x00h\x01R"),
        "arrays of the same text": write("texts", FROM_BUFFER, old_array, b"h\x00h\x01R"),
        "nested type": _write(folder / "nested.pdparams", DTYPE + NESTED + b"\x85R."),
        "nested name": _write(folder / "name.pdparams", b"\x80\x04" + NESTED + NESTED + b"\x93."),
        "product": _write(folder / "product.pdparams", SHARED_SHAPE),
    }


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


PICKLES = {
    **dict.fromkeys(
        ("copies of bytes", "copies of a list", "arrays of the same bytes", "arrays of the same text"),
        r"would make more than \d+ bytes",
    ),
    "nested type": r"has the type \(\(.{1,100}, which is no number",
    "nested name": r"which are no names",
    "product": r"impossible shape \(<int of 15999 bits>",
}


@pytest.mark.parametrize("lie", PICKLES)
def test_pickles_that_grow(tmp_path, lie) -> None:
    with pytest.raises(CheckpointError, match=PICKLES[lie]):
        read_weights(lying_pickles(tmp_path)[lie])


def lying_networks(folder: Path) -> dict[str, Path]:
    """Files that are in order as such, and would become large networks."""
    block = torch.zeros(2**20, dtype=torch.float16)
    names = golden.about("mmseg_r18_512")["keys"]

    def write(name: str, **settings: object) -> Path:
        config = PSPNetConfig.studio_fast(2).to_json() | settings
        steps = {"order": "RGB", "range": 255, "mean": [0, 0, 0], "std": [1, 1, 1]}
        data = {"format": 2, "preprocessing": steps, "config": config, "classes": {}, "metrics": {}, "origin": {}}
        path = folder / f"{name}.safetensors"
        save_file({str(number): torch.ones(2) for number in range(6)}, path, {"pspnet_studio": json.dumps(data)})
        return path

    return {
        "shared": save_torch({name: block.detach() for name in names}, folder / "shared.pth"),
        "wide": write("wide", head_channels=100_000),
        "bins": write("bins", bins=[1] * 20_000),
        "heads": write("heads", aux=[{"stage": 4, "channels": 512, "weight": 1.0}] * 20_000),
    }


NETWORKS = {
    "shared": r"tensors that share their numbers: backbone",
    "wide": r"\d+ of \d+ tensors are missing",
    "bins": r"20000 bins and 1 auxiliary heads, but 6 tensors",
    "heads": r"4 bins and 20000 auxiliary heads, but 6 tensors",
}


@pytest.mark.parametrize("lie", NETWORKS)
def test_files_that_would_become_large_networks(tmp_path, lie) -> None:
    with pytest.raises(CheckpointError, match=NETWORKS[lie]):
        import_weights(lying_networks(tmp_path)[lie])


LIMITED = """
import resource, sys
from pathlib import Path
from pspnet_core.errors import CheckpointError
from pspnet_core.models.importers import import_weights
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 48 * 2**20,) * 2)
for path in sys.argv[1:]:
    try:
        import_weights(Path(path))
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
    paths += lying_pickles(tmp_path).values()
    paths += lying_networks(tmp_path).values()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, paths)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == f"refused {len(paths)}", done.stderr[-2000:]
