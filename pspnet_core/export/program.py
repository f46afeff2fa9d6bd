"""A network as a ``.pt2`` file for ``torch.export.load``: for C++, AOTInductor, and Python without this program."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

from torch.export import load, save

from pspnet_core import __version__
from pspnet_core.atomic import check_place, write_bytes
from pspnet_core.export.checks import check_sizes
from pspnet_core.export.model_events import ExportEvent, ExportPhase, ProgramExported
from pspnet_core.export.tracing import Exportable, capture
from pspnet_core.models.checkpoint import Checkpoint

METADATA = "pspnet_studio.json"
"""Name of the extra file inside: ``classes``, ``preprocessing``, ``config``, ``checkpoint``, ``producer``."""


def export_program(checkpoint: Checkpoint, path: Path) -> Iterator[ExportEvent]:
    """Write ``checkpoint`` to ``path`` as an exported program, after it was loaded again and compared.

    Its module takes (N, 3, H, W) float32, RGB, normalised as its metadata say, of any N, H and W, and returns
    (N, K, H, W) float32 logits.

    Args:
        checkpoint: Left as it is. Heads that only training needs are left out.
        path: The file; it is replaced when everything went well, and only then.

    Yields:
        As :func:`pspnet_core.export.onnx.export_onnx`, with :class:`ProgramExported` last.

    Raises:
        StorageError: The file cannot be written.
        CheckpointError: The exported network does not compute the same.
    """
    path = check_place(path)
    yield ExportPhase("capture")
    network = Exportable(checkpoint.model)
    program = capture(network, for_onnx=False)
    yield ExportPhase("translate")
    buffer = io.BytesIO()
    save(program, buffer, extra_files={METADATA: _metadata(checkpoint)})
    data = buffer.getvalue()
    yield ExportPhase("check")
    loaded = load(io.BytesIO(data)).module()
    checks = []
    for check in check_sizes(network, loaded):
        yield check
        checks.append(check)
    yield ExportPhase("write")
    write_bytes(path, data)
    yield ProgramExported(path, len(data), tuple(checks))


def _metadata(checkpoint: Checkpoint) -> str:
    values = {
        "classes": checkpoint.classes.to_json()["classes"],
        "preprocessing": checkpoint.preprocessing.to_json(),
        "config": checkpoint.config.to_json(),
        "checkpoint": checkpoint.id,
        "producer": f"PSPNet Studio {__version__}",
    }
    return json.dumps(values, ensure_ascii=False)
