"""The plain peer: our network in a PyTorch loop of a page, as a first try would have it. Pinned; do not tune.

EfficientNet-Lite0 from ImageNet with batch norms in evaluation mode, our head; cross-entropy of labelled pixels, and
0.4 of that of the auxiliary head; AdamW, 2e-4 for the backbone and 2e-3 for the rest, weight decay 1e-2; 20 steps of
warm-up, then (1 - progress)^0.9; batches of 4 crops of 256 pixels from anywhere, scaled by 2^U(-1, 1), mirrored, with
other brightness and contrast; gradients clipped at 5; channels last.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from pspnet_core.classes import ClassSet
from pspnet_core.models import PSPNet, PSPNetConfig
from pspnet_core.models.weights import imagenet_preprocessing
from pspnet_core.types import ClassMap, RgbImage

_BATCH, _CROP_PX, _WARMUP = 4, 256, 20


class PlainRecipe:
    """Learns from images with full masks for some time or some steps.

    Args:
        classes: Channel i stands for the i-th of them.
        seed: Of weights and crops.
    """

    def __init__(self, classes: ClassSet, seed: int) -> None:
        torch.manual_seed(seed)
        self._rng = np.random.default_rng(seed)
        self._ids = np.array(classes.indices, np.uint8)
        self._channels = np.full(256, 255, np.int64)
        self._channels[list(classes.indices)] = np.arange(len(classes))
        config = PSPNetConfig.studio_fast(len(classes))
        self._model = PSPNet(config)
        self._model.load_imagenet_backbone()
        self._model.to(memory_format=torch.channels_last)
        self._prepare = imagenet_preprocessing(config.backbone)
        self.num_steps = 0

    def fit(self, pairs: Sequence[tuple[RgbImage, ClassMap]], seconds: float | None, steps: int | None) -> None:
        """Train; either ``seconds`` of wall time from now, or ``steps``."""
        start = time.monotonic()
        model = self._model.train()
        model.backbone.eval()
        heads = list(model.head_parameters())
        groups = [
            {"params": list(model.backbone.parameters()), "lr": 2e-4},
            {"params": heads, "lr": 2e-3},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=1e-2)
        peaks = [group["lr"] for group in optimizer.param_groups]
        while True:
            progress = self.num_steps / steps if steps else (time.monotonic() - start) / (seconds or 1.0)
            if progress >= 1:
                break
            factor = min(1.0, (self.num_steps + 1) / _WARMUP) * (1 - progress) ** 0.9
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            crops = [self._crop(*pairs[self._rng.integers(len(pairs))]) for _ in range(_BATCH)]
            x = self._prepare([image for image, _ in crops]).contiguous(memory_format=torch.channels_last)
            target = torch.from_numpy(np.stack([self._channels[labels] for _, labels in crops]))
            if not bool((target != 255).any()):
                continue
            main, *aux = (F.cross_entropy(logits, target, ignore_index=255) for logits in model(x).values())
            optimizer.zero_grad()
            (main + 0.4 * sum(aux)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            self.num_steps += 1

    @torch.inference_mode()
    def predict(self, image: RgbImage) -> ClassMap:
        """(H, W) uint8 class ids; the whole image at once."""
        channels: Any = self._model.eval()(self._prepare([image]))["out"][0].argmax(dim=0).numpy()
        result: ClassMap = self._ids[channels]
        return result

    def _crop(self, image: RgbImage, labels: ClassMap) -> tuple[RgbImage, ClassMap]:
        rng, (height, width) = self._rng, labels.shape
        side = round(_CROP_PX / 2.0 ** rng.uniform(-1, 1))
        y, x = (int(rng.integers(0, max(1, length - side + 1))) for length in (height, width))
        part, truth = image[y : y + side, x : x + side], labels[y : y + side, x : x + side]
        low, right = side - part.shape[0], side - part.shape[1]
        part = cv2.copyMakeBorder(part, 0, low, 0, right, cv2.BORDER_CONSTANT, value=(127, 127, 127))
        truth = cv2.copyMakeBorder(truth, 0, low, 0, right, cv2.BORDER_CONSTANT, value=255)
        part = cv2.resize(part, (_CROP_PX, _CROP_PX), interpolation=cv2.INTER_LINEAR)
        truth = cv2.resize(truth, (_CROP_PX, _CROP_PX), interpolation=cv2.INTER_NEAREST)
        if rng.random() < 0.5:
            part, truth = part[:, ::-1], truth[:, ::-1]
        light = (part.astype(np.float32) - 127) * rng.uniform(0.75, 1.3) + 127 + rng.uniform(-25, 25)
        return np.clip(light, 0, 255).astype(np.uint8), np.ascontiguousarray(truth)
