"""Downloads, against a real server on this machine."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pspnet_core import download as module
from pspnet_core.download import DownloadProgress, RemoteFile, download, part_of
from pspnet_core.errors import DownloadError, StorageError
from tests.helpers.file_server import FileServer, serving

DATA = random.Random(0).randbytes(3_000_000)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server():
    with serving(FileServer(DATA)) as running:
        yield running


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "net.pth"


def remote(server: FileServer, num_bytes: int | None = len(DATA), sha256: str = DIGEST) -> RemoteFile:
    return RemoteFile(server.url, num_bytes, sha256)


def fetch(wanted: RemoteFile, target: Path, **options) -> list[DownloadProgress]:
    return list(download(wanted, target, **{"timeout_s": 2.0, "pause_s": 0.01, **options}))


def files(target: Path) -> list[str]:
    return sorted(p.name for p in target.parent.iterdir())


@pytest.mark.parametrize("num_bytes", [len(DATA), None])
def test_a_whole_file(server, target, num_bytes) -> None:
    events = fetch(remote(server, num_bytes), target)
    assert target.read_bytes() == DATA
    assert files(target) == ["net.pth"]
    assert events[0].done_bytes == 0
    assert events[-1] == DownloadProgress(len(DATA), len(DATA), 1)
    assert events[-1].to_json() == {"event": "download", "done": len(DATA), "total": len(DATA), "attempt": 1}
    assert server.requests == [None]


def test_the_first_digits_of_the_checksum_are_enough(server, target) -> None:
    fetch(remote(server, None, DIGEST[:8]), target)
    assert target.read_bytes() == DATA


def test_an_older_file_is_replaced(server, target) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    fetch(remote(server), target)
    assert target.read_bytes() == DATA


def test_without_a_length_the_end_of_the_connection_ends_it(server, target) -> None:
    server.announced = 0
    fetch(remote(server, None), target)
    assert target.read_bytes() == DATA


def test_a_cut_connection_is_taken_up_where_it_ended(server, target) -> None:
    server.cut_after = [1_000_000, 500_000]
    events = fetch(remote(server), target)
    assert target.read_bytes() == DATA
    assert server.requests == [None, "bytes=1000000-", "bytes=1500000-"]
    assert events[-1].attempt == 3


def test_a_later_call_goes_on(server, target) -> None:
    server.cut_after = [1_000_000]
    with pytest.raises(DownloadError) as caught:
        fetch(remote(server), target, max_failures=0)
    assert "it goes on" in caught.value.remedy
    assert "1.0 MB are kept" in caught.value.detail
    assert part_of(target).read_bytes() == DATA[:1_000_000]
    events = fetch(remote(server), target)
    assert target.read_bytes() == DATA
    assert server.requests == [None, "bytes=1000000-"]
    assert [e.done_bytes for e in events] == sorted(e.done_bytes for e in events)


def test_it_gives_up_when_nothing_more_comes(server, target) -> None:
    server.cut_after = [70_000] + [0] * 10
    with pytest.raises(DownloadError, match="completely"):
        fetch(remote(server), target, max_failures=2)
    assert len(server.requests) == 3
    assert files(target) == ["net.pth.part"]


def test_a_server_that_knows_no_ranges_begins_again(server, target) -> None:
    server.ranges, server.cut_after = False, [1_000_000]
    fetch(remote(server), target)
    assert target.read_bytes() == DATA
    assert server.requests == [None, "bytes=1000000-"]


def test_a_part_that_is_complete_needs_no_more_bytes(server, target) -> None:
    for num_bytes, requests in ((len(DATA), []), (None, [f"bytes={len(DATA)}-"])):
        target.parent.mkdir(exist_ok=True)
        part_of(target).write_bytes(DATA)
        server.requests.clear()
        fetch(remote(server, num_bytes), target)
        assert target.read_bytes() == DATA
        assert server.requests == requests


def test_a_part_that_is_too_long_is_dropped(server, target) -> None:
    for num_bytes in (len(DATA), None):
        target.parent.mkdir(exist_ok=True)
        part_of(target).write_bytes(DATA + b"more")
        fetch(remote(server, num_bytes), target)
        assert target.read_bytes() == DATA


def test_a_wrong_checksum_is_refused_and_deleted(server, target) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(remote(server, sha256="0" * 64), target)
    assert DIGEST in caught.value.detail
    assert "0" * 64 in caught.value.detail
    assert files(target) == []
    assert len(server.requests) == 1


def test_a_file_that_changed_meanwhile_is_refused_and_deleted(server, target) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="not the file that was expected"):
        fetch(remote(server), target)
    assert files(target) == []
    fetch(remote(server), target)
    assert target.read_bytes() == DATA


def test_a_wrong_size_is_refused_before_anything_is_written(server, target) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(remote(server, len(DATA) + 1), target)
    assert str(len(DATA) + 1) in caught.value.detail
    assert files(target) == []


def test_a_file_without_an_end_is_stopped(server, target) -> None:
    server.announced = 0
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch(RemoteFile(server.url, None, DIGEST, about_bytes=1_000_000), target)
    assert files(target) == []


def test_a_length_far_from_the_expected_one_is_refused_before_anything_is_written(server, target) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(RemoteFile(server.url, None, DIGEST, about_bytes=2_000_000), target)
    assert "3000000 bytes; expected about 2000000" in caught.value.detail
    assert files(target) == []
    fetch(RemoteFile(server.url, None, DIGEST, about_bytes=2_900_000), target)
    assert target.read_bytes() == DATA


def test_a_length_that_is_told_later_must_fit_too(server, target, monkeypatch) -> None:
    usage = shutil.disk_usage(target.parent.parent)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=18_000_000))
    with pytest.raises(StorageError, match="not enough space") as caught:
        fetch(remote(server, None), target)
    assert "3.0 MB are still to come" in caught.value.detail
    assert server.requests == [None]
    assert files(target) == []


def test_one_at_a_time(server, target) -> None:
    """Two that append to the same part would spoil it."""
    server.chunk_pause_s = 0.01
    first = download(remote(server), target)
    while next(first).done_bytes < 100_000:
        pass
    with pytest.raises(DownloadError, match="being downloaded already") as caught:
        fetch(remote(server), target)
    assert "net.pth.part.lock" in caught.value.detail
    assert caught.value.remedy
    for _ in first:
        pass
    assert target.read_bytes() == DATA
    assert files(target) == ["net.pth"]
    assert server.requests == [None]
    fetch(remote(server), target)


def test_another_program_that_downloads_is_noticed(server, target) -> None:
    code = (
        "import sys, pathlib\n"
        "from pspnet_core.download import RemoteFile, download\n"
        "events = download(RemoteFile(sys.argv[1], None, sys.argv[2]), pathlib.Path(sys.argv[3]))\n"
        "next(events)\n"
        "print('begun', flush=True)\n"
        "sys.stdin.read()\n"
    )
    arguments = [sys.executable, "-c", code, server.url, DIGEST, str(target)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(DownloadError, match="being downloaded already"):
            fetch(remote(server), target)
        other.kill()
    assert files(target) == ["net.pth.part.lock"]  # it could not tidy up; what it has left locks nothing
    fetch(remote(server), target)
    assert files(target) == ["net.pth"]


def test_not_found(server, target) -> None:
    server.status = [404] * 9
    with pytest.raises(DownloadError) as caught:
        fetch(remote(server), target)
    assert "404" in caught.value.detail
    assert server.url in caught.value.detail
    assert caught.value.remedy
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again(server, target) -> None:
    server.status = [503, 500]
    fetch(remote(server), target)
    assert target.read_bytes() == DATA


def test_a_refused_connection_is_told_at_once(tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        fetch(RemoteFile(f"http://127.0.0.1:{port}/a.pth", 5, "0" * 8), tmp_path / "a.pth", pause_s=30)
    assert time.monotonic() - begin < 5
    assert "refused" in caught.value.detail.lower()
    assert list(tmp_path.iterdir()) == []


def test_silence_ends_after_the_timeout_and_is_reported_meanwhile(server, target) -> None:
    server.silent_after = 500_000
    begin = time.monotonic()
    times = []

    def watch() -> None:
        for _ in download(remote(server), target, timeout_s=0.8, max_failures=0):
            times.append(time.monotonic())

    with pytest.raises(DownloadError, match="completely"):
        watch()
    assert 0.7 < times[-1] - begin < 5
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.6
    assert len(part_of(target).read_bytes()) == 500_000


def test_progress_comes_often_but_not_too_often(server, target) -> None:
    server.chunk_pause_s = 0.02
    times = []
    for _ in download(remote(server), target):
        times.append(time.monotonic())
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert len(times) > 4
    assert max(gaps) < 0.5
    assert len(times) <= 3 + (times[-1] - times[0]) / 0.05  # 20 Hz


def test_closing_cancels_and_keeps_what_has_come(server, target) -> None:
    server.chunk_pause_s = 0.02
    events = download(remote(server), target)
    while next(events).done_bytes < 300_000:
        pass
    events.close()
    kept = part_of(target).read_bytes()
    assert len(kept) >= 300_000
    assert DATA.startswith(kept)
    assert files(target) == ["net.pth.part"]
    server.chunk_pause_s = 0
    fetch(remote(server), target)
    assert target.read_bytes() == DATA


def test_too_little_space_is_told_beforehand(server, target, monkeypatch) -> None:
    usage = shutil.disk_usage(target.parent.parent)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(StorageError, match="not enough space") as caught:
        fetch(remote(server), target)
    assert "1.0 MB" in caught.value.detail
    assert server.requests == []


def test_a_disk_that_fills_up(server, target, monkeypatch) -> None:
    original = module._append

    def full(stream, data):
        original(stream, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "_append", full)
    with pytest.raises(StorageError, match="disk is full") as caught:
        fetch(remote(server), target)
    assert "3.0 MB" in caught.value.remedy
    assert files(target) == []


def test_a_disk_that_is_really_full(server, tmp_path) -> None:
    if sys.platform != "linux":
        pytest.skip("needs a file system of its own")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system")
    try:
        server.announced = 0  # else it would be told beforehand
        with pytest.raises(StorageError, match="disk is full"):
            fetch(remote(server, None), tmp_path / "net.pth")
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_made(server, tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        fetch(remote(server), tmp_path / "file" / "net.pth")


def test_impossible_descriptions_are_refused() -> None:
    with pytest.raises(ValueError, match="http"):
        RemoteFile("file:///etc/passwd", None, DIGEST)
    with pytest.raises(ValueError, match="sha256"):
        RemoteFile("https://example.org/a", None, "1234567")
    assert RemoteFile("https://example.org/x/a-1.pth?b=c", 1_500_000, DIGEST).name == "a-1.pth"
    sizes = [
        RemoteFile("https://example.org/a", n, DIGEST, about).size_text for n, about in ((1_540_000, 9), (None, 2))
    ]
    assert sizes == ["1.5 MB", "about 0.0 MB"]


def test_needs_no_torch() -> None:
    code = "import sys, pspnet_core.download; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
