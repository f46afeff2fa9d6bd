"""The network while it learns: optimiser, gradient accumulation, moving average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pspnet_core.devices import Numerics
from pspnet_core.errors import TrainingError
from pspnet_core.models.checkpoint import Checkpoint, Preprocessing
from pspnet_core.models.class_change import change_classes
from pspnet_core.models.layers import require_gradients
from pspnet_core.models.pspnet import PSPNet, make_model
from pspnet_core.models.weights import imagenet_preprocessing
from pspnet_core.training.config import Recipe, TrainConfig
from pspnet_core.training.losses import class_weights, summed_cross_entropy, total_weight
from pspnet_core.training.optimizer import AdamW, ParameterGroup
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage


class Learner:
    """A network, its optimiser and the moving average of its weights, which is what is used in the end.

    Args:
        config: Of the run.
        numerics: Where and how to compute.
        counts: Class id -> labelled pixels of the training images.

    Raises:
        CheckpointError: The ImageNet weights are missing.
        TrainingError: The initial checkpoint has another shape.
    """

    def __init__(self, config: TrainConfig, numerics: Numerics, counts: Mapping[int, int]) -> None:
        self._config, self._recipe, self._numerics = config, config.chosen_recipe, numerics
        self._preprocessing = _preprocessing(config)
        model = _initial_model(config)
        self._averaged = copy.deepcopy(model).eval().requires_grad_(False).to(numerics.device)
        _freeze(model, config)
        self._model = model.train().to(numerics.device)
        self._model.to(memory_format=numerics.memory_format)
        self._optimizer = AdamW(_groups(self._model, self._recipe))
        self._channel_of = np.full(256, UNLABELLED, np.int64)
        self._channel_of[list(config.classes.indices)] = np.arange(len(config.classes))
        self.weigh(counts)
        self.num_steps = 0
        self.loss = math.nan

    def weigh(self, counts: Mapping[int, int]) -> None:
        """Balance the classes by their labelled pixels in the training images, by class id."""
        amounts = [counts.get(index, 0) for index in self._config.classes.indices]
        self._weights = class_weights(amounts, self._recipe.balance_power)

    def step(self, crops: Sequence[tuple[RgbImage, ClassMap]], lr_factor: float) -> Iterator[None]:
        """One step of the optimiser on crops of equal size; afterwards :attr:`loss` is its loss.

        On a CPU each crop is a micro-batch of its own, and the generator yields before and after each backward pass.
        The gradient is that of the whole batch, every labelled pixel counting the same, unless batch norms learn: each
        crop is then normalised by its own statistics on a CPU, and by those of the batch elsewhere.

        Raises:
            TrainingError: The loss is not a number.
        """
        targets = [torch.from_numpy(self._channel_of[labels]) for _, labels in crops]
        total = sum(total_weight(t, self._weights) for t in targets)
        assert total > 0, "the caller draws crops with labelled pixels"
        self._optimizer.zero_grad()
        size = 1 if self._numerics.device.type == "cpu" else len(crops)
        batch_loss = 0.0
        for start in range(0, len(crops), size):
            chosen = range(start, min(start + size, len(crops)))
            main, loss = self._forward([crops[i][0] for i in chosen], torch.stack([targets[i] for i in chosen]), total)
            yield
            loss.backward()  # type: ignore[no-untyped-call]
            batch_loss += float(main)
            del main, loss
            yield
        self._update(batch_loss, lr_factor)

    def checkpoint(self, metrics: dict[str, Any]) -> Checkpoint:
        """The averaged network as it is now, a copy, on the CPU in evaluation mode."""
        model = copy.deepcopy(self._averaged).to("cpu")
        return Checkpoint(model, self._config.classes, self._preprocessing, metrics, dict(self._config.origin))

    def view(self) -> Checkpoint:
        """The averaged network itself, to be evaluated before the next step."""
        return Checkpoint(self._averaged, self._config.classes, self._preprocessing)

    # No yield may happen inside: autocast and the random state belong to the thread.
    def _forward(self, images: list[RgbImage], target: Tensor, total: float) -> tuple[Tensor, Tensor]:
        device = self._numerics.device
        x = self._preprocessing(images).to(device).contiguous(memory_format=self._numerics.memory_format)
        target = target.to(device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), self._numerics.autocast():
            torch.manual_seed(self._config.seed * 1_000_003 + self.num_steps)  # dropout
            outputs = list(self._model(x).values())  # at input size: of the network, then of its auxiliary heads
        weights = self._weights.to(device)
        main, *aux = (summed_cross_entropy(logits, target, weights) / total for logits in outputs)
        loss = main
        for head, extra in zip(self._model.config.aux, aux, strict=True):
            loss = loss + head.weight * extra
        return main.detach(), loss

    def _update(self, loss: float, lr_factor: float) -> None:
        parameters = [p for p in self._model.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._recipe.clip_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"Training broke down in step {self.num_steps + 1}: the loss is not a number.",
                f"Loss {loss}, gradient norm {norm}.",
                "Start again with another seed; if it happens again, please report it.",
            )
        self._optimizer.step(lr_factor)
        self.num_steps += 1
        self.loss = loss
        self._average()

    @torch.no_grad()
    def _average(self) -> None:
        share = 1.0 / (1.0 + self._recipe.ema_share * self.num_steps)
        for averaged, parameter in zip(self._averaged.parameters(), self._model.parameters(), strict=True):
            if parameter.requires_grad:
                averaged.lerp_(parameter, share)
        for mine, buffer in zip(self._averaged.buffers(), self._model.buffers(), strict=True):
            mine.copy_(buffer)  # statistics of batch norms, where they learn


def _initial_model(config: TrainConfig) -> PSPNet:
    if isinstance(config.init, Checkpoint):
        return _taken_over(config.init, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = make_model(config.network)
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
