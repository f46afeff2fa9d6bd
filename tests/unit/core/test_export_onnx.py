"""Networks as ONNX files and as programs of torch.export: right at every size, or not written."""

from __future__ import annotations

import errno
import importlib.util
import json
import zipfile
from functools import partial
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from torch.nn import functional as F  # noqa: E402

from pspnet_core import atomic, cli  # noqa: E402
from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.errors import CheckpointError, PspnetError, StorageError  # noqa: E402
from pspnet_core.export import onnx as onnx_export  # noqa: E402
from pspnet_core.export.checks import SIZES as ALWAYS  # noqa: E402
from pspnet_core.export.checks import SizeCheck, check_sizes, compare, example_image  # noqa: E402
from pspnet_core.export.model_events import ExportPhase, OnnxExported, ProgramExported  # noqa: E402
from pspnet_core.export.onnx import export_onnx  # noqa: E402
from pspnet_core.export.program import METADATA, export_program  # noqa: E402
from pspnet_core.export.tracing import interpolate_by_matrices  # noqa: E402
from pspnet_core.models import PyramidPooling, make_model  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, Preprocessing, save_checkpoint  # noqa: E402
from tests.helpers.networks import CASES, fill, small  # noqa: E402

CONFIGS = {
    "studio-fast": CASES["studio-fast"],
    "aligned": small(CASES["semseg"], bins=(6, 3, 2, 1)),
    "mobilenet, deconvolution": small(CASES["studio-fast mobilenet_v2"], decoder="deconv", skip_channels=0, aux=()),
}
SIZES = ((1, 64, 96), (2, 33, 71), (1, 1, 1), (3, 8, 151), (1, 224, 129))


def make_checkpoint(name: str) -> Checkpoint:
    model = make_model(CONFIGS[name])
    fill(model)
    model.eval().requires_grad_(False)
    return Checkpoint(model, ClassSet().add("Himmel ☁", index=4).add("road", index=0), Preprocessing(std=(60, 61, 62)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module", params=CONFIGS)
def exported(request, folder):
    """A checkpoint, its ONNX file, and what was told."""
    checkpoint = make_checkpoint(request.param)
    state = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    events = list(export_onnx(checkpoint, folder / f"{request.param}.onnx"))
    assert all(torch.equal(value, state[name]) for name, value in checkpoint.model.state_dict().items())
    return checkpoint, folder / f"{request.param}.onnx", events


def run_onnx(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["logits"], {"image": x.numpy()})[0])


def test_other_programs_compute_the_same_at_every_size(exported):
    checkpoint, path, _ = exported
    run = run_onnx(path)
    for size in SIZES:
        x = example_image(*size)
        with torch.no_grad():
            check = compare(checkpoint.model(x)["out"], run(x))
        assert check.max_difference < 1e-4 * min(1.0, check.scale), check
        assert check.equal_argmax > 0.999, check


def test_it_tells_what_it_does_and_what_it_compared(exported):
    _, path, events = exported
    assert [event.phase for event in events if isinstance(event, ExportPhase)] == [
        "capture",
        "translate",
        "check",
        "write",
    ]
    last = events[-1]
    assert isinstance(last, OnnxExported)
    assert (last.path, last.num_bytes) == (path, path.stat().st_size)
    assert sorted((c.batch, c.height % 2, c.width % 2) for c in last.checks) == [(1, 0, 1), (1, 1, 1), (2, 1, 0)]
    assert all(c.max_difference < 1e-5 and c.equal_argmax == 1 for c in last.checks)
    assert json.loads(json.dumps(last.to_json()))["checks"][0]["height"] == last.checks[0].height


def test_the_file_says_how_to_use_it_and_nothing_about_this_computer(exported):
    checkpoint, path, _ = exported
    model = onnx.load(path)
    values = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(values["format"]) == 1
    assert ClassSet.from_json({"classes": json.loads(values["classes"])}) == checkpoint.classes
    assert json.loads(values["preprocessing"]) == checkpoint.preprocessing.to_json()
    assert json.loads(values["config"]) == json.loads(json.dumps(checkpoint.config.to_json()))
    assert values["checkpoint"] == checkpoint.id
    assert values["producer"].startswith("PSPNet Studio")
    shapes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 3, "height", "width"], ["batch", 2, "height", "width"]]
    assert model.opset_import[0].version >= 18
    assert str(Path(__file__).parents[3]).encode() not in path.read_bytes()
    assert not any(initializer.external_data for initializer in model.graph.initializer)
    names = [initializer.name for initializer in model.graph.initializer]
    assert not any("aux" in name for name in names)
    assert {entry.name for entry in path.parent.iterdir()} <= {f"{name}.onnx" for name in CONFIGS}


