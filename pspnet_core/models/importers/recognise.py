"""Finds out who published weights, by names that exist only there, and says what networks of others are."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from pspnet_core.errors import CheckpointError
from pspnet_core.models.importers import caffe, csail, encoding, mmseg, paddle, semseg, timm, torchvision
from pspnet_core.models.importers.key_map import Layout, Publisher

PUBLISHERS: tuple[Publisher, ...] = (
    semseg.PUBLISHER,
    mmseg.PUBLISHER,
    csail.PUBLISHER,
    encoding.PUBLISHER,
    caffe.PUBLISHER,
    paddle.PUBLISHER,
    torchvision.PUBLISHER,
    timm.PUBLISHER,
)

# Crops of mmsegmentation that decide `align_corners`.
CROPS: Mapping[str, bool] = MappingProxyType({"mmseg-512": False, "mmseg-769": True})
STUDIO = "studio"
NAMES: tuple[str, ...] = (*(p.name for p in PUBLISHERS), *CROPS, STUDIO)
"""Short names that :func:`find_publisher` knows."""

_REPOSITORIES = {
    "meetps/pytorch-semseg": "caffe",
    "hszhao/pspnet": "caffe",
    "junfu1115/danet": "encoding",
    "rwightman/pytorch-image-models": "timm",
    "mmsegmentation": "mmseg",
    "paddleseg": "paddle",
} | {p.repository.lower(): p.name for p in PUBLISHERS}

# (what a name matches, what such a network is)
_FOREIGN = (
    (
        r"decoder\.psp\.blocks\.",
        'the "PSPNet" of segmentation_models_pytorch. It is another network despite its name: its pyramid pools the '
        "features of the backbone's second stage instead of the dilated fourth, fuses by a 1x1 convolution and "
        "classifies by a 3x3",
    ),
    (r"segmentation_head\.", "a network of segmentation_models_pytorch, which is not a PSPNet"),
    (r"classifier\.0\.convs\.", "torchvision's DeepLabV3, which has atrous pooling in place of the pyramid"),
    (r"classifier\.(low|high)_classifier\.", "torchvision's LR-ASPP, which is not a PSPNet"),
    (r"decode_head\.", "a network of mmsegmentation with another head than that of PSPNet"),
    (
        r"(head\.0\.stages|dsn)\.",
        "speedinghzl's PSPNet. Its norms (InPlaceABN) take the absolute value of their weight",
    ),
    (r"psp\.stages\.|up_1\.", "Lextal's PSPNet, which has other pyramid branches and upsampling than the paper's"),
    (r"psa\.", "hszhao's PSANet, which has point-wise attention in place of the pyramid"),
    (r"pretrained\.", "a network of PyTorch-Encoding with another head than that of PSPNet"),
    (r"(fpn_|ppm_conv|ppm_last_conv)", "CSAIL's UPerNet, which is not a PSPNet"),
    (r"cbr\.|conv_last\.|ppm\.", "a decoder of CSAIL without its encoder, or another decoder than ppm_deepsup"),
    (r"head\.(aspp|psp_module)", "a network of PaddleSeg that is not the PSPNet with ResNet_vd"),
    (r"(conv_stem|blocks\.\d)", "a backbone of timm that is not a ResNet"),
    (r"(cls_token|pos_embed|patch_embed)", "a transformer"),
)


def find_publisher(name: str) -> str:
    """The short name that ``name`` stands for: itself, or that of a repository such as "hszhao/semseg 1.0".

    Raises:
        CheckpointError: Nobody of that name is known.
    """
    wanted = name.strip().lower().split(" ")[0]
    if wanted in NAMES:
        return wanted
    if wanted in _REPOSITORIES:
        return _REPOSITORIES[wanted]
    raise CheckpointError(
        f"There is no publisher {name!r}.", f"Known are {', '.join(NAMES)}.", "Choose one of them, or none."
    )


def recognise(keys: Collection[str], publisher: str | None, source: str) -> tuple[Publisher, Layout]:
    """Whose names these are.

    Args:
        keys: Names of all tensors.
        publisher: Short name of the only one to consider; None = all.
        source: What to call the weights in a message.

    Raises:
        CheckpointError: Nobody's that is known, another network's, or not that publisher's.
    """
    wanted = "mmseg" if publisher in CROPS else publisher
    found = [
        (len(layout.marks), -number, candidate, layout)
        for number, candidate in enumerate(PUBLISHERS)
        for layout in candidate.layouts
        if _fits(layout, keys, candidate)
    ]
    mine = [row for row in found if wanted is None or row[2].name == wanted]
    if mine:
        _, _, best, layout = max(mine, key=lambda row: row[:2])
        return best, layout
    if found:
        raise CheckpointError(
            f"{source} was not published by {publisher}.",
            f"Its names are those of {found[0][2].name} ({found[0][2].repository}).",
            f"Choose {found[0][2].name}, or no publisher at all.",
        )
    raise _unknown(keys, source)


def _fits(layout: Layout, keys: Collection[str], publisher: Publisher) -> bool:
    known = {_alias(publisher, key) for key in keys} if publisher.aliases else keys
    return all(mark in known for mark in layout.marks) and not any(name in known for name in layout.absent)


def _alias(publisher: Publisher, key: str) -> str:
    for start, other in publisher.aliases:
        if key.startswith(start):
            return other + key[len(start) :]
    return key


def their_key(publisher: Publisher, key: str) -> str:
    """``key`` as the publisher's layouts spell it. Their older versions spell some names otherwise."""
    return _alias(publisher, key)


def is_ignored(publisher: Publisher, layout: Layout, key: str) -> bool:
    """Whether a name without a place in our networks is known to be needless."""
    return any(re.fullmatch(pattern, key) for pattern in (*publisher.ignored, *layout.ignored))


def _unknown(keys: Collection[str], source: str) -> CheckpointError:
    for pattern, what in _FOREIGN:
        if any(re.match(pattern, key) for key in keys):
            return CheckpointError(
                f"{source} is not a PSPNet that can be imported.",
                f"It is {what}.",
                "Choose weights of a PSPNet by a known publisher, or of a backbone.",
            )
    some = ", ".join(sorted(keys)[:5])
    return CheckpointError(
        f"It is not known who published {source}.",
        f"None of the known layouts has names such as {some}. Settings that are not in the weights would be guessed, "
        "and a wrong guess goes unseen.",
        f"Known publishers: {', '.join(NAMES)}.",
    )
