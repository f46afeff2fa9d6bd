"""Several processes that train one network together, each on its part of every batch.

Legend: rank, number of a process, from 0; size, how many there are.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pspnet_core.errors import DeviceError

_T = TypeVar("_T")
_RESTARTS = "TORCHELASTIC_RESTART_COUNT"


class Group:
    """The processes of a run. This one is alone; all that needs others costs nothing."""

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this process reports and writes for all."""
        return self.rank == 0

    def part(self, values: Sequence[_T]) -> list[_T]:
        """Those of ``values`` that are this process's work."""
        return list(values[self.rank :: self.size])

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the processes, in float64."""
        return list(values)

    def first_says(self, *values: float) -> tuple[float, ...]:
        """The values of the first process, for what depends on its clock."""
        return values

    def share(self, tensor: Tensor) -> None:
        """Overwrite ``tensor`` with that of the first process."""

    def share_json(self, value: Any) -> Any:
        """The plain JSON value of the first process."""
        return value

    def parallel(self, model: nn.Module) -> nn.Module:
        """``model``, whose gradients are averaged over the processes in backward passes."""
        return model

    def apart(self, model: nn.Module) -> AbstractContextManager[object]:
        """In this context gradients of :meth:`parallel` models are added up in this process only."""
        return nullcontext()


ALONE = Group()


class Processes(Group):
    """The processes of ``torch.distributed``, whose default group was made before."""

    def __init__(self) -> None:
        import torch.distributed as dist

        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the processes, in float64."""
        import torch.distributed as dist

        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def first_says(self, *values: float) -> tuple[float, ...]:
        """The values of the first process."""
        told = torch.tensor(values, dtype=torch.float64)
        self.share(told)
        return tuple(float(value) for value in told)

    def share(self, tensor: Tensor) -> None:
        """Overwrite ``tensor`` with that of the first process."""
        import torch.distributed as dist

        with torch.no_grad():
            data = tensor.detach().contiguous()
            dist.broadcast(data, 0)
            if data.data_ptr() != tensor.data_ptr():
                tensor.copy_(data)

    def share_json(self, value: Any) -> Any:
        """The plain JSON value of the first process."""
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        (size,) = self.first_says(len(data))
        if not self.is_first:
            data = torch.empty(int(size), dtype=torch.uint8)
        self.share(data)
        return json.loads(bytes(data.tolist()))

    def parallel(self, model: nn.Module) -> nn.Module:
        """``model`` in ``DistributedDataParallel``; buffers stay those of each process."""
        parallel = nn.parallel.DistributedDataParallel
        is_new = "forward_sync_buffers" in inspect.signature(parallel).parameters  # the old name warns
        return parallel(model, forward_sync_buffers=False) if is_new else parallel(model, broadcast_buffers=False)

    def apart(self, model: nn.Module) -> AbstractContextManager[object]:
        """No exchange of gradients in this context."""
        assert isinstance(model, nn.parallel.DistributedDataParallel)
        context: AbstractContextManager[object] = model.no_sync()
        return context


def is_one_of_many(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether ``torchrun`` or something like it started this process as one of several."""
    return int(environment.get("WORLD_SIZE", "1")) > 1 and "RANK" in environment


def is_restarted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether ``torchrun`` started the processes again because one of them had ended."""
    return int(environment.get(_RESTARTS, "0")) > 0


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process reports for all: also before :func:`joined`, and without other processes."""
    return not is_one_of_many(environment) or environment["RANK"] == "0"


def own_device(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The device of this process when ``name`` was asked for: each takes a GPU of its own.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        environment: Of the process.

    Raises:
        DeviceError: All processes were sent to one GPU, or to one that several cannot share.
    """
    if not is_one_of_many(environment):
        return name
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{environment.get('LOCAL_RANK', '0')}"
    if name == "auto":
        return "cpu"
    if name not in ("cpu", "cuda"):
        raise DeviceError(
            f"Several processes cannot share the device {name}.",
            "Each needs a GPU of its own, or they compute on the CPU.",
            "Choose the device auto, cuda or cpu.",
        )
    return name


@contextmanager
def joined() -> Iterator[Group]:
    """The group of all processes that ``torchrun`` started: gloo for the CPU, NCCL between GPUs (not measured).

    Raises:
        DeviceError: The others could not be reached, or this build of PyTorch cannot do it.
    """
    if not is_one_of_many():
        yield ALONE
        return
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        store, rank, size = next(rendezvous("env://"))
        # Of each attempt its own: what killed processes told about themselves must not be asked again.
        store = PrefixStore(f"attempt_{os.environ.get(_RESTARTS, '0')}", store)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise DeviceError(
            "The other processes could not be reached.",
            str(error),
            "Start all of them with torchrun, and check that they can reach its address.",
        ) from error
    try:
        yield Processes()
    finally:
        dist.destroy_process_group()
