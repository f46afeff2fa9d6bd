"""What ``train`` starts from: ImageNet weights, fetched where that is wanted, or a checkpoint. Imports no torch."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pspnet_core.cli_output import Output
from pspnet_core.download import download, megabytes
from pspnet_core.errors import CheckpointError
from pspnet_core.pretrained import cached_weights, find_weights, missing_weights, remote_weights

if TYPE_CHECKING:
    from pspnet_core.classes import ClassSet
    from pspnet_core.models.checkpoint import Checkpoint
    from pspnet_core.models.config import PSPNetConfig

_log = logging.getLogger(__name__)
_SAY_S = 2.0


def check_options(init: str, weights: Path | None) -> None:
    """Raises: CheckpointError when ``--init`` and ``--weights`` do not go together, or a file is not there."""
    if weights is not None and init != "imagenet":
        raise CheckpointError(
            f"--weights {weights} does not go with --init {init}.",
            "--weights gives the ImageNet weights of a backbone; --init says that others are wanted.",
            "Leave one of them out.",
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
        CheckpointError: It cannot be read, or has another backbone than ``backbone``.
    """
    from pspnet_core.models.class_change import change_classes
    from pspnet_core.models.importers import WeightsImportWarning, import_weights

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WeightsImportWarning)
        checkpoint = import_weights(file)
    for warning in caught:
        _log.warning("%s", warning.message)
    if backbone not in (None, checkpoint.config.backbone):
        raise CheckpointError(
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
