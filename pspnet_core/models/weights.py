"""Backbones that start from ImageNet. Where the files are is told by :mod:`pspnet_core.pretrained`."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from pspnet_core import pretrained
from pspnet_core.errors import CheckpointError
from pspnet_core.models.backbones import Backbone
from pspnet_core.models.backbones.efficientnet_lite import EfficientNetLite, load_published
from pspnet_core.models.backbones.resnet import ResNet
from pspnet_core.models.checkpoint import Preprocessing
from pspnet_core.models.config import LITES, PSPNetConfig
from pspnet_core.models.importers.building import translate
from pspnet_core.models.importers.key_map import IMAGENET, Layout, Publisher
from pspnet_core.models.importers.reading import Contents, read_weights, refuse_sharing
from pspnet_core.models.importers.recognise import recognise
from pspnet_core.pretrained import (
    PRETRAINED,
    cached_weights,
    find_weights,
    missing_weights,
    remote_weights,
    weights_folder,
)

__all__ = [
    "PRETRAINED",
    "cached_weights",
    "find_weights",
    "imagenet_preprocessing",
    "imagenet_state",
    "load_imagenet",
    "missing_weights",
    "remote_weights",
    "weights_folder",
]


def imagenet_preprocessing(backbone: str) -> Preprocessing:
    """From RGB bytes to what the ImageNet weights of ``backbone`` were trained on."""
    return Preprocessing() if backbone in LITES else IMAGENET


def imagenet_state(backbone: str, file: Path | None = None) -> dict[str, Tensor]:
    """The published ImageNet weights of ``backbone``, by the publisher's names, the classifier included.

    Args:
        backbone: Its name.
        file: To be read instead of the one that :func:`find_weights` finds.

    Raises:
        CheckpointError: There is no file, it cannot be read safely, or the one that was found is not the published one.
        ValueError: There is no such backbone.
    """
    return _read(backbone, file).tensors


def load_imagenet(backbone: Backbone, name: str, file: Path | None = None) -> None:
    """Fill ``backbone`` with its ImageNet weights; the publisher's classifier is dropped.

    Args:
        backbone: To be filled; its type and shape are those of ``name``.
        name: Of the backbone.
        file: Weights of the same backbone by somebody else who normalises images alike: torchvision, timm,
            mmsegmentation and others whose names are known, a whole network too. None = the published ones.

    Raises:
        CheckpointError: The weights are missing, damaged, of another backbone, of other shortcuts or strides, or made
            for other input.
    """
    contents = _read(name, file)
    if isinstance(backbone, EfficientNetLite):
        load_published(backbone, contents.tensors)
        return
    who, layout = recognise(contents.tensors.keys(), None, contents.name)
    if who.preprocessing != imagenet_preprocessing(name):
        raise CheckpointError(
            f"{contents.name} does not fit: {who.repository} normalises images in another way.",
            f"Expected {imagenet_preprocessing(name)}, found {who.preprocessing}.",
            "Import the whole network instead, or choose weights of torchvision.",
        )
    if isinstance(backbone, ResNet):
        _check_kind(backbone, who, layout, contents.name)
    found = translate(contents.tensors, who, layout, contents.name).tensors
    prefix = "backbone."
    tensors = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
    _check(backbone, tensors, name, contents.name)
    backbone.load_state_dict(tensors, strict=False)  # what may be missing are counters, see `_check`


def _check_kind(backbone: ResNet, who: Publisher, layout: Layout, source: str) -> None:
    """Nothing that no tensor tells is otherwise in the network that the weights are of. Raises: CheckpointError."""
    usual = PSPNetConfig.preset(who.preset, 1)
    settings = {"shortcut": usual.shortcut, "stride_at": usual.stride_at, **who.settings, **layout.settings}
    for name, ours in (("shortcut", backbone.shortcut), ("stride_at", backbone.stride_at)):
        if settings[name] != ours:
            raise CheckpointError(
                f"{source} does not fit: it is of a ResNet with {name} {settings[name]}.",
                f"The network to be filled has {name} {ours}. All tensors would find a place, and compute nonsense.",
                f"Choose weights of a ResNet with {name} {ours}.",
            )


def _check(backbone: Backbone, tensors: dict[str, Tensor], name: str, source: str) -> None:
    """Every tensor has its place and its shape, every place but a counter its tensor. Raises: CheckpointError."""
    expected = backbone.state_dict()
    missing = [key for key in expected if key not in tensors and not key.endswith(".num_batches_tracked")]
    surplus = [key for key in tensors if key not in expected]
    wrong = [key for key in tensors if key in expected and tensors[key].shape != expected[key].shape]
    if not (missing or surplus or wrong):
        return
    some = (missing or surplus or wrong)[0]
    shapes = f", shape {list(tensors[some].shape)} instead of {list(expected[some].shape)}" if some in wrong else ""
    raise CheckpointError(
        f"{source} does not hold the weights of this {PRETRAINED[name].title}.",
        f"{len(missing)} tensors are missing, {len(surplus)} have no place, {len(wrong)} have another shape; "
        f"for example {some} (our name){shapes}.",
        "Choose the file of the same backbone with the same first layers: torchvision's are for the stem conv7, timm's "
        "resnet50s for deep64, its resnet50c for deep32.",
    )


def _read(backbone: str, file: Path | None) -> Contents:
    published = pretrained.published_weights(backbone)
    path = file or find_weights(backbone)
    if path is None:
        raise missing_weights(backbone)
    contents = read_weights(path)
    refuse_sharing(contents)
    if file is None and contents.sha256[0] != published.sha256:
        raise CheckpointError(
            f"The ImageNet weights of {published.title} on this computer are damaged.",
            f"{path} has the SHA-256 {contents.sha256[0]}; expected {published.sha256}.",
            "Delete this file, and fetch it again.",
        )
    return contents
