"""train, predict and evaluate on the command line, on tiny pictures."""

import json
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from pspnet_core import cli  # noqa: E402
from pspnet_core.imaging.class_maps import read_class_map  # noqa: E402
from pspnet_core.models.checkpoint import load_checkpoint  # noqa: E402
from tests.helpers.tiny import CLASSES, write_data_set  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data_set(tmp_path_factory.mktemp("data"), train=4, val=1, test=2)


@pytest.fixture(scope="module")
def checkpoint(data):
    path = data / "net.safetensors"
    assert run("train", data, "--out", path, "--steps", 3) == 0
    return path


def run(*arguments):
    return cli.main([str(a) for a in arguments] + (["--device", "cpu"] if "--device" not in arguments else []))


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def test_train_reports_events_and_writes_a_checkpoint(data, tmp_path, capsys):
    out = tmp_path / "deep" / "x.safetensors"
    assert run("train", data, "--out", out, "--steps", 2, "--images", 2, "--seed", 5, "--json") == 0
    events = rows(capsys.readouterr().out)
    assert [e["step"] for e in events if e["event"] == "step"] == [1, 2]
    assert events[-1]["event"] == "finished"
    assert events[-1]["metrics"]["train_images"] == 2
    assert events[-1]["metrics"]["holdout_images"] == 1
    loaded = load_checkpoint(out)
    assert loaded.classes == CLASSES
    assert loaded.origin["images"] == 2
    assert [p.name for p in out.parent.iterdir()] == ["x.safetensors"]


def test_seconds_include_the_preparation(data, tmp_path, capsys, monkeypatch):
    from pspnet_core.project import dataset

    original = dataset.open_dataset

    def slow(path):
        time.sleep(2.0)
        return original(path)

    monkeypatch.setattr(dataset, "open_dataset", slow)
    assert run("train", data, "--out", tmp_path / "x.safetensors", "--seconds", 4, "--json") == 0
    assert rows(capsys.readouterr().out)[-1]["metrics"]["seconds"] < 3.0


def test_train_goes_on_from_a_checkpoint(data, checkpoint, tmp_path):
    assert run("train", data, "--out", tmp_path / "y.safetensors", "--init", checkpoint, "--steps", 1) == 0


def test_train_goes_on_where_it_was_interrupted(data, tmp_path, capsys, monkeypatch):
    from pspnet_core.training import loop
    from pspnet_core.training.keeping import Keeper
    from pspnet_core.training.learner import Learner

    out, state = tmp_path / "x.safetensors", tmp_path / "x.safetensors.state"
    make = Keeper.__init__

    def at_once(self, *args):
        make(self, *args)
        self._period_s = self._wait_s = 0.0

    step = Learner.step

    def interrupted(self, *args):
        if self.num_steps == 2:
            raise KeyboardInterrupt
        yield from step(self, *args)

    command = ("train", data, "--out", out, "--steps", 3, "--json")
    assert run(*command) == 0
    whole = [row["loss"] for row in rows(capsys.readouterr().out) if row["event"] == "step"]
    monkeypatch.setattr(loop.Keeper, "__init__", at_once)
    monkeypatch.setattr(Learner, "step", interrupted)
    assert run(*command) == 1
    assert "--resume" in capsys.readouterr().err
    assert state.exists()
    monkeypatch.setattr(Learner, "step", step)
    assert run(*command, "--resume") == 0
    events = rows(capsys.readouterr().out)
    assert [row["step"] for row in events if row["event"] == "resumed"] == [2]
    assert [row["loss"] for row in events if row["event"] == "step"] == whole[2:]
    assert not state.exists()


def test_a_full_disk_at_the_end_loses_nothing(data, tmp_path, capsys, monkeypatch):
    from pspnet_core.errors import StorageError
    from pspnet_core.models import checkpoint
    from pspnet_core.training import keeping

    make, save = keeping.Keeper.__init__, checkpoint.save_checkpoint

    def at_once(self, *args):
        make(self, *args)
        self._period_s = self._wait_s = 0.0

    def full(*_):
        raise StorageError("The disk is full: x.safetensors could not be written.")

    monkeypatch.setattr(keeping.Keeper, "__init__", at_once)
    monkeypatch.setattr(checkpoint, "save_checkpoint", full)
    out = tmp_path / "x.safetensors"
    assert run("train", data, "--out", out, "--steps", 2, "--json") == 1
    told = capsys.readouterr()
    assert "--resume" in told.err
    monkeypatch.setattr(checkpoint, "save_checkpoint", save)
    assert run("train", data, "--out", out, "--steps", 2, "--json", "--resume") == 0
    events = rows(capsys.readouterr().out)
    assert not [row for row in events if row["event"] == "step"]
    assert events[-1]["checkpoint"] == rows(told.out)[-1]["checkpoint"] == load_checkpoint(out).id


