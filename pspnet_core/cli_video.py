"""The command ``sample-video``. Importing it imports no OpenCV."""

from __future__ import annotations

import argparse
from pathlib import Path

from pspnet_core.cli_output import Output, UsageError


def add_sample_video(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``sample-video``; it sets ``run``: options -> exit code."""
    parser = commands.add_parser(
        "sample-video",
        help="write frames of a video as images",
        description="Write every n-th frame of a video, or one every so many seconds, into a folder that can be opened "
        "as a project. Frames that are there already stay as they are.",
    )
    parser.add_argument("video", metavar="VIDEO", type=Path, help="the video file")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for the frames (default: VIDEO-frames beside it)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--every", metavar="N", type=int, help="take every N-th frame")
    which.add_argument("--seconds", metavar="S", type=float, help="take one frame every S seconds (default: 1)")
    parser.add_argument("--jpeg", action="store_true", help="write JPEG files, smaller and not exact, instead of PNG")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    parser.set_defaults(run=_sample_video)


def _sample_video(options: argparse.Namespace) -> int:
    from pspnet_core.imaging.video import Sampling, VideoSampled, frames_folder, sample_video

    seconds = 1.0 if options.seconds is None and options.every is None else options.seconds
    try:
        sampling = Sampling(options.every, seconds, ".jpg" if options.jpeg else ".png")
    except ValueError as error:
        raise UsageError("--every and --seconds have to be more than 0.", str(error)) from error
    output = Output(options.json)
    folder = options.out or frames_folder(options.video)
    for event in sample_video(options.video, folder, sampling):
        output.event(event.to_json())
        if isinstance(event, VideoSampled):
            kept = f" {event.num_kept} were there before." if event.num_kept else ""
            output.text(f"{event.num_written} frame(s) were written to {event.folder}.{kept}")
    return 0
