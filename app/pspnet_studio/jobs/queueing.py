"""What the queue of next images is made from: which images take part, what they look like, how sure the model is."""

from __future__ import annotations

import io
import logging
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pspnet_core.atomic import write_bytes
from pspnet_core.cache_folder import delete_oldest, hashed_name
from pspnet_core.errors import PspnetError, StorageError
from pspnet_core.imaging.opening import file_version, read_small
from pspnet_core.imaging.source import ArraySource
from pspnet_core.inference.ranking import SPEC, ImageSummary, Ranked, rank
from pspnet_core.project.project import Item, ItemState, Project, Split, Status
from pspnet_core.types import RgbImage
from pspnet_studio.jobs.prediction import PredictionEngine, Request

if TYPE_CHECKING:
    from pspnet_core.inference.logits import LogitGrid
    from pspnet_core.inference.summaries import Summariser

logger = logging.getLogger(__name__)

MAX_CANDIDATES = 1_000
"""So many images are looked at; of larger projects a sample that stays the same."""

_MAX_CORRECTED = 1_000
_LITTLE = 0.01  # labelled share below which an image counts as not corrected yet
_PICTURE_PX = 512
_BUDGET_BYTES = 64 * 1024 * 1024

Cells = NDArray[np.float16]


class Role(Enum):
    """What an image is to the queue."""

    CANDIDATE = "candidate"
    """May be suggested."""
    CORRECTED = "corrected"
    """The model can learn from it already."""
    NONE = "none"
    """Skipped, or not of a split that is trained on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which images take part.

    Attributes:
        candidates: May be suggested.
        corrected: What the model can learn from already.
        roles: Of all images that could take part, by key: :func:`role`.
    """

    candidates: tuple[Item, ...]
    corrected: tuple[Item, ...]
    roles: Mapping[str, Role]


def plan(project: Project, max_candidates: int = MAX_CANDIDATES) -> Plan:
    """Choose what takes part: images of the splits ``none`` and ``train`` that are not skipped.

    Corrected is what is marked as done or has more than a hundredth of its pixels labelled, by whatever means; a mask
    that was found and never opened counts as labelled. Where there are too many, those with the smallest checksums of
    their keys take part, so that the sample stays the same while images come and go.
    """
    roles = {item.key: role(item, project.state(item.key)) for item in project.items}
    candidates, corrected = (
        [item for item in project.items if roles.get(item.key) is wanted] for wanted in (Role.CANDIDATE, Role.CORRECTED)
    )
    return Plan(_sample(candidates, max_candidates), _sample(corrected, _MAX_CORRECTED), roles)


def role(item: Item, state: ItemState) -> Role:
    """What an image is to the queue. ``test`` and ``val`` are never ranked."""
    if item.split not in (Split.NONE, Split.TRAIN) or state.status is Status.SKIPPED:
        return Role.NONE
    if state.status is Status.DONE:
        return Role.CORRECTED
    if state.total_px == 0:
        return Role.CANDIDATE if item.found_mask is None else Role.CORRECTED
    return Role.CORRECTED if state.labelled_px > _LITTLE * state.total_px else Role.CANDIDATE


def _sample(items: list[Item], count: int) -> tuple[Item, ...]:
    if len(items) <= count:
        return tuple(items)
    chosen = sorted(items, key=lambda item: zlib.crc32(item.key.encode()))[:count]
    return tuple(chosen)


