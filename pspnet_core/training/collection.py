"""The labelled images of a project, divided into those to learn from and those to measure on."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from pspnet_core.classes import ClassSet
from pspnet_core.errors import PspnetError, TrainingError
from pspnet_core.imaging.read import read_image, read_info
from pspnet_core.project.project import Project
from pspnet_core.project.records import Item, ItemState, Split, Status
from pspnet_core.training.data import LabelledImage, unreadable
from pspnet_core.training.events import Phase, TrainEvent
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
    """

    classes: ClassSet
    train: list[LabelledImage] = field(default_factory=list)
    holdout: list[LabelledImage] = field(default_factory=list)
    rule: str = "none"
    num_images: int = 0


def collect(project: Project) -> Generator[TrainEvent, None, Collection]:
    """The labelled images of the project, divided into those to learn from and those held out.

    Raises:
        TrainingError: Nothing is labelled, or an image cannot be read.
    """
    items = [
        item
        for item in project.items
        if item.split is not Split.TEST
        and project.state(item.key).status is not Status.SKIPPED
        and (project.state(item.key).labelled_px or item.found_mask is not None)
    ]
    done = {i.key for i in items if project.state(i.key).status is Status.DONE}
    whole = choose_items([Candidate(i.key, i.split, i.key in done) for i in items])
    counts = {}
    labelled: list[Item] = []
    for number, item in enumerate(items):
        yield Phase("read", number / len(items))
        try:
            info = read_info(item.image_path, item.page)
            class_map = project.load_annotation(item, info.width, info.height).class_map
        except (PspnetError, OSError) as error:
            raise unreadable(item.key, error) from error
        if not (class_map != UNLABELLED).any():
            continue
        labelled.append(item)
        if not whole:
            counts[item.key] = count_blocks(class_map, _evidence(project.state(item.key)))
    blocks = choose_blocks(counts) if not whole else {}
    data = Collection(project.classes, num_images=len(labelled))
    for item in labelled:
        make = partial(_labelled_image, project, item, data.classes, item.key in done)
        if item.key in whole:
            data.holdout.append(make(frozenset(), None))
        else:
            data.train.append(make(blocks.get(item.key, frozenset()), False))
            if item.key in blocks:
                data.holdout.append(make(blocks[item.key], True))
    data.rule = ("val" if any(i.split is Split.VAL for i in labelled) else "items") if whole else "blocks"
    data.rule = data.rule if data.holdout else "none"
    if not data.train:
        raise TrainingError(
            "There is nothing to learn from.",
            "No image of split train or none has a labelled pixel.",
            "Paint some pixels of each class, then train.",
        )
    return data


def _evidence(state: ItemState) -> list[bool] | None:
    """Which blocks may be measured on; None for all: what was labelled before any prediction was shown, or is done."""
    if state.status is Status.DONE or not state.prediction_shown:
        return None
    return blocks_from_hex(state.unaided_blocks)


def _labelled_image(
    project: Project,
    item: Item,
    classes: ClassSet,
    is_done: bool,
    blocks: frozenset[int],
    is_evidence: bool | None,
) -> LabelledImage:
    """An item as training data (``is_evidence`` False: without the blocks), evidence (True: only them) or whole."""
    known = np.zeros(256, bool)
    known[list(classes.indices)] = True

    def load() -> tuple[RgbImage, ClassMap]:
        image = read_image(item.image_path, item.page)
        annotation = project.load_annotation(item, image.shape[1], image.shape[0])
        class_map = np.where(known[annotation.class_map], annotation.class_map, np.uint8(UNLABELLED))
        if is_evidence is not None and blocks:
            held = block_mask(class_map.shape, blocks)
            class_map[held != is_evidence] = UNLABELLED
            if is_evidence and not is_done:
                class_map[annotation.provenance == Provenance.ACCEPTED] = UNLABELLED
        return image, class_map

    return LabelledImage(item.key, load)
