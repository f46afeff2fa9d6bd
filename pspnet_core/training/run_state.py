"""The state of a run in a file, so that it goes on exactly where it was after a restart or a crash.

A ``.safetensors`` file: what changes from step to step as tensors, and in the metadata, under ``pspnet_studio_run``, a
JSON object: format, fingerprint of configuration and data, checksum of the tensors, and counters.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from zlib import crc32

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pspnet_core.atomic import atomic_writer
from pspnet_core.errors import TrainingError
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.training.config import TrainConfig

FORMAT = 1
KEY = "pspnet_studio_run"

_PIECE = 4 << 20  # bytes between two yields
_DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16"}


class StateError(TrainingError):
    """A file does not hold the state of this run."""


@dataclass(frozen=True, slots=True)
class RunState:
    """What a file holds.

    Attributes:
        record: Plain JSON values.
        tensors: By name, on the CPU.
    """

    record: dict[str, Any]
    tensors: dict[str, Tensor]


def fingerprint(config: TrainConfig) -> str:
    """Of all that decides what is learned, but the pixels. Neither budget nor device: a run may go on with others."""
    init = config.init.id if isinstance(config.init, Checkpoint) else config.init
    told = {
        "classes": config.classes.to_json(),
        "network": config.network.to_json(),
        "recipe": asdict(config.chosen_recipe),
        "init": [init, config.weights.name if config.weights is not None else None],
        "run": [config.mode, config.steps, config.seed, config.precision],
        "train": [item.key for item in config.train],
        "holdout": [item.key for item in config.holdout],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def write_state(path: Path, state: RunState) -> Iterator[None]:
    """Write ``state`` to ``path`` atomically, in pieces: yields after each, when it is on the disk.

    Otherwise all of it would have to go there in the end, at once.

    Raises:
        StorageError: The disk is full, or the folder may not be written. What was there before stays.
    """
    checksum = written = 0
    with atomic_writer(path) as stream:
        stream.write(_header(state.record, state.tensors, checksum))
        for tensor in state.tensors.values():
            plain = tensor.detach().cpu().contiguous().reshape(-1)
            data = memoryview(plain.view(torch.uint8).numpy().data)
            for start in range(0, len(data), _PIECE):
                piece = data[start : start + _PIECE]
                checksum = crc32(piece, checksum)
                stream.write(piece)
                written += len(piece)
                if written >= _PIECE:
                    written = 0
                    stream.flush()
                    os.fsync(stream.fileno())
                    yield
        stream.seek(0)
        stream.write(_header(state.record, state.tensors, checksum))
    yield


def read_state(path: Path, expected: str) -> Generator[None, None, RunState]:
    """Read what :func:`write_state` wrote; yields now and then.

    Args:
        path: The file.
        expected: Fingerprint of the run that wants to go on.

    Raises:
        StateError: The file is damaged, of another program, or of another run.
    """
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {}).get(KEY, "{}"))
            if record.get("format") != FORMAT:
                raise StateError("The kept state of the training is of another program or version.", str(path))
            if record.get("fingerprint") != expected:
                raise StateError("The kept state is of a training with other settings or other images.", str(path))
            tensors = {}
            for name in file.keys():  # noqa: SIM118 - not a dict
                tensors[name] = file.get_tensor(name).clone()
                yield
        with open(path, "rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            stream.seek(8 + size)
            checksum = yield from _checksum(stream)
    except (OSError, SafetensorError, ValueError, AttributeError, struct.error) as error:
        raise StateError("The kept state of the training could not be read.", f"{path}: {error}") from error
    if f"{checksum:08x}" != record.get("checksum"):
        raise StateError("The kept state of the training is damaged.", str(path))
    return RunState(record, tensors)


def discard(path: Path) -> None:
    """Remove the state of a run that ended. A file that stays is recognised as old by what it holds."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _checksum(stream: IO[bytes]) -> Generator[None, None, int]:
    checksum = 0
    while piece := stream.read(_PIECE):
        checksum = crc32(piece, checksum)
        yield
    return checksum


def _header(record: dict[str, Any], tensors: dict[str, Tensor], checksum: int) -> bytes:
    """Of equal length for every checksum."""
    told = {**record, "format": FORMAT, "checksum": f"{checksum:08x}"}
    header: dict[str, Any] = {"__metadata__": {KEY: json.dumps(told)}}
    offset = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
