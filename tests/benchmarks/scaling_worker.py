"""One process of :mod:`tests.benchmarks.scaling`, started by torchrun: trains, and the first tells what it saw."""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.helpers.tiny import CLASSES, picture

if TYPE_CHECKING:
    from pspnet_core.training import TrainConfig

NUM_IMAGES = 8


def sparse(seed: int):
    """A picture with strokes: of one image a few pixels, of another nearly all."""
    image, class_map = picture(seed, 320)
    rng = np.random.default_rng(seed)
    keep = rng.random(class_map.shape) < 0.9 ** (seed * 6)
    class_map[~keep] = 255
    return image, class_map


def train_config(options: argparse.Namespace) -> TrainConfig:
    """What all processes train."""
    from pspnet_core.models import PSPNetConfig
    from pspnet_core.training import LabelledImage, TrainConfig
    from pspnet_core.training.config import Recipe
    from tests.helpers.networks import small

    network = PSPNetConfig.studio_fast(len(CLASSES))
    network = small(network) if options.small else network
    recipe = Recipe(
        batch_size=options.batch, crop_px=options.crop, warmup_steps=5, frozen_stages=4 if options.small else 1
    )
    return TrainConfig(
        train=[LabelledImage(f"p{seed}", partial(sparse, seed)) for seed in range(NUM_IMAGES)],
        classes=CLASSES,
        model=replace(network, dropout=0.0) if options.exact else network,
        steps=options.steps,
        device="cpu",
        num_threads=1,
        precision="float64" if options.exact else "auto",
        recipe=recipe,
        state_file=options.out.with_suffix(".state") if options.kill_at else None,
        state_period_s=0.0,
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4, help="crops of all processes together")
    parser.add_argument("--exact", action="store_true", help="float64, no dropout")
    parser.add_argument("--small", action="store_true", help="only a narrow head learns")
    parser.add_argument("--pin", action="store_true", help="a core of its own")
    parser.add_argument("--kill-at", type=int, help="let the last process die in this step, the first time")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    rank = int(os.environ["RANK"])
    if options.pin and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    from pspnet_core.training import fit
    from pspnet_core.training.distributed import is_restarted, joined
    from pspnet_core.training.events import Resumed, Step

    losses, step_s, resumed, start = {}, [], None, time.perf_counter()
    with joined() as group:
        for event in fit(train_config(options), group):
            if isinstance(event, Resumed):
                resumed = event.step
            if not isinstance(event, Step):
                continue
            losses[event.step] = event.loss
            step_s.append(time.perf_counter() - start)
            start = time.perf_counter()
            if event.step == options.kill_at and rank == group.size - 1 and not is_restarted():
                os.kill(os.getpid(), signal.SIGKILL)
        if group.is_first:
            options.out.write_text(json.dumps({"losses": losses, "step_s": step_s, "resumed": resumed}))


if __name__ == "__main__":
    main()
