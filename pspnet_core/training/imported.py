"""A published network as a version of a project."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pspnet_core.classes import ClassSet
from pspnet_core.errors import CheckpointError
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.models.class_change import change_classes
from pspnet_core.models.importers import importing
from pspnet_core.models.importers.reading import finish
from pspnet_core.project.project import Project
from pspnet_core.training.exposure import Exposure, projects_of
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
        is_comparable: Whether it is known not to have learned from this project.
    """

    version: Version
    publisher: str
    backbone: str
    known: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]
    guesses: tuple[str, ...]
    is_comparable: bool = True


def read_network(files: Sequence[Path]) -> Checkpoint:
    """A whole network out of a publisher's files; what was guessed stands in its origin.

    Args:
        files: One, or CSAIL's encoder and decoder.

    Raises:
        CheckpointError: They cannot be read, are of nobody known, or hold only a backbone.
    """
    return finish(reading_network(files))


def reading_network(files: Sequence[Path]) -> Generator[None, None, Checkpoint]:
    """As :func:`read_network` in steps, so that it can be cancelled."""
    checkpoint = yield from importing(list(files))
    if "classifier.1.weight" in checkpoint.origin["import"]["new"]:
        raise CheckpointError(
            f"{checkpoint.origin['import']['file']} holds only a backbone, which predicts nothing by itself.",
            f"It is a {checkpoint.config.backbone} without the layers after it.",
            "Choose it as the network that a fine-tune starts with.",
        )
    return checkpoint


def add_imported(project: Project, checkpoint: Checkpoint, classes: ClassSet | None = None) -> Imported:
    """Keep ``checkpoint`` as a version of ``project``, changed to its classes by their names.

    Args:
        project: It has at least one class, unless ``classes`` are given.
        checkpoint: Of :func:`read_network`.
        classes: Instead of the project's.

    Raises:
        StorageError: It could not be written.
    """
    return finish(adding_imported(project, checkpoint, classes))


def adding_imported(
    project: Project, checkpoint: Checkpoint, classes: ClassSet | None = None
) -> Generator[None, None, Imported]:
    """As :func:`add_imported` in steps; the version is written in the last one."""
    report, classes = checkpoint.origin["import"], classes or project.classes
    known: tuple[str, ...] = classes.names
    new: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    if checkpoint.classes != classes:
        checkpoint, change = change_classes(checkpoint, classes)
        known, new, dropped = change.kept, change.new, change.dropped
    yield
    record: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "id": checkpoint.id,  # reads all weights once
        "mean_iou": None,
        "imported": {key: report[key] for key in ("publisher", "file", "sha256", "warnings")},
        "backbone": checkpoint.config.backbone,
        "classes": classes.to_json()["classes"],
        "known_classes": list(known),
    }
    projects = projects_of(checkpoint.origin)
    is_comparable = projects is not None and project.uuid not in projects
    if is_comparable:
        record |= Exposure().to_json()
    yield
    version = VersionStore(project.folder / "versions").add(checkpoint, record)
    return Imported(
        version,
        report["publisher"],
        checkpoint.config.backbone,
        known,
        new,
        dropped,
        tuple(report["warnings"]),
        is_comparable,
    )
