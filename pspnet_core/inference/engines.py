"""The ways to compute a network, and which of them is the fastest here.

A measurement of about a second per kind of network and machine says so once; the result is kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from pspnet_core.atomic import write_json
from pspnet_core.devices import Numerics, free_cached, numerics_for, numerics_to_try, pinned
from pspnet_core.errors import StorageError
from pspnet_core.inference import openvino
from pspnet_core.inference.network import InferenceNetwork
from pspnet_core.models.pspnet import PSPNet

logger = logging.getLogger(__name__)

_SAMPLE_PX = 256
_REPEATS = 3
_MOST_OFF = 0.25  # of the spread of logits, on average
_MOST_ROUNDED = 0.02  # of their size: where they hardly differ
_WORTH = 0.85  # a way that comes later, and may be less exact, has to take this share of the time, or less

_FAILURES = (ImportError, RuntimeError, OSError)
"""What a way to compute that is not there, or does not work on this machine, raises."""

_Maker = tuple[str, Callable[[], "Engine"]]


class Engine(Protocol):
    """Something that computes logits."""

    @property
    def name(self) -> str:
        """For people and for the file of measurements: ``torch float32``, ``openvino bfloat16``..."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its results lie."""
        ...

    @property
    def bytes_per_value(self) -> int:
        """Of what it holds between layers."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) float32 on the CPU, normalised -> (N, K, h, w) float32 logits on :attr:`device`."""
        ...


class TorchEngine:
    """A folded copy of a network in one numeric format.

    Args:
        model: Is copied.
        numerics: Where and in which format.
    """

    def __init__(self, model: PSPNet, numerics: Numerics) -> None:
        self.device = numerics.device
        self._dtype = numerics.dtype or torch.float32
        self._format = numerics.memory_format
        layout = "" if numerics.memory_format == torch.contiguous_format else " channels_last"
        self.name = f"torch {str(self._dtype).removeprefix('torch.')}{layout}"
        self.bytes_per_value = self._dtype.itemsize
        self._network = InferenceNetwork(model)
        self._network.to_numerics(self.device, self._dtype, self._format)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """See :class:`Engine`."""
        x = pinned(x, self.device).to(self.device, self._dtype, non_blocking=True)
        out: Tensor = self._network(x.contiguous(memory_format=self._format))
        return out


def make_engine(model: PSPNet, device: torch.device, tune: bool = False, folder: Path | None = None) -> Engine:
    """As :func:`engine_steps`, at once; without ``tune``, in the format that is known to be good on such a device."""
    if not tune:
        return TorchEngine(model, numerics_for(device))
    for engine in engine_steps(model, device, folder):
        if engine is not None:
            return engine
    raise AssertionError("the steps end with an engine")


def engine_steps(model: PSPNet, device: torch.device, folder: Path | None = None) -> Iterator[Engine | None]:
    """Measure all ways to compute, or use what an earlier measurement said; the last event is the engine.

    A way to compute that fails here, or gives something else, is not taken. Yields after each pass of the network.

    Args:
        model: Is copied.
        device: Where to compute.
        folder: Of the measurements, instead of that in the user's cache.
    """
    makers = _makers(model, device)
    if len(makers) == 1:
        yield makers[0][1]()
        return
    file = _file(model, device, makers, folder)
    if (engine := _known(makers, file)) is not None:
        yield engine
        return
    best = makers[0][1]()
    seconds: dict[str, float] = {}
    for step in _fastest(best, makers, seconds):
        best = step or best
        yield None
    logger.info("fastest way to compute: %s of %s", best.name, seconds)
    _remember(file, best.name, seconds)
    yield best


def remembered_engine(model: PSPNet, device: torch.device, folder: Path | None = None) -> Engine | None:
    """The fastest way to compute that an earlier measurement found, where it is ready at once; else None.

    Not OpenVINO, which takes seconds until it is.
    """
    if not any((folder or _measurements_folder()).glob("*.json")):
        return None  # before OpenVINO is asked what it can do, which takes as long as its import
    makers = _makers(model, device)
    return _known([maker for maker in makers if maker[0].startswith("torch ")], _file(model, device, makers, folder))


def _file(model: PSPNet, device: torch.device, makers: Sequence[_Maker], folder: Path | None) -> Path:
    return (folder or _measurements_folder()) / f"{_key(model, device, [name for name, _ in makers])}.json"