def test_train_without_resume_starts_anew(data, tmp_path, capsys):
    state = tmp_path / "x.safetensors.state"
    state.write_bytes(b"of another time")
    assert run("train", data, "--out", tmp_path / "x.safetensors", "--steps", 1, "--json") == 0
    assert not [row for row in rows(capsys.readouterr().out) if row["event"] == "adjusted"]
    assert not state.exists()


def test_quick_starts_from_the_version_in_use(tmp_path, checkpoint, capsys):
    from pspnet_core.project.project import Project
    from pspnet_core.training.versions import VersionStore

    folder = write_data_set(tmp_path / "p", train=6, test=0)
    project = Project.open(folder)
    project.save()
    known = load_checkpoint(checkpoint)
    known.origin["projects"] = [project.uuid]
    store = VersionStore(project.folder / "versions")
    store.set_current(store.add(known, {}).number)
    out = tmp_path / "x.safetensors"
    assert run("train", folder, "--out", out, "--mode", "quick", "--steps", 1, "--json") == 0
    metrics = rows(capsys.readouterr().out)[-1]["metrics"]
    assert metrics["mode"] == "quick"
    assert (metrics["train_images"], "holdout_images" in metrics) == (6, False)  # it knows all of them
    assert load_checkpoint(out).origin["init"].endswith("checkpoint.safetensors")
    assert run("train", folder, "--out", out, "--steps", 1) == 0
    assert load_checkpoint(out).origin["init"] == "imagenet"


def test_train_holds_out_part_of_train_without_val(tmp_path, capsys):
    folder = write_data_set(tmp_path / "d", train=7, test=0)
    assert run("train", folder, "--out", tmp_path / "z.safetensors", "--steps", 1, "--json") == 0
    metrics = rows(capsys.readouterr().out)[-1]["metrics"]
    assert (metrics["train_images"], metrics["holdout_images"]) == (6, 1)


def test_evaluate(data, checkpoint, capsys):
    assert run("evaluate", checkpoint, data, "--json") == 0
    (result,) = rows(capsys.readouterr().out)
    assert (result["split"], result["images"]) == ("test", 2)
    assert 0 <= result["mean_iou"] <= 1
    assert set(result["iou"]) <= set(CLASSES.names)
    assert set(result["class_accuracy"]) == set(result["dice"]) == set(result["iou"])
    assert set(result["boundary_f1"]) <= set(CLASSES.names)
    for name in ("mean_iou_absent_zero", "frequency_weighted_iou", "mean_class_accuracy", "mean_dice"):
        assert 0 <= result[name] <= 1
    assert 0 <= result["expected_calibration_error"] <= 1
    assert result["mean_boundary_f1"] is None or 0 <= result["mean_boundary_f1"] <= 1
    assert result["boundary_tolerance"] == 0.0075
    assert run("evaluate", checkpoint, data, "--split", "val") == 0
    text = capsys.readouterr().out
    assert "mean IoU of 1 image(s), split val" in text
    assert "boundary F1 within 0.75% of the diagonal" in text


