"""Small files of weights, to be read or to be spoilt."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch


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