def _known(makers: Sequence[_Maker], file: Path) -> Engine | None:
    known = _remembered(file)
    for maker in makers:
        engine = _working(maker, _sample(), None) if maker[0] == known else None
        if engine is not None:
            return engine
    return None


def _makers(model: PSPNet, device: torch.device) -> list[_Maker]:
    """Ways to compute; the first one is float32 of torch."""
    makers: list[_Maker] = []
    for numerics in numerics_to_try(device):
        dtype = str(numerics.dtype or torch.float32).removeprefix("torch.")
        layout = "" if numerics.memory_format == torch.contiguous_format else " channels_last"
        makers.append((f"torch {dtype}{layout}", lambda numerics=numerics: TorchEngine(model, numerics)))  # type: ignore[misc]
    if device.type == "cpu" and openvino.is_installed():
        for dtype in _openvino_dtypes():
            makers.append((f"openvino {dtype}", lambda dtype=dtype: openvino.OpenVinoEngine(model, dtype)))  # type: ignore[misc]
    return makers


def _openvino_dtypes() -> tuple[str, ...]:
    try:
        return openvino.dtypes()
    except _FAILURES as error:
        logger.warning("OpenVINO does not work here: %s", error)
        return ()


def _sample() -> Tensor:
    return torch.randn(1, 3, _SAMPLE_PX, _SAMPLE_PX, generator=torch.Generator().manual_seed(0))


def _working(maker: _Maker, x: Tensor, expected: Tensor | None) -> Engine | None:
    """An engine that computes ``x``, and what is expected where that is known; None where it does not."""
    name, make = maker
    try:
        engine = make()
        found = engine(x).float().cpu()
    except _FAILURES as error:
        logger.warning("%s does not work here: %s", name, error)
        return None
    if not bool(found.isfinite().all()) or (expected is not None and not _agree(found, expected)):
        logger.warning("%s computes something else here, and is not used", name)
        return None
    return engine


def _agree(found: Tensor, expected: Tensor) -> bool:
    """Whether logits differ by no more than rounding to half precision explains, with room for deep networks."""
    if found.shape != expected.shape:
        return False
    allowed = _MOST_OFF * expected.std() + _MOST_ROUNDED * expected.abs().mean()
    return bool((found - expected).abs().mean() <= allowed + 1e-4)


def _fastest(first: Engine, makers: Sequence[_Maker], seconds: dict[str, float]) -> Iterator[Engine | None]:
    """Fill in ``seconds``; yields None after each pass, and each engine that is worth more than those before."""
    x = _sample()
    expected = first(x).float().cpu()
    fastest = seconds[first.name] = yield from _time(first, x)
    for maker in makers[1:]:
        engine = _working(maker, x, expected)
        yield None
        if engine is None:
            continue
        seconds[maker[0]] = yield from _time(engine, x)
        if seconds[maker[0]] < _WORTH * fastest:
            fastest = seconds[maker[0]]
            yield engine
        del engine


def _time(engine: Engine, x: Tensor) -> Generator[None, None, float]:
    _pass_s(engine, x)
    yield None
    times = []
    for _ in range(_REPEATS):
        times.append(_pass_s(engine, x))
        yield None
    free_cached(engine.device)
    return statistics.median(times)


def _pass_s(engine: Engine, x: Tensor) -> float:
    start = time.perf_counter()
    engine(x)[0, 0, 0, 0].item()  # waits for the device
    return time.perf_counter() - start


def _key(model: PSPNet, device: torch.device, names: Sequence[str]) -> str:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    config = model.config.to_json() | {"num_classes": 0, "aux": []}
    try:
        version = openvino.version()
    except ImportError:  # installed without metadata
        version = ""
    parts = [config, device.type, gpu, torch.__version__, version, torch.get_num_threads(), list(names)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _measurements_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("pspnet-studio", appauthor=False) / "engines"


def _remembered(file: Path) -> str | None:
    try:
        name = json.loads(file.read_text(encoding="utf-8"))["fastest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # measured again
    return name if isinstance(name, str) else None


def _remember(file: Path, fastest: str, seconds: dict[str, float]) -> None:
    try:
        write_json(file, {"fastest": fastest, "seconds": seconds})
    except StorageError as error:
        logger.info("the measurement is not kept: %s", error)