def test_threads_do_not_depend_on_the_load(data, checkpoint, monkeypatch):
    """All cores, or what the user has set: torch's own choice stays, however busy the machine is at the start."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 99.0, 99.0), raising=False)
    try:
        torch.set_num_threads(2)
        assert run("evaluate", checkpoint, data, "--split", "val") == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_predict_files_and_folders(data, checkpoint, tmp_path, capsys):
    out = tmp_path / "out"
    single = data / "images" / "test" / "p0.png"
    assert run("predict", checkpoint, single, data / "images", "--out", out, "--confidence", "--json") == 0
    events = rows(capsys.readouterr().out)
    assert events[-1] == {"event": "finished", "predicted": 7, "skipped": 0, "failed": 0}
    assert (out / "train" / "p3.png").exists()
    class_map = read_class_map(out / "test" / "p0.png")
    assert class_map.shape == (96, 96)
    assert set(np.unique(class_map)) <= set(CLASSES.indices)
    with Image.open(out / "test" / "p0.confidence.png") as image:
        assert (image.mode, image.size) == ("L", (96, 96))


def test_predict_goes_on_where_it_stopped(data, checkpoint, photos, tmp_path, capsys):
    out = tmp_path / "out"

    def finished(*options):
        assert run("predict", checkpoint, photos, "--out", out, "--json", *options) == 0
        events = [event for event in rows(capsys.readouterr().out) if event["event"] != "progress"]
        assert [event["done"] for event in events[:-1]] == [1, 2]
        return events[-1]["predicted"], events[-1]["skipped"]

    assert finished() == (2, 0)
    before = contents(out)
    assert finished() == (0, 2)
    (out / "a.png").unlink()
    assert finished() == (1, 1)
    assert contents(out) == before
    assert finished("--again") == (2, 0)
    assert finished("--flip") == (2, 0)  # something else
    assert finished("--flip", "--confidence") == (2, 0)
    assert finished("--flip", "--confidence") == (0, 2)
    with Image.open(photos / "a.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "a.png")
    assert finished("--flip", "--confidence") == (1, 1)


def test_predict_tells_how_far_a_large_image_is(checkpoint, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pspnet_core.cli_predict._PROGRESS_S", 0.0)
    assert run("predict", checkpoint, photos / "a.png", "--out", tmp_path / "o", "--window", 64, "--json") == 0
    events = rows(capsys.readouterr().out)
    shares = [event["share"] for event in events if event["event"] == "progress"]
    assert shares == sorted(shares)
    assert len(shares) == 4
    assert shares[-1] == 1


def test_predict_with_windows_and_scales(checkpoint, photos, tmp_path):
    options = ("--window", 64, "--scales", 0.75, 1, "--flip")
    assert run("predict", checkpoint, photos, "--out", tmp_path / "o", *options) == 0
    assert read_class_map(tmp_path / "o" / "a.png").shape == (96, 96)
    for wrong in (("--window", 50), ("--scales", 0.01)):
        assert run("predict", checkpoint, photos, "--out", tmp_path / "o2", *wrong) == 2
    assert not (tmp_path / "o2").exists()


def test_predict_is_shared_by_two_processes(checkpoint, data, tmp_path):
    """Under torchrun each image is predicted once, and a broken one in one process does not end the other."""
    folder = tmp_path / "in"
    shutil.copytree(data / "images", folder)
    (folder / "aaa.jpg").write_bytes(b"not an image")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "pspnet_studio", "predict", str(checkpoint), str(folder), "--out", str(tmp_path / "o"), "--json"]
    done = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    events = rows("\n".join(line for line in done.stdout.splitlines() if line.startswith("{")))
    ends = [event for event in events if event["event"] == "finished"]
    assert {end["rank"] for end in ends} == {0, 1}
    assert sum(end["predicted"] for end in ends) == 7
    assert sum(end["failed"] for end in ends) == 1
    assert len([event for event in events if event["event"] == "predicted"]) == 7
    assert len(list((tmp_path / "o").rglob("*.png"))) == 7


@pytest.mark.parametrize(("rank", "code"), [(0, 0), (1, 1)])
def test_each_process_looks_at_its_own_targets(checkpoint, photos, tmp_path, capsys, monkeypatch, rank, code):
    monkeypatch.setattr("pspnet_core.cli_predict.process_place", lambda: (rank, 2, rank))
    monkeypatch.setattr("pspnet_core.cli_predict._Together", lambda num_processes: nullcontext())
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "b.png").write_bytes(b"by hand")  # in the share of the second process
    assert run("predict", checkpoint, photos, "--out", tmp_path / "o") == code
    assert ("in the way" in capsys.readouterr().err) == bool(code)
    assert (tmp_path / "o" / "b.png").read_bytes() == b"by hand"


def test_predict_writes_beside_the_images_and_goes_on_there(data, checkpoint, photos, capsys):
    (photos / "a.png").unlink()
    for end in ({"predicted": 1, "skipped": 0}, {"predicted": 0, "skipped": 1}):
        assert run("predict", checkpoint, photos, "--out", photos, "--json") == 0
        assert rows(capsys.readouterr().out)[-1] == {"event": "finished", **end, "failed": 0}
    assert sorted(p.name for p in photos.iterdir()) == ["b.jpg", "b.png"]
    assert run("predict", checkpoint, photos, "--out", photos.parent) == 0
    assert (photos.parent / "b.png").exists()


def test_predict_keeps_images_of_one_stem_apart(data, checkpoint, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    with Image.open(data / "images" / "test" / "p0.png") as image:
        for suffix in ("png", "bmp"):
            image.save(folder / f"a.{suffix}")
    assert run("predict", checkpoint, folder, "--out", tmp_path / "o") == 0
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["a.bmp.png", "a.png.png"]


@pytest.fixture
def photos(data, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(data / "images" / "test" / "p0.png") as image:
        image.save(folder / "a.png")
        image.save(folder / "b.jpg")
    return folder


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_predict_never_writes_over_the_images(checkpoint, photos, tmp_path, capsys):
    before = contents(photos)
    (tmp_path / "link").symlink_to(photos)
    for out in (photos, tmp_path / "link"):
        assert run("predict", checkpoint, photos, "--out", out) == 1
        assert "a.png is one of the images" in capsys.readouterr().err
        assert contents(photos) == before


def test_predict_writes_over_its_own_files_only(checkpoint, photos, tmp_path, capsys):
    out = tmp_path / "out"
    for _ in range(2):
        assert run("predict", checkpoint, photos, "--out", out, "--confidence") == 0
    with Image.open(out / "b.confidence.png") as picture:
        confidence = np.array(picture)
    confidence[0, 0] ^= 1
    Image.fromarray(confidence).save(out / "b.confidence.png")
    before = contents(out)
    assert run("predict", checkpoint, photos, "--out", out, "--confidence") == 1
    assert "b.confidence.png" in capsys.readouterr().err
    assert contents(out) == before


def test_predict_keeps_confidence_and_class_maps_apart(checkpoint, photos, tmp_path, capsys):
    with Image.open(photos / "a.png") as image:
        image.save(photos / "a.confidence.png")
    assert run("predict", checkpoint, photos, "--out", tmp_path / "out", "--confidence") == 1
    assert "Several files would be written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_predict_goes_on_after_a_broken_image(data, checkpoint, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    good = data / "images" / "test" / "p1.png"
    assert run("predict", checkpoint, broken, good, "--out", tmp_path / "o") == 1
    assert "broken.jpg" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["p1.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "MISSING", "--out", "TMP/x"), "MISSING"),
        (("train", "DATA", "--out", "TMP"), "folder"),
        (("train", "DATA", "--out", "TMP/x", "--init", "TMP/no.safetensors"), "no.safetensors"),
        (("evaluate", "TMP/no.safetensors", "DATA"), "no.safetensors"),
        (("evaluate", "CKPT", "DATA", "--split", "none"), "none"),
        (("predict", "CKPT", "MISSING", "--out", "TMP/o"), "MISSING"),
        (("predict", "CKPT", "TMP", "--out", "TMP/o"), "no image"),
    ],
)
def test_mistakes_are_told_without_a_traceback(arguments, words, data, checkpoint, tmp_path, capsys):
    places = {"DATA": str(data), "CKPT": str(checkpoint), "TMP": str(tmp_path)}
    filled = []
    for argument in arguments:
        for name, place in places.items():
            argument = argument.replace(name, place)
        filled.append(argument)
    assert run(*filled) == 1
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("train", data, "--out", tmp_path / "file" / "x.safetensors", "--steps", 1) == 1
    assert "Choose another place" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("train",),
        ("train", "d", "--out", "x", "--seconds", "1", "--steps", "1"),
        ("train", "d", "--out", "x", "--steps", "0"),
        ("train", "d", "--out", "x", "--seconds", "-1"),
        ("train", "d", "--out", "x", "--seed", "-1"),
        ("evaluate", "c", "d", "--split", "other"),
        ("predict", "c", "i", "--out", "o", "--device", "gpu"),
    ],
)
def test_wrong_usage(arguments, capsys):
    assert run(*arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_missing_gpu_is_told(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run("train", data, "--out", tmp_path / "x", "--steps", 1, "--device", "cuda") == 1
    assert "GPU" in capsys.readouterr().err