@pytest.mark.parametrize("name", ["studio-fast", "aligned"])
def test_exported_programs_come_back_equal_at_every_size(name, tmp_path, monkeypatch):
    checkpoint = make_checkpoint(name)
    path = tmp_path / "net.pt2"
    # It loads what it writes and compares that; loading it here once more would take as long again.
    monkeypatch.setattr("pspnet_core.export.program.check_sizes", partial(check_sizes, sizes=(*ALWAYS, *SIZES)))
    last = list(export_program(checkpoint, path))[-1]
    assert isinstance(last, ProgramExported)
    assert len(last.checks) == 8
    with zipfile.ZipFile(path) as file:
        (entry,) = (name for name in file.namelist() if name.endswith(METADATA))
        assert json.loads(file.read(entry))["checkpoint"] == checkpoint.id
        texts = b"".join(file.read(name) for name in file.namelist() if name.endswith("json"))
    assert str(Path(__file__).parents[3]).encode() not in texts


@pytest.fixture
def quick(monkeypatch):
    """An export in which only the first and the last part are real."""
    monkeypatch.setattr(onnx_export, "capture", lambda *_, **__: None)
    monkeypatch.setattr(onnx_export, "_translate", lambda *_: b"an ONNX file")
    monkeypatch.setattr(onnx_export, "_session", lambda _: lambda x: CHECKPOINT.model(x)["out"])


CHECKPOINT = make_checkpoint("mobilenet, deconvolution")


