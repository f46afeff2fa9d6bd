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
        graph = self._convert(network)
        graph.reshape([-1, 3, -1, -1])
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, x: Tensor) -> Tensor:
        """See :class:`pspnet_core.inference.engines.Engine`."""
        (result,) = self._request.infer([x.contiguous().numpy()], share_inputs=True, share_outputs=False).values()
        return torch.from_numpy(result)

    def _convert(self, network: InferenceNetwork) -> Any:
        import openvino

        example = torch.zeros(1, 3, *_EXAMPLE_PX)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that the trace keeps: they follow from the network's stride
            traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
            return openvino.convert_model(traced, example_input=example)
