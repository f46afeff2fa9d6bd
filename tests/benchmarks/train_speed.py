"""Images per second of our training step against the same network in a plain PyTorch loop.

    python -m tests.benchmarks.train_speed --json

Ours draws, augments and balances its crops, averages the weights and reports after every part of a step. Both plain
loops have all crops ready in memory as tensors, so that they have less to do: `plain` as one writes it (float32, the
whole batch at once, torch's AdamW, the loss of every pixel), `plain_same` with our numeric format, memory layout and
loss stride: ours looks at every `loss_stride`-th row and column only. What that saves is in `ratio`, not in
`ratio_same`. The three take turns, and medians count. Pictures are synthetic; nothing is read from the disk while time
is taken.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from pspnet_core.devices import Numerics, resolve_device, training_numerics
from pspnet_core.models import PSPNetConfig
from pspnet_core.models.pspnet import make_model
from pspnet_core.models.weights import imagenet_preprocessing
from pspnet_core.training import LabelledImage, TrainConfig, fit
from pspnet_core.training.config import Recipe
from pspnet_core.training.events import Step
from tests.helpers.tiny import CLASSES, picture

NUM_IMAGES = 8
FIRST_STEPS = 3  # are slower, in all loops


def ours(config: TrainConfig, steps: int) -> Iterator[float]:
    """Seconds of each step of :func:`fit`."""
    start = time.perf_counter()
    done = 0
    for event in fit(config):
        if isinstance(event, Step):
            yield time.perf_counter() - start
            start = time.perf_counter()
            done += 1
            if done == steps:
                return


def plain(config: TrainConfig, numerics: Numerics, steps: int, loss_stride: int = 1) -> Iterator[float]:
    """Seconds of each step of a loop as in any tutorial, with the same parts of the network frozen.

    The loss sees every ``loss_stride``-th row and column.
    """
    recipe = config.chosen_recipe
    model = make_model(config.network)
    model.loss_stride = loss_stride
    model.load_imagenet_backbone()
    model.freeze(recipe.frozen_stages)
    model.backbone.freeze_batchnorm()
    model.train().to(numerics.device, memory_format=numerics.memory_format)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=recipe.head_lr)
    preprocess = imagenet_preprocessing(config.network.backbone)
    pairs = [picture(seed, recipe.crop_px) for seed in range(recipe.batch_size)]
    images = preprocess([image for image, _ in pairs]).to(numerics.device, memory_format=numerics.memory_format)
    channel = {class_id: n for n, class_id in enumerate(CLASSES.indices)}
    target = torch.stack([torch.from_numpy(labels).long().apply_(channel.__getitem__) for _, labels in pairs])
    target = target[..., ::loss_stride, ::loss_stride].contiguous().to(numerics.device)
    for _ in range(steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        with numerics.autocast():
            outputs = list(model(images).values())
        losses = [F.cross_entropy(logits.float(), target, ignore_index=255) for logits in outputs]
        loss = losses[0] + sum(h.weight * aux for h, aux in zip(config.network.aux, losses[1:], strict=True))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        float(loss.detach())
        yield time.perf_counter() - start


def measure(config: TrainConfig, steps: int, repeats: int) -> dict[str, Any]:
    """Images per second of the three loops, and the ratios."""
    device, stride = resolve_device(config.device), config.chosen_recipe.loss_stride
    same = training_numerics(device)
    simple = Numerics(device, None, torch.contiguous_format)
    times: dict[str, list[float]] = {"ours": [], "plain": [], "plain_same": []}
    for _ in range(repeats):
        times["ours"] += list(ours(config, steps))[FIRST_STEPS:]
        times["plain"] += list(plain(config, simple, steps))[FIRST_STEPS:]
        times["plain_same"] += list(plain(config, same, steps, stride))[FIRST_STEPS:]
    speed = {name: config.chosen_recipe.batch_size / statistics.median(seconds) for name, seconds in times.items()}
    return {
        "images_per_s": round(speed["ours"], 3),
        "images_per_s_plain": round(speed["plain"], 3),
        "images_per_s_plain_same": round(speed["plain_same"], 3),
        "ratio": round(speed["ours"] / speed["plain"], 3),
        "ratio_same": round(speed["ours"] / speed["plain_same"], 3),
        "loss_stride": stride,
        "format": str(same.dtype or torch.float32).removeprefix("torch."),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    pictures = [picture(seed, 2 * options.crop) for seed in range(NUM_IMAGES)]
    config = TrainConfig(
        train=[LabelledImage(f"p{n}", lambda pair=pair: pair) for n, pair in enumerate(pictures)],
        classes=CLASSES,
        model=PSPNetConfig.preset("studio-fast", len(CLASSES), options.backbone),
        steps=options.steps,
        device=options.device,
        recipe=Recipe(batch_size=options.batch, crop_px=options.crop),
    )
    result = measure(config, options.steps, options.repeats) | {
        "backbone": options.backbone,
        "batch": options.batch,
        "crop_px": options.crop,
        "threads": torch.get_num_threads(),
        "load1": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