class Tiny(torch.nn.Module):
    """A pyramid on one convolution, whose features of the exporter's example, 12 x 18, all bins divide."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, (2, 8), (8, 7))
        self.ppm = PyramidPooling(8, 8, (1, 2, 3, 6))
        self.classifier = torch.nn.Conv2d(self.ppm.out_channels, 2, 1)
        self.config = CHECKPOINT.config

    def forward(self, x):
        return {"out": F.interpolate(self.classifier(self.ppm(self.first(x))), x.shape[-2:], mode="bilinear")}


@pytest.mark.parametrize("is_naive", [False, True])
def test_adaptive_pooling_that_is_right_at_one_size_only_is_caught(is_naive, tmp_path, monkeypatch):
    """The exporter writes it down for the size it has seen, without an error: the trap of every PSPNet."""
    torch.manual_seed(0)
    export = export_onnx(Checkpoint(Tiny(), CHECKPOINT.classes), tmp_path / "net.onnx")
    if not is_naive:
        assert isinstance(list(export)[-1], OnnxExported)
        return
    monkeypatch.setattr("pspnet_core.models.pspnet.pool_by_matrices", F.adaptive_avg_pool2d)
    with pytest.raises(CheckpointError, match="computes something else") as caught:
        list(export)
    assert "99 x 65, batch 1: logits differ by" in caught.value.detail
    assert list(tmp_path.iterdir()) == []


def test_differences_are_told_with_their_numbers(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "_session", lambda _: lambda x: CHECKPOINT.model(x)["out"] * 1.01)
    with pytest.raises(CheckpointError, match="not written") as caught:
        list(export_onnx(CHECKPOINT, tmp_path / "net.onnx"))
    assert "99 x 65" in caught.value.detail
    assert "expected at most 0.0001" in caught.value.detail
    monkeypatch.setattr(onnx_export, "_session", lambda _: lambda x: CHECKPOINT.model(x)["out"] * float("nan"))
    with pytest.raises(CheckpointError):
        list(export_onnx(CHECKPOINT, tmp_path / "net.onnx"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("difference", "scale", "equal", "is_rounding"),
    [
        (9e-5, 1e-3, 1.0, True),
        (9e-5, 10.0, 1.0, True),
        (1.1e-4, 10.0, 1.0, False),
        (9e-4, 100.0, 1.0, True),
        (1.1e-3, 100.0, 1.0, False),
        (1e-6, 1.0, 0.9991, True),
        (1e-6, 1.0, 0.9989, False),
        (float("nan"), 1.0, 1.0, False),
    ],
)
def test_what_counts_as_rounding(difference, scale, equal, is_rounding):
    assert SizeCheck(65, 99, 1, difference, scale, equal).is_equal == is_rounding


def test_the_checkpoint_is_never_overwritten(quick, tmp_path, capsys):
    path, link = tmp_path / "net.safetensors", tmp_path / "link.onnx"
    save_checkpoint(CHECKPOINT, path)
    link.hardlink_to(path)
    before = path.read_bytes()
    for out in (path, tmp_path / "." / "net.safetensors", link):
        assert cli.main(["export-onnx", str(path), "--out", str(out)]) == 1
        assert "would be overwritten" in capsys.readouterr().err
        assert path.read_bytes() == link.read_bytes() == before


def test_cancelling_leaves_what_was_there(quick, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"before")
    for steps in range(1, 8):
        export = export_onnx(CHECKPOINT, path)
        for _ in range(steps):
            assert not isinstance(next(export), OnnxExported)
        export.close()
        assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
        assert path.read_bytes() == b"before"
    assert isinstance(list(export_onnx(CHECKPOINT, path))[-1], OnnxExported)
    assert path.read_bytes() == b"an ONNX file"


def test_full_disk(quick, tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"before")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        list(export_onnx(CHECKPOINT, path))
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize("export", [export_onnx, export_program])
def test_places_that_cannot_be_written_are_found_before_the_work(export, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "net.onnx"):
        with pytest.raises(StorageError):
            next(export(CHECKPOINT, path))
    monkeypatch.setattr("os.access", lambda *_: False)  # also where the tests run as root
    with pytest.raises(StorageError, match="may not be written"):
        next(export(CHECKPOINT, tmp_path / "new" / "net.onnx"))


def test_missing_packages_are_named_with_the_command(tmp_path, monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "pspnet_core.export.onnx_packages.find_spec", lambda name: None if name == "onnxscript" else found(name)
    )
    with pytest.raises(PspnetError) as caught:
        next(export_onnx(CHECKPOINT, tmp_path / "net.onnx"))
    assert "onnxscript" in caught.value.detail
    assert 'pip install "pspnet-studio[onnx]"' in caught.value.remedy
    assert cli.main(["export-onnx", str(tmp_path / "missing"), "--out", str(tmp_path / "net.onnx")]) == 1
    assert "onnxscript" in capsys.readouterr().err


def test_the_command_tells_people_and_programs(quick, tmp_path, monkeypatch, capsys):
    save_checkpoint(CHECKPOINT, tmp_path / "net.safetensors")
    out = tmp_path / "new" / "net.onnx"
    arguments = ["export-onnx", str(tmp_path / "net.safetensors"), "--out", str(out)]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert f"{out}, 0.0 MB" in text
    assert "131 x 192, batch 1: largest difference" in text
    assert cli.main([*arguments, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["event"] for e in events] == ["phase"] * 3 + ["checked"] * 3 + ["phase", "finished"]
    assert events[-1]["path"] == str(out)
    assert cli.main(["export-onnx", str(tmp_path / "gone"), "--out", str(out), "--json"]) == 1
    captured = capsys.readouterr()
    failed = json.loads(captured.out)
    assert failed["event"] == "failed"
    assert failed["title"] in captured.err
    assert cli.main(["export-onnx", str(tmp_path / "gone")]) == 2


@pytest.mark.parametrize(("size", "target"), [((1, 1), (5, 3)), ((4, 7), (1, 1)), ((6, 5), (47, 33)), ((3, 3), (3, 3))])
def test_interpolation_as_matrices(size, target):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(x, target, mode="bilinear", align_corners=True)
    torch.testing.assert_close(interpolate_by_matrices(x, target), expected, atol=1e-5, rtol=0)
