"""A published network as a version of a project."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pspnet_core.errors import CheckpointError
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.models.class_change import change_classes
from pspnet_core.models.importers import WeightsImportWarning, import_weights
from pspnet_core.project.project import Project
from pspnet_core.training.exposure import Exposure
from pspnet_core.training.versions import Version, VersionStore


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import.

    Attributes:
        version: The new version; not yet the current one.
        publisher: Short name of whom the weights are of.
        backbone: Name of the backbone.
        known: Classes of the project that the network knows.
        new: Classes of the project that it has yet to learn.
        dropped: Classes of the network that the project does not have.
        guesses: What had to be guessed, a sentence each.
    """

    version: Version
    publisher: str
    backbone: str
    known: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]
    guesses: tuple[str, ...]


def read_network(files: Sequence[Path]) -> Checkpoint:
    """A whole network out of a publisher's files; what was guessed stands in its origin.

    Args:
        files: One, or CSAIL's encoder and decoder.

    Raises:
        CheckpointError: They cannot be read, are of nobody known, or hold only a backbone.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightsImportWarning)  # they are in the origin
        checkpoint = import_weights(list(files))
    if "classifier.1.weight" in checkpoint.origin["import"]["new"]:
        raise CheckpointError(
            f"{checkpoint.origin['import']['file']} holds only a backbone, which predicts nothing by itself.",
            f"It is a {checkpoint.config.backbone} without the layers after it.",
            "Choose it as the network that a fine-tune starts with.",
        )
    return checkpoint


def add_imported(project: Project, checkpoint: Checkpoint) -> Imported:
    """Keep ``checkpoint`` as a version of ``project``, changed to its classes by their names.

    Args:
        project: It has at least one class.
        checkpoint: Of :func:`read_network`.

    Raises:
        StorageError: It could not be written.
    """
    report, classes = checkpoint.origin["import"], project.classes
    known: tuple[str, ...] = classes.names
    new: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    if checkpoint.classes != classes:
        checkpoint, change = change_classes(checkpoint, classes)
        known, new, dropped = change.kept, change.new, change.dropped
    record: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "id": checkpoint.id,
        "mean_iou": None,
        "imported": {key: report[key] for key in ("publisher", "file", "sha256", "warnings")},
        "backbone": checkpoint.config.backbone,
        "classes": classes.to_json()["classes"],
        "known_classes": list(known),
    }
    if checkpoint.origin.get("project") != project.uuid:  # one of this project learned from its images
        record |= Exposure().to_json()
    version = VersionStore(project.folder / "versions").add(checkpoint, record)
    return Imported(
        version, report["publisher"], checkpoint.config.backbone, known, new, dropped, tuple(report["warnings"])
    )
