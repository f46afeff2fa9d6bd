"""Computing a network with OpenVINO, where it is installed: the extra ``[openvino]``, imported on first use."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from typing import Any

import torch
from torch import Tensor

from pspnet_core.inference.network import InferenceNetwork
from pspnet_core.models.pspnet import PSPNet

_LARGE_PX = 1_000_000
_EXAMPLE_PX = (96, 160)  # multiples of 32 that differ, so that height and width cannot be taken for one another


def is_installed() -> bool:
    """Whether OpenVINO can be used."""
    return importlib.util.find_spec("openvino") is not None


def version() -> str:
    """Of OpenVINO; empty where it is not installed."""
    return importlib.metadata.version("openvino") if is_installed() else ""


def dtypes() -> tuple[str, ...]:
    """Number types in which this processor computes fast: ``float32``, and ``bfloat16`` where it has instructions."""
    import openvino

    known = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("float32", "bfloat16") if "BF16" in known else ("float32",)


class OpenVinoEngine:
    """A network as a compiled graph of OpenVINO, for every input size, in memory only.

    Large inputs get a graph compiled for their size, which needs less memory; it is kept until another size comes.

    Args:
        model: Is read.
        dtype: One of :func:`dtypes`.
    """

    device = torch.device("cpu")

    def __init__(self, model: PSPNet, dtype: str) -> None:
        import openvino

        self.name = f"openvino {dtype}"
        self.bytes_per_value = 2 if dtype == "bfloat16" else 4
        network = InferenceNetwork(model)
        if dtype == "bfloat16":
            network.round_weights(torch.bfloat16)
        self._core = openvino.Core()
        self._graph = _converted(network)
        self._settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled: dict[bool, tuple[tuple[int, ...], Any]] = {}  # for large inputs, and for others

    def __call__(self, x: Tensor) -> Tensor:
        """See :class:`pspnet_core.inference.engines.Engine`."""
        x = x.contiguous()
        is_large = x[:, 0].numel() >= _LARGE_PX
        compiled = self._compile(tuple(x.shape) if is_large else (-1, 3, -1, -1), is_large)
        request = compiled.create_infer_request()
        (result,) = request.infer([x.numpy()], share_inputs=True, share_outputs=False).values()
        if is_large:
            del request
            compiled.release_memory()  # of what lies between the layers: it would stay until the next image
        return torch.from_numpy(result)

    def _compile(self, shape: tuple[int, ...], is_large: bool) -> Any:
        known = self._compiled.get(is_large)
        if known is not None and known[0] == shape:
            return known[1]
        self._compiled.pop(is_large, None)
        del known
        self._graph.reshape(list(shape))
        compiled = self._core.compile_model(self._graph, "CPU", self._settings)
        self._compiled[is_large] = shape, compiled
        return compiled


def _converted(network: InferenceNetwork) -> Any:
    import openvino

    example = torch.zeros(1, 3, *_EXAMPLE_PX)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that the trace keeps: they follow from the network's stride
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        return openvino.convert_model(traced, example_input=example)
