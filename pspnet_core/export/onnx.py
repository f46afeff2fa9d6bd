"""A network as an ONNX file for other programs, right at every size; compared with the network before it is written.

The file has one input ``image``, (batch, 3, height, width) float32, RGB, normalised, and one output ``logits``,
(batch, classes, height, width) float32. How to normalise, and which class a channel is, is in its metadata, as JSON:

- ``format``: 1, the version of these entries.
- ``preprocessing``: ``mean`` and ``std`` per RGB channel, on values 0 to 255: input = (value - mean) / std. It is not
  part of the graph, because programs that read images normalise them in one pass of their own.
- ``classes``: ``index`` (what a class map holds), ``name`` and ``color``, in the order of the channels.
- ``config``, ``checkpoint``, ``producer``: shape of the network, id of the checkpoint, program that wrote the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pspnet_core import __version__
from pspnet_core.atomic import check_place, write_bytes
from pspnet_core.errors import CheckpointError
from pspnet_core.export.checks import check_sizes
from pspnet_core.export.model_events import ExportEvent, ExportPhase, OnnxExported
from pspnet_core.export.onnx_packages import not_installed, require_onnx
from pspnet_core.export.tracing import INPUT, OUTPUT, Exportable, all_sizes, capture
from pspnet_core.models.checkpoint import Checkpoint

FORMAT = 1
OPSET = 18
"""The oldest that PyTorch's exporter writes by itself, so the one that most programs read."""

_IR_VERSION = 8  # goes with opset 18
_MAX_BYTES = 2**31 - 1  # of one protobuf message; more would need a second file beside the first


def export_onnx(checkpoint: Checkpoint, path: Path) -> Iterator[ExportEvent]:
    """Write ``checkpoint`` to ``path`` as ONNX.

    Args:
        checkpoint: Left as it is. Heads that only training needs are left out.
        path: The file; it is replaced when everything went well, and only then.

    Yields:
        :class:`ExportPhase` and :class:`SizeCheck` on the way, :class:`OnnxExported` last. Some seconds may lie between
        two of them; closing it leaves nothing behind.

    Raises:
        PspnetError: The packages for ONNX are missing.
        StorageError: The file cannot be written.
        CheckpointError: The exported network does not compute the same, or is too large.
    """
    require_onnx()
    path = check_place(path)
    yield ExportPhase("capture")
    network = Exportable(checkpoint.model)
    _check_size(network)
    program = capture(network, for_onnx=True)
    yield ExportPhase("translate")
    data = _translate(program, _metadata(checkpoint))
    yield ExportPhase("check")
    run = _session(data)
    checks = []
    for check in check_sizes(network, run):
        yield check
        checks.append(check)
    yield ExportPhase("write")
    write_bytes(path, data)
    yield OnnxExported(path, len(data), tuple(checks))


def _translate(program: torch.export.ExportedProgram, metadata: dict[str, str]) -> bytes:
    try:
        import onnx

        with all_sizes(), torch.no_grad():
            translated = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                optimize=True,  # folds BatchNorm into the convolutions, among others
                verbose=False,
            )
    except ImportError as error:
        raise not_installed(f"{type(error).__name__}: {error}.") from error
    assert translated is not None
    model = translated.model_proto
    _clean(model)
    model.ir_version = _IR_VERSION
    model.producer_name, model.producer_version = "PSPNet Studio", __version__
    model.doc_string = (__doc__ or "").partition("\n\n")[2]
    onnx.helper.set_model_props(model, metadata)
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise _invalid(str(error)) from error
    return bytes(model.SerializeToString())


def _clean(model: Any) -> None:
    """Plain names for the open sizes, and nothing about this computer: the exporter notes lines of source files."""
    graph = model.graph
    graph.name = "pspnet"
    for value, names in (
        (graph.input[0], {0: "batch", 2: "height", 3: "width"}),
        (graph.output[0], {0: "batch", 2: "height", 3: "width"}),
    ):
        for axis, name in names.items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    del graph.value_info[:]  # shapes of what lies between, in terms of other names
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""


def _session(data: bytes) -> Any:
    """The network as another program runs it: (N, 3, H, W) -> (N, K, H, W)."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise not_installed(f"{type(error).__name__}: {error}.") from error
    failures = (
        errors.Fail,
        errors.InvalidArgument,
        errors.RuntimeException,
        errors.InvalidGraph,
        errors.NotImplemented,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what it would log as an error is raised, too
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise _invalid(str(error)) from error

    def run(image: Tensor) -> Tensor:
        try:
            (found,) = session.run([OUTPUT], {INPUT: image.numpy()})
        except failures as error:
            raise _invalid(f"At size {tuple(image.shape)}: {error}") from error
        return torch.from_numpy(found)

    return run


def _metadata(checkpoint: Checkpoint) -> dict[str, str]:
    values: dict[str, Any] = {
        "format": FORMAT,
        "classes": checkpoint.classes.to_json()["classes"],
        "preprocessing": checkpoint.preprocessing.to_json(),
        "config": checkpoint.config.to_json(),
    }
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    return texts | {"checkpoint": checkpoint.id, "producer": f"PSPNet Studio {__version__}"}


def _check_size(network: Exportable) -> None:
    num_bytes = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    if num_bytes > 0.95 * _MAX_BYTES:  # the graph itself needs some, too
        raise CheckpointError(
            "This network is too large for one ONNX file.",
            f"Its weights take {num_bytes / 1e9:.1f} GB; one file may have 2 GB.",
            "Choose a smaller backbone, or narrower heads.",
        )


def _invalid(detail: str) -> CheckpointError:
    return CheckpointError(
        "The exported network cannot be run, so it was not written.", detail, "Please report it with the checkpoint."
    )
