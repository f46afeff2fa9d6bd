"""A video becomes a folder of frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pspnet_core.cli import DONE, FAILED, MISUSED, main
from pspnet_core.errors import ImageReadError
from pspnet_core.imaging.cv import cv2
from pspnet_core.imaging.read import read_image
from pspnet_core.imaging.video import Sampling, VideoSampled, frames_folder, sample_video
from pspnet_core.project.project import Project

FPS, NUM = 10, 30


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds; frame n is of one red, 8 n, so that each can be told from the others."""
    path = tmp_path_factory.mktemp("video") / "walk 100%d.avi"
    writer = cv2.VideoWriter(str(path).replace("%d", ""), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 48))
    for n in range(NUM):
        frame = np.full((48, 64, 3), 60, np.uint8)
        frame[..., 2] = 8 * n  # blue, green, red
        writer.write(frame)
    writer.release()
    return Path(str(path).replace("%d", "")).rename(path)  # a name that looks like a pattern of numbered images


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem.rpartition("_f")[2]) for path in folder.iterdir())


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(every_frames=10), [0, 10, 20]),
        (Sampling(every_frames=1), list(range(NUM))),
        (Sampling(every_s=1.0), [0, 10, 20]),
        (Sampling(every_s=0.5), [0, 5, 10, 15, 20, 25]),
        (Sampling(every_s=100.0, suffix=".jpg"), [0]),
    ],
)
def test_frames_are_taken_by_number_or_by_time(
    tmp_path: Path, video: Path, sampling: Sampling, expected: list[int]
) -> None:
    out = tmp_path / "frames"
    last = list(sample_video(video, out, sampling))[-1]
    assert last == VideoSampled(out, len(expected), 0)
    assert numbers(out) == expected
    for path in out.iterdir():
        red, green, blue = read_image(path)[24, 32].astype(int)
        assert abs(red - 8 * numbers_of(path)) < 12
        assert abs(green - 60) < 12
        assert abs(blue - 60) < 12


def numbers_of(path: Path) -> int:
    return int(path.stem.rpartition("_f")[2])


def test_what_was_cancelled_is_gone_on_with(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pspnet_core.imaging.video._STEP_S", 0.0)
    work = sample_video(video, tmp_path, Sampling(every_frames=5))
    for _ in range(6):
        next(work)
    work.close()
    assert numbers(tmp_path) == [0, 5]
    (tmp_path / f"{video.stem}_f000000.png").write_bytes(b"mine")
    last = list(sample_video(video, tmp_path, Sampling(every_frames=5)))[-1]
    assert last == VideoSampled(tmp_path, 4, 2)
    assert (tmp_path / f"{video.stem}_f000000.png").read_bytes() == b"mine"


def test_what_is_no_video_says_so(tmp_path: Path, video: Path) -> None:
    for name, data in (("a.mp4", b"hello"), ("b.mp4", b""), ("c.avi", video.read_bytes()[:200])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageReadError, match="could not be read as a video") as caught:
            list(sample_video(tmp_path / name, tmp_path / "out", Sampling(every_frames=1)))
        assert caught.value.remedy
    with pytest.raises(ImageReadError, match="There is no video"):
        list(sample_video(tmp_path / "gone.mp4", tmp_path / "out", Sampling(every_frames=1)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"every_frames": 1, "every_s": 1.0},
        {"every_frames": 0},
        {"every_s": -1.0},
        {"every_s": 1.0, "suffix": ".gif"},
    ],
)
def test_a_sampling_that_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"either|more than 0|written as"):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_the_command(tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "a.avi"
    copy.write_bytes(video.read_bytes())
    assert main(["sample-video", str(copy), "--json"]) == DONE
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["num_written"] == 3
    assert len(Project.open(frames_folder(copy)).items) == 3
    assert main(["sample-video", str(copy), "--every", "0"]) == MISUSED
    assert main(["sample-video", str(tmp_path / "none.avi")]) == FAILED
