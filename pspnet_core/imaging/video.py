"""A video as a folder of frames: every n-th of them, or one every so many seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pspnet_core.atomic import atomic_writer
from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.decoding import check_size
from pspnet_core.types import RgbImage

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".mts"})
"""Suffixes (lower case) of files that are taken for videos."""

FRAME_SUFFIXES = {".png": "PNG", ".jpg": "JPEG"}
"""What frames are written as."""

_STEP_S = 0.15
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames are taken; the first one always is.

    Attributes:
        every_frames: Every so many frames; None when ``every_s`` says it.
        every_s: One in so many seconds of the video.
        suffix: ``.png`` or ``.jpg``.

    Raises:
        ValueError: Not exactly one of the two is given, or it is not above 0, or the suffix is another one.
    """

    every_frames: int | None = None
    every_s: float | None = None
    suffix: str = ".png"

    def __post_init__(self) -> None:
        if (self.every_frames is None) == (self.every_s is None):
            raise ValueError("give either every_frames or every_s")
        if (self.every_frames or 0) < 1 and not 0 < (self.every_s or 0) < float("inf"):
            raise ValueError(f"expected more than 0, got {self.every_frames or self.every_s}")
        if self.suffix not in FRAME_SUFFIXES:
            raise ValueError(f"a frame is written as {', '.join(FRAME_SUFFIXES)}, not {self.suffix}")


@dataclass(frozen=True, slots=True)
class VideoProgress:
    """How far it is.

    Attributes:
        num_read: Frames of the video so far.
        num_frames: Frames that its header promises; 0 when it does not tell.
        num_written: Images that are in the folder by now.
    """

    num_read: int
    num_frames: int
    num_written: int

    def to_json(self) -> dict[str, Any]:
        """One line of a log."""
        return {"event": "progress"} | asdict(self)


@dataclass(frozen=True, slots=True)
class VideoSampled:
    """The end.

    Attributes:
        folder: Where the frames are.
        num_written: Images in it that were written now.
        num_kept: Images that were there before and stayed as they were.
    """

    folder: Path
    num_written: int
    num_kept: int

    def to_json(self) -> dict[str, Any]:
        """One line of a log."""
        return {"event": "sampled"} | asdict(self) | {"folder": str(self.folder)}


def frames_folder(video: Path) -> Path:
    """Where the frames of a video go when nobody says otherwise: into a folder beside it, named after it."""
    return video.with_name(f"{video.stem}-frames")


def sample_video(video: Path, folder: Path, sampling: Sampling) -> Iterator[VideoProgress | VideoSampled]:
    """Write frames of a video as images: ``<name>_f<number of the frame, from 0>.png``.

    Frames that are in the folder already are left as they are, so that what was cancelled is gone on with. What was
    filmed with a turned camera is turned upright. The last event is ``VideoSampled``.

    Args:
        video: The file.
        folder: Is made.
        sampling: Which frames.

    Raises:
        ImageReadError: The file is missing, or no video that can be read, or its frames are too large.
        StorageError: A frame could not be written; those before are there.
    """
    from pspnet_core.imaging.cv import cv2

    if not video.is_file():
        raise ImageReadError(f"There is no video {video.name}.", f"{video}.", "Check the path.")
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)  # the name is never taken for a pattern or an address
    try:
        if not capture.isOpened():
            raise _unreadable(video, "it could not be opened as a video")
        num_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        number = num_written = num_kept = 0
        next_s, then = 0.0, time.monotonic()
        while capture.grab():
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if sampling.every_s is None:
                is_taken = number % (sampling.every_frames or 1) == 0
            elif is_taken := number == 0 or seconds >= next_s - 1e-6:
                next_s = (np.floor(seconds / sampling.every_s + 1e-6) + 1) * sampling.every_s
            if is_taken:
                path = folder / f"{video.stem}_f{number:06d}{sampling.suffix}"
                if path.exists():
                    num_kept += 1
                elif (pixels := _retrieve(video, capture)) is not None:
                    _write(path, pixels)
                    num_written += 1
            number += 1
            if time.monotonic() - then > _STEP_S:
                yield VideoProgress(number, num_frames, num_written)
                then = time.monotonic()
        if not num_written + num_kept:
            raise _unreadable(video, "it holds no frame that could be decoded")
        yield VideoProgress(number, num_frames, num_written)
        yield VideoSampled(folder, num_written, num_kept)
    finally:
        capture.release()


def _retrieve(video: Path, capture: Any) -> RgbImage | None:
    """The frame that was grabbed last; None when it is damaged."""
    is_there, frame = capture.retrieve()
    if not is_there or frame is None or frame.ndim != 3:
        return None
    check_size(video, frame.shape[1], frame.shape[0])
    return np.ascontiguousarray(frame[:, :, ::-1])


def _write(path: Path, pixels: RgbImage) -> None:
    options = {"quality": _JPEG_QUALITY} if path.suffix == ".jpg" else {"compress_level": 1}
    with atomic_writer(path) as stream:
        Image.fromarray(pixels).save(stream, FRAME_SUFFIXES[path.suffix], **options)


def _unreadable(video: Path, why: str) -> ImageReadError:
    return ImageReadError(
        f"{video.name} could not be read as a video.",
        f"{video}: {why}.",
        "Convert it to MP4 (H.264), or check whether the file is complete.",
    )
