"""Where networks compute, and in which numeric format.

Only the owner of a thread sets thread counts; nothing else in the core changes global state of torch.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pspnet_core.errors import DeviceError
from pspnet_core.memory import available_memory

DEVICE_NAMES = "auto, cpu, cuda, cuda:N or mps"


@dataclass(frozen=True, slots=True)
class Numerics:
    """How to compute on one device.

    Attributes:
        device: Where.
        dtype: Reduced type of autocast, or None for float32 throughout.
        memory_format: Layout of images and convolution weights.
        base: Type of weights and images outside of autocast.
    """

    device: torch.device
    dtype: torch.dtype | None
    memory_format: torch.memory_format
    base: torch.dtype = torch.float32

    @property
    def is_narrow(self) -> bool:
        """Whether small gradients vanish in :attr:`dtype`, so that the loss has to be scaled up in training."""
        return self.dtype == torch.float16

    def autocast(self) -> AbstractContextManager[object]:
        """A context in which matrix products and convolutions use :attr:`dtype`."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def resolve_device(name: str = "auto") -> torch.device:
    """The device for a name: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ValueError: The name is none of ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``.
        DeviceError: The device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (":" in name and not (kind == "cuda" and number.isdecimal())):
        raise ValueError(f"device must be {DEVICE_NAMES}, found {name!r}")
    if kind == "cuda":
        return _cuda(int(number or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "There is no Apple GPU (mps) here.", "PyTorch does not see one.", "Choose the device auto or cpu."
        )
    return torch.device(kind)


def _cuda(index: int) -> torch.device:
    if not torch.cuda.is_available():
        raise DeviceError(
            "There is no usable NVIDIA GPU (cuda) here.",
            "PyTorch sees none: no GPU, no driver, or a build for the CPU only.",
            "Choose the device auto or cpu.",
        )
    count = torch.cuda.device_count()
    if index >= count:
        raise DeviceError(
            f"There is no GPU cuda:{index}.", f"GPUs here: {count}, numbered from 0.", "Choose one of them, or auto."
        )
    return torch.device("cuda", index)


def numerics_for(device: torch.device) -> Numerics:
    """The measured best format for ``device``.

    CPUs use bfloat16 where the processor has instructions for it (AVX-512 BF16: a training step then takes less than
    half the time, inference less than half; without them it is slower), else float32. CUDA uses bfloat16 where it is
    native. MPS stays at float32.
    """
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        return Numerics(device, torch.bfloat16 if native else None, torch.channels_last)
    if device.type == "cpu":
        return Numerics(device, torch.bfloat16 if _cpu_has_bfloat16() else None, torch.channels_last)
    return Numerics(device, None, torch.contiguous_format)


def training_numerics(device: torch.device, precision: str = "auto") -> Numerics:
    """The format to train in: as :func:`numerics_for`, and float16 on CUDA before bfloat16 was native.

    CUDA and MPS: written after their documentation, not measured.

    Args:
        device: Where.
        precision: ``auto``, ``float32`` or ``float64``; the latter two without autocast.

    Raises:
        ValueError: No such precision, or float64 on MPS, which lacks it.
    """
    usual = numerics_for(device)
    if precision == "auto":
        has_tensor_cores = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0)
        return replace(usual, dtype=torch.float16) if has_tensor_cores and usual.dtype is None else usual
    bases = {"float32": torch.float32} | ({} if device.type == "mps" else {"float64": torch.float64})
    if precision not in bases:
        raise ValueError(f"precision must be one of auto, {', '.join(bases)} on {device.type}, found {precision!r}")
    return replace(usual, dtype=None, base=bases[precision])


def numerics_to_try(device: torch.device) -> list[Numerics]:
    """The formats among which a measurement is to find the fastest on ``device``, the most exact first.

    CUDA and MPS: written after their documentation, not measured.
    """
    formats = [torch.contiguous_format, torch.channels_last]
    dtypes: list[torch.dtype | None] = [None]
    if device.type == "cpu":
        if _cpu_has_bfloat16():
            dtypes.append(torch.bfloat16)
    elif device.type == "cuda":
        dtypes.append(torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16)
    else:
        dtypes.append(torch.float16)
    return [Numerics(device, dtype, layout) for dtype in dtypes for layout in formats]


def pinned(x: Tensor, device: torch.device) -> Tensor:
    """``x`` in memory from which a copy to ``device`` need not be waited for; ``x`` itself where there is none."""
    return x.pin_memory() if device.type == "cuda" and x.device.type == "cpu" else x


def free_memory(device: torch.device) -> int | None:
    """Bytes that may still be allocated on ``device``; None where nobody tells."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return available_memory()


def free_cached(device: torch.device) -> None:
    """Give memory back that torch keeps on ``device`` for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _cpu_has_bfloat16() -> bool:
    get_capabilities = getattr(torch.cpu, "get_capabilities", None)  # torch >= 2.10
    return bool(get_capabilities().get("avx512_bf16", False)) if get_capabilities is not None else False


def set_threads(count: int | None) -> None:
    """Set torch's intra-operation threads. Call it in the thread that computes, before its first operation.

    Args:
        count: 1 or more; None leaves everything as it is.

    Raises:
        ValueError: Less than 1.
    """
    if count is None:
        return
    if count < 1:
        raise ValueError(f"number of threads must be at least 1, found {count}")
    torch.set_num_threads(count)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that the device or the computer has no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    signs = ("out of memory", "not enough memory", "can't allocate memory", "defaultcpuallocator", "std::bad_alloc")
    return isinstance(error, RuntimeError) and any(sign in text for sign in signs)


def out_of_memory(device: torch.device, doing: str) -> DeviceError:
    """The error to show when memory ran out while ``doing`` something, such as ``training``."""
    place = "the GPU" if device.type != "cpu" else "this computer"
    return DeviceError(
        f"The memory of {place} ran out while {doing}.",
        "Nothing that was saved is lost.",
        "Close other programs" + ("." if device.type == "cpu" else ", or choose the device cpu."),
    )
