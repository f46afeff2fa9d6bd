"""The network while it learns: optimiser, gradient accumulation, moving average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pspnet_core.devices import Numerics, pinned
from pspnet_core.errors import TrainingError
from pspnet_core.models.checkpoint import Checkpoint, Preprocessing
from pspnet_core.models.class_change import change_classes
from pspnet_core.models.layers import require_gradients
from pspnet_core.models.pspnet import PSPNet, make_model
from pspnet_core.models.weights import imagenet_preprocessing
from pspnet_core.training.config import Recipe, TrainConfig
from pspnet_core.training.distributed import ALONE, Group
from pspnet_core.training.loss_scale import LossScale
from pspnet_core.training.losses import class_weights, summed_cross_entropy, total_weight
from pspnet_core.training.optimizer import AdamW, ParameterGroup
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

_R = TypeVar("_R")

_CPU_PX = 2 * 256 * 256  # pixels that go through a light network together: 25 % faster than half as many


class DivergedError(TrainingError):
    """The loss or the gradient of a step is not a number; nothing of that step was applied."""


class Learner:
    """A network, its optimiser and the moving average of its weights, which is what is used in the end.

    Args:
        config: Of the run.
        numerics: Where and how to compute.
        counts: Class id -> labelled pixels of the training images.
        group: The processes that share each batch.
        networks: Two equal initial networks, to be used up; made when not given.

    Attributes:
        micro_batch: Crops that are computed at once; gradients are added up over a batch.
        lr_scale: Factor of all learning rates.
        num_steps: Steps done.
        loss: Of the main output in the last step, over the batches of all processes.

    Raises:
        CheckpointError: The ImageNet weights are missing.
        TrainingError: The initial checkpoint has another shape.
    """

    def __init__(
        self,
        config: TrainConfig,
        numerics: Numerics,
        counts: Mapping[int, int],
        group: Group = ALONE,
        networks: tuple[PSPNet, PSPNet] | None = None,
    ) -> None:
        self._config, self._recipe, self._numerics = config, config.chosen_recipe, numerics
        self._group = group
        self._preprocessing = _preprocessing(config)
        model, averaged = (network.to(numerics.base) for network in networks or _at_once(_initial_networks(config)))
        self._averaged = averaged.eval().requires_grad_(False).to(numerics.device)
        _freeze(model, config)
        model.loss_stride = self._recipe.loss_stride
        self._model = model.train().to(numerics.device)
        self._model.to(memory_format=numerics.memory_format)
        self._network = group.parallel(self._model)
        self._optimizer = AdamW(_groups(self._model, self._recipe))
        self._scale = LossScale(numerics.is_narrow)
        self._channel_of = np.full(256, UNLABELLED, np.int64)
        self._channel_of[list(config.classes.indices)] = np.arange(len(config.classes))
        self.weigh(counts)
        self.micro_batch = _micro_batch(config, numerics)
        self.lr_scale = 1.0
        self.num_steps = 0
        self.loss = math.nan

    @classmethod
    def in_pieces(
        cls, config: TrainConfig, numerics: Numerics, counts: Mapping[int, int], group: Group = ALONE
    ) -> Generator[None, None, Learner]:
        """The same, made with yields between."""
        networks = yield from _initial_networks(config)
        yield
        return cls(config, numerics, counts, group, networks)

    def weigh(self, counts: Mapping[int, int]) -> None:
        """Balance the classes by their labelled pixels in the training images, by class id."""
        amounts = [counts.get(index, 0) for index in self._config.classes.indices]
        self._weights = class_weights(amounts, self._recipe.balance_power)

    def step(self, crops: Sequence[tuple[RgbImage, ClassMap]], lr_factor: float) -> Iterator[None]:
        """One step of the optimiser on crops of equal size; afterwards :attr:`loss` is its loss.

        Each :attr:`micro_batch` crops go through the network together, and the generator yields before
        and after each backward pass. The gradient is that of the batches of all processes together, every labelled
        pixel counting the same, unless batch norms learn: crops are then normalised by what goes through together.

        Args:
            crops: Of this process.
            lr_factor: Of the peak learning rates.

        Raises:
            DivergedError: The loss or the gradient is not a number.
        """
        every = self._recipe.loss_stride
        targets = [torch.from_numpy(self._channel_of[labels[::every, ::every]]) for _, labels in crops]
        (total,) = self._group.sum([sum(total_weight(t, self._weights) for t in targets)])
        assert total > 0, "the caller draws crops with labelled pixels"
        self.forget_gradients()
        batch_loss = 0.0
        for start in range(0, len(crops), self.micro_batch):
            stop = min(start + self.micro_batch, len(crops))
            with nullcontext() if stop == len(crops) else self._group.apart(self._network):
                images, target = [image for image, _ in crops[start:stop]], torch.stack(targets[start:stop])
                main, loss = self._forward(images, target, total, start)
                yield
                loss.backward()  # type: ignore[no-untyped-call]
            batch_loss += float(main)
            del main, loss
            yield
        self._update(self._group.sum([batch_loss])[0], lr_factor * self.lr_scale)

    def forget_gradients(self) -> None:
        """Free the gradients of a step, whole or not."""
        self._optimizer.zero_grad()

    def checkpoint(self, metrics: dict[str, Any]) -> Checkpoint:
        """The averaged network as it is now, a copy, in float32 on the CPU in evaluation mode."""
        model = copy.deepcopy(self._averaged).to("cpu", torch.float32)
        return Checkpoint(model, self._config.classes, self._preprocessing, metrics, dict(self._config.origin))

    def view(self) -> Checkpoint:
        """The averaged network itself, to be evaluated before the next step."""
        model = self._averaged if self._numerics.base == torch.float32 else copy.deepcopy(self._averaged).float()
        return Checkpoint(model, self._config.classes, self._preprocessing)

    def tensors(self) -> dict[str, Tensor]:
        """All that changes from step to step, by name: no copies."""
        pairs = zip(self._model.named_parameters(), self._averaged.parameters(), strict=True)
        learned = [(name, mine, averaged) for (name, mine), averaged in pairs if mine.requires_grad]
        buffers = zip(self._model.named_buffers(), self._averaged.buffers(), strict=True)
        found = {f"weight.{name}": mine.detach() for name, mine, _ in learned}
        found |= {f"average.{name}": averaged for name, _, averaged in learned}
        for (name, mine), averaged in buffers:
            found |= {f"buffer.{name}": mine, f"averaged_buffer.{name}": averaged}
        return found | {f"optimizer.{number}": tensor for number, tensor in enumerate(self._optimizer.averages)}

    def counters(self) -> dict[str, Any]:
        """What else changes, as plain JSON values."""
        return {
            "num_steps": self.num_steps,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "optimizer_steps": self._optimizer.num_steps,
            "lr_scale": self.lr_scale,
            "micro_batch": self.micro_batch,
            "loss_scale": [self._scale.value, self._scale.good_steps],
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        """Go back, or on, to what :meth:`tensors` and :meth:`counters` told.

        Raises:
            ValueError: They are of another network.
            KeyError, TypeError: They are damaged.
        """
        mine = self.tensors()
        if {name: tensor.shape for name, tensor in mine.items()} != {name: t.shape for name, t in tensors.items()}:
            raise ValueError("the tensors are those of another network")
        self.recount(counters)
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])

    def recount(self, counters: Mapping[str, Any]) -> None:
        """The part of :meth:`restore` that is no tensors. Raises: KeyError, TypeError, ValueError."""
        value, good_steps = counters["loss_scale"]
        loss = counters["loss"]
        numbers = [int(counters[name]) for name in ("num_steps", "optimizer_steps", "micro_batch")]
        self.lr_scale, self.loss = float(counters["lr_scale"]), math.nan if loss is None else float(loss)
        self.num_steps, self._optimizer.num_steps, self.micro_batch = numbers
        self._scale.value, self._scale.good_steps = float(value), int(good_steps)

    # No yield may happen inside: autocast and the random state belong to the thread.
    def _forward(self, images: list[RgbImage], target: Tensor, total: float, position: int) -> tuple[Tensor, Tensor]:
        numerics, group = self._numerics, self._group
        device = numerics.device
        x = pinned(self._preprocessing(images), device).to(device, numerics.base, non_blocking=True)
        x = x.contiguous(memory_format=numerics.memory_format)
        target = pinned(target, device).to(device, non_blocking=True)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), numerics.autocast():
            number = self.num_steps * self._recipe.batch_size + group.rank + position * group.size
            torch.manual_seed(self._config.seed * 1_000_003 + number)  # dropout
            outputs = list(self._network(x).values())  # of the network, then of its auxiliary heads
        weights = self._weights.to(device)
        main, *aux = (summed_cross_entropy(logits, target, weights) / total for logits in outputs)
        loss = main
        for head, extra in zip(self._model.config.aux, aux, strict=True):
            loss = loss + head.weight * extra
        return main.detach(), loss * (self._scale.value * group.size)  # what processes have is averaged, not added

    def _update(self, loss: float, lr_factor: float) -> None:
        parameters = [p for p in self._model.parameters() if p.grad is not None]
        self._scale.undo(parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._recipe.clip_norm))
        if math.isfinite(loss) and not math.isfinite(norm) and self._scale.may_shrink:
            self._scale.shrink()  # this step is lost
        elif not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(
                f"Training broke down in step {self.num_steps + 1}: the loss is not a number.",
                f"Loss {loss}, gradient norm {norm}.",
                "Start again with another seed; if it happens again, please report it.",
            )
        else:
            self._scale.stay()
            self._optimizer.step(lr_factor)
            self._average()
        self.num_steps += 1
        self.loss = loss

    @torch.no_grad()
    def _average(self) -> None:
        share = 1.0 / (1.0 + self._recipe.ema_share * (self.num_steps + 1))
        for averaged, parameter in zip(self._averaged.parameters(), self._model.parameters(), strict=True):
            if parameter.requires_grad:
                averaged.lerp_(parameter, share)
        for mine, buffer in zip(self._averaged.buffers(), self._model.buffers(), strict=True):
            mine.copy_(buffer)  # statistics of batch norms, where they learn


def _micro_batch(config: TrainConfig, numerics: Numerics) -> int:
    """Crops at once: on a CPU as many as take about a tenth of a second each way, or one; else the whole batch.

    It follows from the configuration alone, not from a measurement: sums of other parts are rounded otherwise.
    """
    recipe = config.chosen_recipe
    if numerics.device.type != "cpu":
        return recipe.batch_size
    is_light = not config.network.backbone.startswith("resnet")
    return max(1, min(recipe.batch_size, _CPU_PX // recipe.crop_px**2)) if is_light else 1


def _at_once(pieces: Generator[None, None, _R]) -> _R:
    while True:
        try:
            next(pieces)
        except StopIteration as stop:
            value: _R = stop.value
            return value


def _initial_networks(config: TrainConfig) -> Generator[None, None, tuple[PSPNet, PSPNet]]:
    model = yield from _initial_model(config)
    yield
    return model, copy.deepcopy(model)


def _initial_model(config: TrainConfig) -> Generator[None, None, PSPNet]:
    if isinstance(config.init, Checkpoint):
        return _taken_over(config.init, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = make_model(config.network)
    yield
    if config.init == "imagenet":
        model.load_imagenet_backbone(config.weights)
    return model


def _preprocessing(config: TrainConfig) -> Preprocessing:
    """As the weights to start with were trained."""
    if isinstance(config.init, Checkpoint):
        return config.init.preprocessing
    return imagenet_preprocessing(config.network.backbone)


def _taken_over(init: Checkpoint, config: TrainConfig) -> PSPNet:
    """A copy of the initial network; rows of its classifiers go over by the names of the classes."""
    if config.network != replace(init.config, num_classes=len(config.classes)):
        raise TrainingError(
            "The initial checkpoint has another shape than the network to train.",
            f"Expected {config.network}, found {init.config}.",
            "Start from ImageNet, or from a checkpoint of the same shape.",
        )
    changed, _ = change_classes(init, config.classes, config.seed)
    require_gradients(changed.model)
    return changed.model


def _freeze(model: PSPNet, config: TrainConfig) -> None:
    """Keep what is pretrained and what a few small batches would spoil: early stages, statistics of batch norms."""
    model.freeze(config.chosen_recipe.frozen_stages if config.init != "none" else 0)
    if isinstance(config.init, Checkpoint):
        model.freeze_batchnorm(config.init.origin.get("import", {}).get("new", ()))  # of a backbone: the heads
    elif config.init == "imagenet":
        model.backbone.freeze_batchnorm()


def _groups(model: PSPNet, recipe: Recipe) -> list[ParameterGroup]:
    heads = {id(p) for p in model.head_parameters()}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            lr = recipe.head_lr if id(parameter) in heads else recipe.backbone_lr
            # An upsampling that decays would scale the logits down: its kernel sums to 1 by construction.
            decay = recipe.weight_decay if parameter.ndim > 1 and name != "upsampler.weight" else 0.0
            groups.setdefault((lr, decay), []).append(parameter)
    return [ParameterGroup(parameters, lr, decay) for (lr, decay), parameters in groups.items()]
