"""The labelled images of a project, divided into those to learn from and those to measure on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Set
from dataclasses import dataclass, field, replace

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
from pspnet_core.training.interrupted import FOLDER
from pspnet_core.training.likeness import fingerprints, groups, owner, recall, remember
from pspnet_core.types import UNLABELLED, BoolMask, ClassMap, Provenance, RgbImage

_LEARNED = "learned.json"


@dataclass
class Collection:
    """What a project offers for training.

    Attributes:
        classes: As they were when it was collected.
        train: Images to learn from, without the held-out blocks.
        holdout: Images to measure on.
        rule: How the hold-out was chosen: ``val``, ``items``, ``blocks`` or ``none``.
        keys: Of the labelled images that take part.
        held_items: Keys of the items that are not learned from at all.
        held_blocks: Item key -> numbers of the blocks of it that are not learned from.
        unread: Keys of labelled items that could not be read and take no part.
        too_like: Keys of labelled items that look like one of split test or val, and take no part.
    """

    classes: ClassSet
    train: list[LabelledImage] = field(default_factory=list)
    holdout: list[LabelledImage] = field(default_factory=list)
    rule: str = "none"
    keys: tuple[str, ...] = ()
    held_items: frozenset[str] = frozenset()
    held_blocks: dict[str, frozenset[int]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    too_like: tuple[str, ...] = ()

    @property
    def num_images(self) -> int:
        """Labelled images that take part."""
        return len(self.keys)


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
    found = yield from _looks(project, counts.keys() | past.trained)
    groups, past = _grouped(project, found, counts.keys(), past)
    too_like = _like_elsewhere(project, list(counts), groups)
    labelled = [project.item(key) for key in counts if key not in too_like]
    whole, blocks = _chosen(project, {item.key: counts[item.key] for item in labelled}, groups, past)
    has_val = any(item.split is Split.VAL for item in labelled)
    data = Collection(
        project.classes,
        keys=tuple(item.key for item in labelled),
        held_items=whole,
        held_blocks=blocks,
        unread=tuple(unread),
        too_like=tuple(too_like),
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
    learned = past.trained | {image.key for image in data.train}
    data.holdout = _unlike(data.holdout, learned, groups)
    if data.holdout:
        data.rule = "val" if has_val else "items" if whole else "blocks"
    if not data.train:
        raise _nothing_to_learn(data)
    _check_classes(project.classes, [counts[image.key] for image in data.train])
    remember(project.folder / FOLDER / _LEARNED, {key: found[key] for key in found.keys() & learned})
    return data


def _nothing_to_learn(data: Collection) -> TrainingError:
    return TrainingError(
        "There is nothing to learn from.",
        f"Could not be read: {', '.join(data.unread[:3])}. " * bool(data.unread)
        + f"Look like images to be measured on: {', '.join(data.too_like[:3])}. " * bool(data.too_like)
        + "No image of split train or none has a labelled pixel.",
        "Paint some pixels of each class, then train.",
    )


def _chosen(
    project: Project, counts: dict[str, NDArray[np.int64]], groups: Mapping[str, str], past: Exposure
) -> tuple[frozenset[str], dict[str, frozenset[int]]]:
    """Keys of the items to hold out as a whole, and numbers of the blocks to hold out of others."""
    candidates = [Candidate(key, project.item(key).split, _is_done(project.state(key))) for key in counts]
    whole = choose_items(candidates, past, groups)
    # Of images that look alike no block is held out: the same place in another one would be learned from.
    sizes = Counter(groups.get(key, key) for key in counts)
    alone = {key for key in counts if sizes[groups.get(key, key)] == 1}
    offered = {key: rows if key in alone else -np.abs(rows) for key, rows in counts.items() if key not in whole}
    kept = {key: blocks for key, blocks in past.held_blocks.items() if key in alone}
    return whole, choose_blocks(offered, kept, may_grow=not whole)


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


def _looks(project: Project, keys: Set[str]) -> Generator[TrainEvent, None, dict[str, bytes]]:
    """Fingerprints of these items, as far as they are still there, and of the test images."""
    needed = [item for item in project.items if item.key in keys]
    test = [item for item in project.items if item.split is Split.TEST and item.key not in keys]
    return (yield from fingerprints(project.folder / FOLDER / "likeness.json", needed, test))


def _grouped(
    project: Project, found: Mapping[str, bytes], labelled: Set[str], past: Exposure
) -> tuple[dict[str, str], Exposure]:
    """Key -> group of those labelled, learned and test images that look alike; and what was learned.

    That has the names, too, under which images are in groups that were replaced or removed since.
    """
    gone = recall(project.folder / FOLDER / _LEARNED, past.trained, found)
    return groups({**found, **gone}, labelled), replace(past, trained=past.trained | gone.keys())


def _like_elsewhere(project: Project, keys: list[str], groups: Mapping[str, str]) -> list[str]:
    """Those of ``keys`` to learn from that look like an image of split test or val; none where all do.

    All do where a camera stands: then there is no evidence, but something to learn from.
    """
    taking_part = set(keys)
    measured = {
        groups.get(item.key)
        for item in project.items
        if item.split is Split.TEST or (item.split is Split.VAL and item.key in taking_part)
    } - {None}
    to_learn = [key for key in keys if project.item(key).split is not Split.VAL]
    alike = [key for key in to_learn if groups.get(key) in measured]
    return alike if len(alike) < len(to_learn) else []


def _unlike(images: list[LabelledImage], learned: Set[str], groups: Mapping[str, str]) -> list[LabelledImage]:
    """Without the images that look like another one that was ever learned from."""
    owners: dict[str, set[str]] = {}
    for key in groups.keys() & learned:
        owners.setdefault(groups[key], set()).add(owner(key))
    return [i for i in images if not owners.get(groups.get(i.key, ""), set()) - {i.key}]


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

    def load_accepted() -> BoolMask:
        info = read_info(item.image_path, item.page)
        accepted: BoolMask = project.load_annotation(item, info.width, info.height).provenance == Provenance.ACCEPTED
        return accepted

    return LabelledImage(item.key, load, load_accepted=load_accepted)


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
