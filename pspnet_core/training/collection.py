"""The labelled images of a project, divided into those to learn from and those to measure on."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pspnet_core.classes import ClassSet
from pspnet_core.errors import ImageReadError, PspnetError, TrainingError
from pspnet_core.imaging.read import read_image, read_info
from pspnet_core.project.project import Project
from pspnet_core.project.records import Annotation, Item, ItemState, Split, Status
from pspnet_core.training.data import LabelledImage, unreadable
from pspnet_core.training.events import Phase, TrainEvent
from pspnet_core.training.exposure import Exposure
from pspnet_core.training.holdout import (
    Candidate,
    block_mask,
    blocks_from_hex,
    choose_blocks,
    choose_items,
    count_blocks,
)
from pspnet_core.types import UNLABELLED, ClassMap, Provenance, RgbImage


@dataclass
class Collection:
    """What a project offers for training.

    Attributes:
        classes: As they were when it was collected.
        train: Images to learn from, without the held-out blocks.
        holdout: Images to measure on.
        rule: How the hold-out was chosen: ``val``, ``items``, ``blocks`` or ``none``.
        num_images: Labelled images in all.
        held_items: Keys of the items that are not learned from at all.
        held_blocks: Item key -> numbers of the blocks of it that are not learned from.
        unread: Keys of labelled items that could not be read and take no part.
    """

    classes: ClassSet
    train: list[LabelledImage] = field(default_factory=list)
    holdout: list[LabelledImage] = field(default_factory=list)
    rule: str = "none"
    num_images: int = 0
    held_items: frozenset[str] = frozenset()
    held_blocks: dict[str, frozenset[int]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def collect(project: Project, past: Exposure | None = None) -> Generator[TrainEvent, None, Collection]:
    """The labelled images of the project, divided into those to learn from and those held out.

    Args:
        project: With its labels saved.
        past: Of all versions that are kept: what was held out for them stays held out.

    Raises:
        TrainingError: Nothing is labelled, only one class is, or a mask of the project is damaged.
    """
    past = past or Exposure()
    unread: list[str] = []
    counts = yield from _read(project, unread)
    labelled = [project.item(key) for key in counts]
    whole = choose_items([Candidate(i.key, i.split, _is_done(project.state(i.key))) for i in labelled], past)
    offered = {key: rows for key, rows in counts.items() if key not in whole}
    blocks = choose_blocks(offered, past.held_blocks, may_grow=not whole)
    has_val = any(item.split is Split.VAL for item in labelled)
    data = Collection(
        project.classes, num_images=len(labelled), held_items=whole, held_blocks=blocks, unread=tuple(unread)
    )
    for item in labelled:
        if item.key not in whole:
            data.train.append(_to_learn(project, item, data.classes, blocks.get(item.key, frozenset())))
        is_evidence = item.split is Split.VAL if has_val else item.key in whole or item.key in blocks
        if not is_evidence:
            continue
        held = None if item.key in whole else blocks[item.key]
        measured = _evidence(item, project.state(item.key), held)
        if measured is None or measured:
            data.holdout.append(_to_measure(project, item, data.classes, measured))
    if data.holdout:
        data.rule = "val" if has_val else "items" if whole else "blocks"
    if not data.train:
        raise TrainingError(
            "There is nothing to learn from.",
            f"Could not be read: {', '.join(unread[:3])}. " * bool(unread)
            + "No image of split train or none has a labelled pixel.",
            "Paint some pixels of each class, then train.",
        )
    _check_classes(project.classes, [counts[image.key] for image in data.train])
    return data


def _check_classes(classes: ClassSet, counts: list[NDArray[np.int64]]) -> None:
    """One class alone teaches to see it everywhere, with a perfect score."""
    total = sum((np.abs(rows).sum(axis=0) for rows in counts), np.zeros(256, np.int64))
    names = [c.name for c in classes if total[c.index]]
    if len(names) < 2:
        raise TrainingError(
            f"Only “{names[0]}” is painted so far." if names else "No class of the project is painted yet.",
            "To tell classes apart, the network needs pixels of at least two.",
            "Paint some pixels of another class, then train.",
        )


def _read(project: Project, unread: list[str]) -> Generator[TrainEvent, None, dict[str, NDArray[np.int64]]]:
    """Key -> pixels by block and class, as :func:`choose_blocks` takes them, of all labelled items that take part.

    Images that are not there any more or cannot be read are left out and named in ``unread``.
    """
    items = [
        item
        for item in project.items
        if item.split is not Split.TEST
        and project.state(item.key).status is not Status.SKIPPED
        and (project.state(item.key).labelled_px or item.found_mask is not None)
    ]
    counts: dict[str, NDArray[np.int64]] = {}
    for number, item in enumerate(items):
        yield Phase("read", number / len(items))
        try:
            info = read_info(item.image_path, item.page)
            class_map = project.load_annotation(item, info.width, info.height).class_map
        except (ImageReadError, OSError):
            unread.append(item.key)
            continue
        except PspnetError as error:
            raise unreadable(item.key, error) from error
        if (class_map != UNLABELLED).any():
            counts[item.key] = count_blocks(class_map, _unaided(project.state(item.key)))
    return counts


def _is_done(state: ItemState) -> bool:
    return state.status is Status.DONE


def _unaided(state: ItemState) -> list[bool] | None:
    """Which blocks may be measured on; None for all: what was labelled before any prediction was shown, or is done."""
    if _is_done(state) or not state.prediction_shown:
        return None
    return blocks_from_hex(state.unaided_blocks)


def _evidence(item: Item, state: ItemState, held: frozenset[int] | None) -> frozenset[int] | None:
    """The blocks of an item to measure on, of those held out; None for all."""
    unaided = None if item.split is Split.VAL else _unaided(state)
    if unaided is None:
        return held
    usable = frozenset(number for number, is_usable in enumerate(unaided) if is_usable)
    return usable if held is None else usable & held


def _to_learn(project: Project, item: Item, classes: ClassSet, held: frozenset[int]) -> LabelledImage:
    """An item without the held-out blocks."""

    def load() -> tuple[RgbImage, ClassMap]:
        image, annotation = _load(project, item, classes)
        if held:
            annotation.class_map[block_mask(annotation.class_map.shape, held)] = UNLABELLED
        return image, annotation.class_map

    return LabelledImage(item.key, load)


def _to_measure(project: Project, item: Item, classes: ClassSet, blocks: frozenset[int] | None) -> LabelledImage:
    """These blocks of an item (None for all), without the pixels accepted from a model unless it is done."""
    is_done = _is_done(project.state(item.key))

    def load() -> tuple[RgbImage, ClassMap]:
        image, annotation = _load(project, item, classes)
        class_map = annotation.class_map
        if blocks is not None:
            class_map[~block_mask(class_map.shape, blocks)] = UNLABELLED
        if not is_done:
            class_map[annotation.provenance == Provenance.ACCEPTED] = UNLABELLED
        return image, class_map

    return LabelledImage(item.key, load)


def _load(project: Project, item: Item, classes: ClassSet) -> tuple[RgbImage, Annotation]:
    """Image and planes, with classes that came later left out."""
    image = read_image(item.image_path, item.page)
    annotation = project.load_annotation(item, image.shape[1], image.shape[0])
    known = np.zeros(256, bool)
    known[list(classes.indices)] = True
    annotation.class_map[~known[annotation.class_map]] = UNLABELLED
    return image, annotation
