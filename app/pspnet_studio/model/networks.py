"""The networks that a fine-tune can start with, in the words of the dialog that offers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pspnet_core.pretrained import DEFAULT_BACKBONE, PRETRAINED, find_weights, remote_weights
from pspnet_core.remote import RemoteFile
from pspnet_core.training.start import Start
from pspnet_core.training.versions import Version
from pspnet_studio.messages import tr, tr_count


@dataclass(frozen=True, slots=True)
class NetworkChoice:
    """One network that is offered.

    Attributes:
        start: What a fine-tune starts with.
        title: What the network is called.
        hint: What it is good for.
        is_here: Whether its weights are on this computer.
        place: The file on this computer, where that says something to a person.
        remote: Where its weights can be downloaded.
    """

    start: Start
    title: str
    hint: str
    is_here: bool
    place: Path | None = None
    remote: RemoteFile | None = None

    @property
    def size_text(self) -> str:
        """Where it is, or how large the download is."""
        if self.start.version is not None:
            return tr("in this project")
        if self.is_here:
            return tr("included") if self.start == Start() else tr("on this computer")
        return self.remote.size_text if self.remote is not None else tr("missing")


def network_choices(start: Start, versions: Sequence[Version]) -> list[NetworkChoice]:
    """What is offered: backbones that are here or can be fetched, then imported versions.

    Args:
        start: What is chosen now; it is always among them.
        versions: Of the project.
    """
    rows = []
    for name in PRETRAINED:
        file = start.file if name == start.backbone and start.version is None else None
        row = choice_of(Start(name, file))
        if row.is_here or row.remote is not None or row.start == start:
            rows.append(row)
    imported = [version for version in versions if version.record.get("imported")]
    rows += [_imported(version) for version in imported]
    if start.version is not None and start.version not in [v.number for v in imported]:
        title = tr("Version {number}").format(number=start.version)
        rows.append(NetworkChoice(start, title, tr("was imported, and is gone"), is_here=False))
    return rows


def choice_of(start: Start) -> NetworkChoice:
    """How a backbone is offered."""
    assert start.version is None, "not a backbone"
    published = PRETRAINED[start.backbone]
    title = published.title
    if start.backbone == DEFAULT_BACKBONE:
        title = tr("Fast ({name})").format(name=title)
    hint = _hint(start.backbone) if start.file is None else tr("from {file}").format(file=start.file.name)
    place = start.file if start.file is not None else find_weights(start.backbone)
    return NetworkChoice(start, title, hint, start.has_weights, place, remote_weights(start.backbone))


def name_of(start: Start) -> str:
    """What a fine-tune starts with, in a word or two."""
    if start.version is not None:
        return tr("version {number}").format(number=start.version)
    return PRETRAINED[start.backbone].title


def _hint(backbone: str) -> str:
    return {
        "efficientnet_lite0": tr("learns in minutes, also without a graphics card"),
        "efficientnet_lite1": tr("a little more accurate, a little slower"),
        "efficientnet_lite2": tr("more accurate, slower"),
        "mobilenet_v2": tr("a small network of another kind"),
        "mobilenet_v3_large": tr("small, of that kind too; a little more accurate"),
        "resnet18": tr("medium; slow without a graphics card"),
        "resnet34": tr("medium, deeper; slow without a graphics card"),
        "resnet50": tr("large, as in the paper; wants a graphics card"),
        "resnet101": tr("larger; needs a graphics card"),
        "resnet152": tr("largest; needs a graphics card"),
    }[backbone]


def _imported(version: Version) -> NetworkChoice:
    record = version.record
    backbone = str(record.get("backbone", ""))
    known = record.get("known_classes")
    title = tr("Version {number} (imported)").format(number=version.number)
    name = PRETRAINED[backbone].title if backbone in PRETRAINED else backbone
    hint = tr_count("{name}; knows 1 of the classes", "{name}; knows {count} of the classes", len(known or ()))
    return NetworkChoice(
        Start(version=version.number), title, hint.format(name=name), version.path.is_file(), version.path
    )