class SummaryStore:
    """Features and doubts of one project's images in a folder; what was used longest ago goes when there is too much.

    A cache: whatever is missing, damaged or of another file is computed again.

    Args:
        folder: Of the project; is made when something is kept.
        budget_bytes: Of all files together.
    """

    def __init__(self, folder: Path, budget_bytes: int = _BUDGET_BYTES) -> None:
        self._folder = folder
        self._budget = budget_bytes

    def get(self, key: Sequence[object], num_arrays: int) -> tuple[NDArray[Any], ...] | None:
        """The arrays that were kept under ``key``; None where there are none that can be trusted."""
        try:
            data = self._path(key).read_bytes()
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                return tuple(stored[f"arr_{n}"] for n in range(num_arrays))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None

    def put(self, key: Sequence[object], *arrays: NDArray[Any]) -> None:
        """Keep arrays. Raises: StorageError."""
        stream = io.BytesIO()
        np.savez_compressed(stream, *arrays)
        write_bytes(self._path(key), stream.getvalue())

    def tidy(self) -> None:
        """Delete the oldest files while all together are too large."""
        delete_oldest(self._folder, "*.npz", self._budget)

    def _path(self, key: Sequence[object]) -> Path:
        return self._folder / f"{hashed_name(key)}.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What is to be found out about an image.

    Attributes:
        item: The image.
        cells: Its features where they are known.
        wants_doubt: Whether to ask the model, too.
    """

    item: Item
    cells: Cells | None
    wants_doubt: bool


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What was read of an image.

    Attributes:
        wish: What for.
        summary: All that was kept of it; None when something has to be computed.
        cells: Features, where they are known.
        picture: (h, w, 3) uint8 RGB, reduced; None where it is not needed.
        stamp: Of the file.
        error: Why there is no picture.
    """

    wish: Wish
    summary: ImageSummary | None = None
    cells: Cells | None = None
    picture: RgbImage | None = None
    stamp: object = None
    error: PspnetError | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What is known of an image now.

    Attributes:
        look: What it was computed from.
        summary: For the ranking.
    """

    look: Look
    summary: ImageSummary


def read_pictures(wishes: Sequence[Wish], store: SummaryStore, checkpoint: Path | None) -> Iterator[Look]:
    """Look up what was kept and read reduced pictures of the rest; for the io lane.

    A file that cannot be read is a Look with its error.

    Args:
        wishes: What is to be found out.
        store: What was kept.
        checkpoint: Of the version in use; None for none.
    """
    for wish in wishes:
        item = wish.item
        stamp = file_version(item.image_path)
        place = str(item.image_path), item.page, stamp
        cells = wish.cells
        if cells is None and (kept := store.get((SPEC, *place), 1)) is not None:
            cells = kept[0]
        doubt = None
        if wish.wants_doubt and checkpoint is not None:
            doubt = store.get((SPEC, *place, str(checkpoint), file_version(checkpoint)), 2)
        if cells is not None and (doubt is not None or not wish.wants_doubt):
            yield Look(wish, ImageSummary(cells, *(doubt or ())), cells, None, stamp)
            continue
        try:
            picture = read_small(item.image_path, item.page, _PICTURE_PX)
        except PspnetError as error:
            yield Look(wish, error=error)
        else:
            yield Look(wish, None, cells, picture, stamp)


def keep_found(found: Sequence[Found], store: SummaryStore, checkpoint: Path | None) -> None:
    """Write to the disk what had to be computed; for the io lane. Raises: StorageError."""
    for entry in found:
        look, summary = entry.look, entry.summary
        item = look.wish.item
        place = str(item.image_path), item.page, look.stamp
        if look.cells is None:
            store.put((SPEC, *place), summary.cells)
        if summary.doubt is not None and summary.class_ids is not None and checkpoint is not None:
            key = (SPEC, *place, str(checkpoint), file_version(checkpoint))
            store.put(key, summary.doubt, summary.class_ids)
    store.tidy()


class Engine(Protocol):
    """Computes what is not known; lives in the torch lane only."""

    def look(self, looks: Sequence[Look], checkpoint: Path | None) -> Iterator[Found | None]:
        """Yield what was found about each image that has a picture, and None in between."""
        ...


class QueueEngine:
    """Keeps the network of the features; predicts with what predicts the open image.

    Args:
        predictions: Has the predictor of the version in use.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, predictions: PredictionEngine, device: str = "auto") -> None:
        self._predictions = predictions
        self._device = device
        self._summariser: Summariser | None = None

    def look(self, looks: Sequence[Look], checkpoint: Path | None) -> Iterator[Found | None]:
        """As :meth:`Engine.look`.

        Raises:
            CheckpointError: The network of the features or the version is missing or damaged.
            DeviceError: The device is not there, or its memory ran out.
        """
        from pspnet_core.inference.summaries import Summariser, summary

        if self._summariser is None and any(look.cells is None for look in looks):
            self._summariser = Summariser(self._device)
            yield None
        for look in looks:
            if look.picture is None:
                continue
            cells = look.cells
            if cells is None:
                assert self._summariser is not None
                cells = self._summariser.cells(look.picture)
                yield None
            logits = None
            if look.wish.wants_doubt and checkpoint is not None:
                logits = yield from self._logits(checkpoint, look.picture)
            yield Found(look, summary(cells, logits))

    def _logits(self, checkpoint: Path, picture: RgbImage) -> Generator[None, None, LogitGrid | None]:
        height, width = picture.shape[:2]
        logits: LogitGrid | None = None
        for event in self._predictions.predict(Request(checkpoint, height, width, source=ArraySource(picture))):
            logits = getattr(event, "logits", None)
            yield None
        return logits


def ranked(
    summaries: Mapping[str, ImageSummary], project: Project, labelled_px: Mapping[int, int]
) -> tuple[Ranked, ...]:
    """Put the images that are known in order; for the tool lane: it takes up to half a second."""
    roles = {key: role(project.item(key), project.state(key)) for key in summaries}
    of_use = {key: summary for key, summary in summaries.items() if roles[key] is not Role.NONE}
    corrected = [key for key in of_use if roles[key] is Role.CORRECTED]
    return tuple(rank(of_use, corrected, labelled_px))


def try_to_keep(found: Sequence[Found], store: SummaryStore, checkpoint: Path | None) -> None:
    """As :func:`keep_found`; a full disk is told by what matters more than a cache."""
    try:
        keep_found(found, store, checkpoint)
    except StorageError as error:
        logger.warning("summaries of images are not kept: %s", error)
