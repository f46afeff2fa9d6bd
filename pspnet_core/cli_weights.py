"""What ``train`` starts from: ImageNet weights, fetched where that is wanted, or a checkpoint. Imports no torch."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pspnet_core.cli_output import Output, UsageError
from pspnet_core.download import download, megabytes
from pspnet_core.errors import CheckpointError
from pspnet_core.pretrained import cached_weights, find_weights, missing_weights, remote_weights

if TYPE_CHECKING:
    from pspnet_core.classes import ClassSet
    from pspnet_core.models.checkpoint import Checkpoint
    from pspnet_core.models.config import PSPNetConfig

_log = logging.getLogger(__name__)
_SAY_S = 2.0


def check_options(init: str, weights: Path | None, preset: str | None) -> None:
    """Check what ``--init``, ``--weights`` and ``--preset`` say, the last None where it was not given.

    Raises:
        UsageError: They do not go together.
        CheckpointError: A file is not there.
    """
    if weights is not None and init != "imagenet":
        raise UsageError(
            f"--weights {weights} does not go with --init {init}.",
            "--weights gives the ImageNet weights of a backbone; --init says that others are wanted.",
            "Leave one of them out.",
        )
    if preset is not None and init not in ("imagenet", "none"):
        raise UsageError(
            f"--preset {preset} does not go with --init {init}.",
            "What is in the file decides the shape of the network.",
            "Leave --preset out, or start from imagenet or none.",
        )
    file = weights if init in ("imagenet", "none") else Path(init)
    if file is not None and not file.is_file():
        raise CheckpointError(
            f"There is no file {file}.",
            "" if file is weights else "--init takes imagenet, none, or a file of weights.",
            "Check the name.",
        )


def check_stem(network: PSPNetConfig, preset: str) -> None:
    """Raises: CheckpointError when torchvision publishes no ImageNet weights for a network like this one."""
    if network.backbone.startswith("resnet") and network.stem != "conv7":
        raise CheckpointError(
            f"There are no ImageNet weights to fetch for the preset {preset}.",
            "Its first layers are three convolutions; torchvision's ResNets begin with one of 7x7.",
            "Give a file (--weights FILE, for instance of timm's resnet50s or resnet50c), start from a publisher's "
            "network (--init FILE), or choose --preset torchvision-backbone.",
        )


def initial_checkpoint(file: Path, backbone: str | None, classes: ClassSet, output: Output) -> Checkpoint:
    """A checkpoint of ours or of a publisher, changed to ``classes`` by their names; ``output`` gets what was kept.

    Raises:
        CheckpointError: It cannot be read.
        UsageError: It has another backbone than ``backbone``.
    """
    from pspnet_core.models.class_change import change_classes
    from pspnet_core.models.importers import importing
    from pspnet_core.models.importers.reading import finish

    checkpoint = finish(importing(file))
    for text in checkpoint.origin["import"]["warnings"]:
        _log.warning("%s", text)
    if backbone not in (None, checkpoint.config.backbone):
        raise UsageError(
            f"--backbone {backbone} does not go with --init {file}.",
            f"The network in that file has the backbone {checkpoint.config.backbone}.",
            "Leave --backbone out, or start from imagenet.",
        )
    if checkpoint.classes == classes:
        return checkpoint
    changed, change = change_classes(checkpoint, classes)
    output.event({"event": "classes_changed"} | change.to_json())
    output.text(change.text)
    return changed


def provide_weights(backbone: str, may_download: bool, output: Output) -> None:
    """Make sure that the ImageNet weights of ``backbone`` are on this computer.

    Args:
        backbone: Its name.
        may_download: Whether the user wants them to be fetched.
        output: Gets the progress.

    Raises:
        CheckpointError: They are not here, and must not or cannot be fetched.
        DownloadError: They could not be fetched.
        StorageError: They could not be written.
    """
    if find_weights(backbone) is not None:
        return
    remote = remote_weights(backbone)
    if remote is None or not may_download:
        raise missing_weights(backbone)
    target = cached_weights(backbone)
    output.text(f"Fetching {remote.url} ({remote.size_text}) to {target}.")
    said_s = time.monotonic()
    for progress in download(remote, target):
        output.event(progress.to_json())
        if time.monotonic() - said_s >= _SAY_S:
            said_s = time.monotonic()
            total = f" of {megabytes(progress.total_bytes)}" if progress.total_bytes else ""
            output.text(f"{megabytes(progress.done_bytes)}{total}")
