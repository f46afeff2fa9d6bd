"""What a training run is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pspnet_core.classes import ClassSet
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.models.config import PSPNetConfig
from pspnet_core.training.data import CACHE_BYTES, LabelledImage

Mode = Literal["quick", "full"]
MODES: tuple[Mode, ...] = ("quick", "full")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to learn. The defaults are for minutes on a CPU with tens of images.

    Attributes:
        batch_size: Crops per step.
        crop_px: Side of a crop, a multiple of 32; smaller where all images are.
        scale_octaves: Crops are scaled by 2^u, u uniform in plus or minus this.
        rotation_deg: Crops are rotated by up to plus or minus this.
        frozen_stages: Of the backbone's four stages, how many stay as they are (with the stem) when it is pretrained.
        loss_stride: The loss sees every so many-th row and column of a crop: neighbours say the same, and with many
            classes most of a step would go into them.
        backbone_lr: Peak learning rate of the backbone.
        head_lr: Peak learning rate of everything else.
        weight_decay: Of weights; biases and norms have none.
        warmup_steps: Steps of linear warm-up.
        poly_power: The learning rate falls as (1 - progress)^power.
        balance_power: Classes weigh in the loss by (share of the labelled pixels)^-this; 0 = every pixel the same.
        accepted_weight: Of a pixel whose class was accepted from a model, against one that was painted: 0 to 1.
        clip_norm: Largest norm of a step's gradient.
        ema_share: Window of the moving average of the weights, as a share of the steps so far.
    """

    batch_size: int = 2
    crop_px: int = 256
    scale_octaves: float = 1.0
    rotation_deg: float = 10.0
    frozen_stages: int = 2
    loss_stride: int = 2
    backbone_lr: float = 2e-4
    head_lr: float = 2e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 20
    poly_power: float = 0.9
    balance_power: float = 0.5
    accepted_weight: float = 0.5
    clip_norm: float = 5.0
    ema_share: float = 0.05

    @classmethod
    def quick(cls) -> Recipe:
        """For about a minute, from a version that exists."""
        return cls()

    @classmethod
    def full(cls) -> Recipe:
        """For as long as it gets better."""
        return cls()


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run.

    Attributes:
        train: Images to learn from.
        holdout: Images to measure on, never learnt from; may be empty.
        classes: Channel i of the network stands for the i-th class.
        model: Shape of the network; ``studio_fast`` when not given.
        init: ``imagenet`` backbone, ``none`` (random), or a checkpoint of the same shape, whose classifier rows are
            taken over for classes of equal name, whatever their ids.
        weights: File with the ImageNet weights of the backbone; None = what is on this computer.
        seconds: Wall time for everything, from the first to the last event. Either this or ``steps``.
        steps: Number of steps; the result then depends on nothing but data, recipe and seed.
        mode: ``quick`` uses the time it is given; ``full`` ends before that once it does not get better any more.
        seed: Of weights, crops and dropout.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto``, what is fastest on the device, ``float32`` or ``float64``.
        num_threads: Torch threads of the calling thread; None leaves them as they are.
        cache_bytes: Memory for decoded images.
        recipe: How to learn; that of the mode when not given.
        state_file: Where the state is kept while it runs, so that a run of the same configuration on the same data goes
            on from there after a restart; nowhere when not given.
        state_period_s: Between two of them, or more where writing takes long; 0 keeps it after each step.
        origin: Kept in the checkpoint, plain JSON values.

    Raises:
        ValueError: Neither or both of seconds and steps, an unknown mode, no classes, or classes that do not fit the
            model.
    """

    train: Sequence[LabelledImage]
    classes: ClassSet
    holdout: Sequence[LabelledImage] = ()
    model: PSPNetConfig | None = None
    init: Literal["imagenet", "none"] | Checkpoint = "imagenet"
    weights: Path | None = None
    seconds: float | None = None
    steps: int | None = None
    mode: Mode = "full"
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "float64"] = "auto"
    num_threads: int | None = None
    cache_bytes: int = CACHE_BYTES
    recipe: Recipe | None = None
    state_file: Path | None = None
    state_period_s: float = 20.0
    origin: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.steps is None):
            raise ValueError("give either seconds or steps")
        if (self.seconds is not None and self.seconds <= 0) or (self.steps is not None and self.steps < 1):
            raise ValueError(f"the length must be positive, found seconds={self.seconds}, steps={self.steps}")
        if not len(self.classes):
            raise ValueError("there must be at least one class")
        if self.model is not None and self.model.num_classes != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes for a network with {self.model.num_classes} channels")
        if isinstance(self.init, str) and self.init not in ("imagenet", "none"):
            raise ValueError(f"init must be imagenet, none or a checkpoint, found {self.init!r}")
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, found {self.mode!r}")

    @property
    def chosen_recipe(self) -> Recipe:
        """:attr:`recipe`, or that of the mode."""
        if self.recipe is not None:
            return self.recipe
        return Recipe.quick() if self.mode == "quick" else Recipe.full()

    @property
    def network(self) -> PSPNetConfig:
        """The shape of the network: :attr:`model`, that of the initial checkpoint, or the default."""
        if self.model is not None:
            return self.model
        if isinstance(self.init, Checkpoint):
            data = self.init.config.to_json() | {"num_classes": len(self.classes)}
            return PSPNetConfig.from_json(data)
        return PSPNetConfig.studio_fast(len(self.classes))


def network_for(backbone: str, num_classes: int, preset: str = "studio-fast") -> PSPNetConfig:
    """The network that training starts with: a preset on another backbone.

    Raises:
        ValueError: There is no such preset or backbone, or the number of classes is impossible.
    """
    return PSPNetConfig.preset(preset, num_classes, backbone)
