"""Weights of others as checkpoints of ours, and back.

    checkpoint = import_weights(Path("pspnet_r50-d8_769x769_80k_cityscapes.pth"))

Widths and depth are read off the tensors. What no tensor tells comes from the publisher's table (one file each here)
and is stored in the checkpoint; what had to be guessed is a warning and stands in its origin. What has no place is
refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pspnet_core.classes import ClassSet
from pspnet_core.errors import CheckpointError
from pspnet_core.models.checkpoint import KEY, Checkpoint, build_checkpoint
from pspnet_core.models.importers.building import Translated, fill, find_backbone, read_config, translate
from pspnet_core.models.importers.channels import choose_classes
from pspnet_core.models.importers.key_map import Facts, Layout, Publisher
from pspnet_core.models.importers.publishing import to_published
from pspnet_core.models.importers.reading import Contents, finish, from_mapping, join, reading_weights, refuse_sharing
from pspnet_core.models.importers.recognise import (
    CROPS,
    NAMES,
    STUDIO,
    find_publisher,
    recognise,
)

__all__ = ["NAMES", "WeightsImportWarning", "import_weights", "importing", "to_published"]


class WeightsImportWarning(UserWarning):
    """A choice that an import had to guess."""


def import_weights(
    source: Path | str | Sequence[Path | str] | Mapping[str, Tensor],
    publisher: str | None = None,
    *,
    classes: ClassSet | None = None,
    align_corners: bool | None = None,
) -> Checkpoint:
    """A published network, or backbone, as a checkpoint.

    Args:
        source: A file; CSAIL's two files, encoder and decoder; or a state dict.
        publisher: Whose it is: one of :data:`NAMES`, or a repository's name such as "hszhao/semseg". None = whoever has
            such names of tensors.
        classes: Classes in channel order. None = what the file says, else the known set of that size, else numbers; of
            a backbone, "background" and "foreground".
        align_corners: Of the interpolations. None = as the publisher's code has it.

    Returns:
        The network in evaluation mode, without gradients. ``origin["import"]`` holds publisher, file, sha256, warnings,
        kept (number of tensors), ignored (the publisher's names), folded (biases that went into a norm), new (our
        names).

    Raises:
        CheckpointError: The file is missing, damaged or unsafe; it is not known whose it is; it is another network; a
            tensor is missing, surplus or of the wrong shape; the number of classes differs.

    Warns:
        WeightsImportWarning: For each choice that had to be guessed. Filters of warnings belong to all threads: workers
            use :func:`importing`.
    """
    checkpoint = finish(importing(source, publisher, classes=classes, align_corners=align_corners))
    for text in checkpoint.origin["import"]["warnings"]:
        warnings.warn(text, WeightsImportWarning, stacklevel=2)
    return checkpoint


def importing(
    source: Path | str | Sequence[Path | str] | Mapping[str, Tensor],
    publisher: str | None = None,
    *,
    classes: ClassSet | None = None,
    align_corners: bool | None = None,
) -> Generator[None, None, Checkpoint]:
    """As :func:`import_weights` in steps, none of which takes long; what was guessed stands only in the origin."""
    name = find_publisher(publisher) if publisher else None
    contents = yield from _read(source)
    refuse_sharing(contents)
    yield
    if KEY in contents.meta:
        return _import_ours(Path(_one(source)), contents, name, classes, align_corners)
    if name == STUDIO:
        raise CheckpointError(
            f"{_call(contents)} was not written by PSPNet Studio.",
            f"A checkpoint of ours is a .safetensors file with the entry {KEY!r}.",
            "Choose another publisher, or none.",
        )
    if align_corners is None and name is not None and name in CROPS:
        align_corners = CROPS[name]
    who, layout = recognise(contents.tensors.keys(), name, _call(contents))
    return (yield from _import(contents, who, layout, classes, align_corners))


def _read(source: Path | str | Sequence[Path | str] | Mapping[str, Tensor]) -> Generator[None, None, Contents]:
    if isinstance(source, Mapping):
        return from_mapping(source)
    if isinstance(source, str | Path):
        return (yield from reading_weights(Path(source)))
    parts = []
    for path in source:
        parts.append((yield from reading_weights(Path(path))))
    if any(KEY in part.meta for part in parts[1:]):
        raise CheckpointError(
            "A checkpoint of PSPNet Studio is one file.",
            f"{len(parts)} files were given.",
            "Give that file alone.",
        )
    return join(parts) if len(parts) != 1 else parts[0]


def _one(source: Any) -> Path | str:
    return source if isinstance(source, str | Path) else next(iter(source))


def _call(contents: Contents) -> str:
    return contents.name or "The state dict"


def _import(
    contents: Contents, who: Publisher, layout: Layout, classes: ClassSet | None, align_corners: bool | None
) -> Generator[None, None, Checkpoint]:
    source = _call(contents)
    found = translate(contents.tensors, who, layout, source)
    yield
    classifier = found.tensors.get("classifier.1.bias")
    num_classes = None if layout.is_backbone or classifier is None else int(classifier.numel())
    if num_classes is not None and not 1 <= num_classes <= 255:
        raise CheckpointError(
            f"{source} has {num_classes} classes.",
            "1 to 255 are possible: a class map has one byte per pixel.",
            "Choose weights for fewer classes.",
        )
    inner = contents.meta.get("meta")
    meta = {**contents.meta, **inner} if isinstance(inner, Mapping) else contents.meta
    facts = Facts(contents.name, meta, find_backbone(found, source), num_classes, align_corners)
    config = read_config(found, who, layout, facts)
    chosen = choose_classes(num_classes, classes, meta, facts.guesses)
    model, new = fill(replace(config, num_classes=len(chosen)), found, layout.is_backbone, source)
    if new:
        facts.guesses.insert(0, f"Only a backbone ({facts.backbone}) is in {source}: all heads are new and untrained.")
    facts.guesses.extend(f"Weights were stored as {kind}; they are float32 now." for kind in sorted(found.converted))
    report = _report(contents, who.name, facts.guesses, found, new)
    return Checkpoint(model, chosen, who.preprocessing, origin={"import": report})


def _report(
    contents: Contents, publisher: str, guesses: list[str], found: Translated | None, new: list[str]
) -> dict[str, Any]:
    kept = len(contents.tensors) if found is None else len(contents.tensors) - len(found.ignored)
    return {
        "publisher": publisher,
        "file": contents.name or None,
        "sha256": contents.sha256[0] if len(contents.sha256) == 1 else list(contents.sha256) or None,
        "warnings": guesses,
        "kept": kept,
        "ignored": [] if found is None else found.ignored,
        "folded": [] if found is None else found.folded,
        "new": new,
    }


def _import_ours(
    path: Path, contents: Contents, name: str | None, classes: ClassSet | None, align_corners: bool | None
) -> Checkpoint:
    """A checkpoint of ours, as it is, but for the classes' names."""
    if name not in (None, STUDIO):
        raise CheckpointError(
            f"{path.name} was not published by {name}.",
            "It is a checkpoint of PSPNet Studio.",
            f"Choose {STUDIO}, or no publisher at all.",
        )
    checkpoint = build_checkpoint(contents.meta[KEY], contents.tensors, path)
    if align_corners not in (None, checkpoint.config.align_corners):
        raise CheckpointError(
            f"{path.name} says align_corners={checkpoint.config.align_corners}; it cannot be changed.",
            "A checkpoint of PSPNet Studio holds all of its settings.",
            "Leave the option out.",
        )
    chosen = choose_classes(checkpoint.config.num_classes, classes, {}, []) if classes else checkpoint.classes
    before = checkpoint.origin.get("import")  # what was new then is still untrained
    new = before.get("new", []) if isinstance(before, Mapping) else []
    report = _report(contents, STUDIO, [], None, new) | ({"before": before} if before else {})
    origin = checkpoint.origin | {"import": report}
    return Checkpoint(checkpoint.model, chosen, checkpoint.preprocessing, checkpoint.metrics, origin)
