"""Windows, mirrored and scaled views, batches and order of prediction, against plain references."""

import importlib.metadata
import json
import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import skimage.data  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from pspnet_core import devices  # noqa: E402
from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.errors import DeviceError  # noqa: E402
from pspnet_core.inference import Predicted, Predictor, WindowDone, batches, engines, openvino, upsample  # noqa: E402
from pspnet_core.inference import predictor as predictor_module  # noqa: E402
from pspnet_core.inference.engines import TorchEngine, make_engine  # noqa: E402
from pspnet_core.inference.upsample import PartDone  # noqa: E402
from pspnet_core.inference.views import Views  # noqa: E402
from pspnet_core.inference.windows import even_window, window_rects, window_weights  # noqa: E402
from pspnet_core.models import PSPNet, PSPNetConfig, make_model  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint  # noqa: E402
from pspnet_core.types import Rect  # noqa: E402

CLASSES = ClassSet().add("a", index=4).add("b", index=0).add("c", index=9)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    model = PSPNet(PSPNetConfig.studio_fast(3))
    model.load_imagenet_backbone()
    with torch.no_grad():
        model.classifier[1].weight.mul_(8)  # clear answers
    return model.eval()


@pytest.fixture
def checkpoint(model, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)  # float32
    return Checkpoint(model, CLASSES)


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(skimage.data.coffee()[:300, :420])


class CountingEngine:
    """A network that remembers what it was sent, and whose memory holds only so many windows."""

    device, name, bytes_per_value = CPU, "counting", 4

    def __init__(self, model, fits=1000):
        self._engine = TorchEngine(model, devices.Numerics(CPU, None, torch.contiguous_format))
        self.fits = fits
        self.sent = []

    def __call__(self, x):
        self.sent.append(tuple(x.shape))
        if len(x) * x.shape[2] * x.shape[3] > self.fits * 256 * 256:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return self._engine(x)


def plain_probabilities(model, preprocessing, image):
    """(K, h, w) of the network alone, padded to a multiple of 32."""
    height, width = image.shape[:2]
    x = torch.nn.functional.pad(preprocessing(image), (0, -width % 32, 0, -height % 32))
    with torch.no_grad():
        logits = model.logits(x)[0, :, : -(-height // 4), : -(-width // 4)]
    return logits.softmax(dim=0)


def finished(probabilities, height, width):
    """Class ids and confidence from probabilities at stride 4, all at once."""
    logits = probabilities.clamp_min(1e-30).log()[None]
    size = 4 * logits.shape[2], 4 * logits.shape[3]
    full = torch.nn.functional.interpolate(logits, size=size, mode="bilinear")[0, :, :height, :width].softmax(dim=0)
    confidence, channel = full.max(dim=0)
    return np.array(CLASSES.indices, np.uint8)[channel.numpy()], (255 * confidence).numpy(), full


def assert_same(prediction, expected):
    classes, confidence, full = expected
    best = full.sort(dim=0, descending=True).values
    clear = (best[0] - best[1] > 1e-3).numpy()
    assert (prediction.class_map == classes)[clear].all()
    assert np.abs(prediction.confidence - confidence).max() <= 1
    assert clear.mean() > 0.9
    assert len(np.unique(classes)) > 1


def test_windows_are_a_weighted_mean_of_probabilities(checkpoint, model, photo):
    prediction = Predictor(checkpoint, "cpu", window_px=256).predict(photo)
    sums, weights = torch.zeros(3, 75, 105), torch.zeros(75, 105)
    for row in window_rects(420, 300, 256, 128, 32):
        for rect in row:
            part = plain_probabilities(model, checkpoint.preprocessing, photo[rect.slices])
            weight = torch.from_numpy(window_weights(*part.shape[1:]))
            at = slice(rect.y // 4, rect.y // 4 + part.shape[1]), slice(rect.x // 4, rect.x // 4 + part.shape[2])
            sums[:, *at] += part * weight
            weights[at] += weight
    assert_same(prediction, finished(sums / weights, 300, 420))


def test_a_mirrored_view_is_averaged(checkpoint, model, photo):
    image = photo[:160, :192]
    prediction = Predictor(checkpoint, "cpu", views=Views(flip=True)).predict(image)
    plain = plain_probabilities(model, checkpoint.preprocessing, image)
    mirrored = plain_probabilities(model, checkpoint.preprocessing, image[:, ::-1]).flip(-1)
    assert_same(prediction, finished((plain + mirrored) / 2, 160, 192))


def test_scales_are_averaged(checkpoint, model, photo):
    image = np.ascontiguousarray(photo[:128, :192])
    prediction = Predictor(checkpoint, "cpu", views=Views(scales=(1.0, 2.0))).predict(image)
    plain = plain_probabilities(model, checkpoint.preprocessing, image)
    from pspnet_core.imaging.cv import cv2

    large = plain_probabilities(
        model, checkpoint.preprocessing, cv2.resize(image, (384, 256), interpolation=cv2.INTER_LINEAR)
    )
    back = torch.nn.functional.interpolate(large[None], size=plain.shape[1:], mode="bilinear")[0]
    assert_same(prediction, finished((plain + back) / 2, 128, 192))


@pytest.mark.parametrize("size", [(1, 1), (33, 70), (201, 97)])
def test_all_views_fit_all_sizes(checkpoint, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    views = Views(True, (0.5, 1.0, 1.25))
    assert views.count == 6
    prediction = Predictor(checkpoint, "cpu", views=views).predict(image)
    assert prediction.class_map.shape == size


def test_impossible_views_and_overlaps_are_refused(checkpoint):
    for scales in ((), (0.1,), (1.0, 9.0)):
        with pytest.raises(ValueError, match="scales must be"):
            Views(scales=scales)
    with pytest.raises(ValueError, match="overlap must be"):
        Predictor(checkpoint, "cpu", overlap_px=100)


def test_margin_is_the_distance_of_the_two_best(checkpoint, model, photo):
    image = photo[:128, :128]
    prediction = Predictor(checkpoint, "cpu").predict(image, margin=True)
    *_, full = finished(plain_probabilities(model, checkpoint.preprocessing, image), 128, 128)
    best = full.sort(dim=0, descending=True).values
    assert np.abs(prediction.margin - 255 * (best[0] - best[1]).numpy()).max() <= 1
    assert Predictor(checkpoint, "cpu").predict(image).margin is None


def test_the_whole_image_goes_at_once_where_it_fits(checkpoint, model, photo, monkeypatch):
    engine = CountingEngine(model)
    Predictor(checkpoint, "cpu", window_px=None, engine=engine).predict(photo)
    assert engine.sent == [(1, 3, 320, 448)]
    monkeypatch.setattr(predictor_module, "memory_budget", lambda device: 1000)
    monkeypatch.setattr(predictor_module, "largest_window", lambda per_px, device, grid: 256)
    engine.sent.clear()
    Predictor(checkpoint, "cpu", window_px=None, engine=engine).predict(photo)
    assert {shape[2:] for shape in engine.sent} == {(192, 256)}  # no larger than they must be


def test_even_windows_overlap_as_little_as_they_can():
    for length in (513, 700, 2049, 20_000):
        size = even_window(length, 512, 96, 32)
        assert size <= 512
        starts = [rects[0].x for rects in zip(*window_rects(length, 1, (size, 32), (size - 96, 32), 32), strict=True)]
        assert len(starts) == -(-(length - 96) // (512 - 96))
        assert size - max(np.diff(starts)) >= 96
    assert even_window(100, 512, 96, 32) == 128


def test_a_batch_is_halved_when_memory_runs_out(checkpoint, model, photo, monkeypatch):
    engine = CountingEngine(model, fits=2)
    monkeypatch.setattr(predictor_module, "batch_size", lambda *args: 8)
    freed = []
    monkeypatch.setattr(batches, "free_cached", freed.append)
    wide = np.tile(photo[:256], (1, 3, 1))
    prediction = Predictor(checkpoint, "cpu", window_px=256, engine=engine).predict(wide)
    assert [shape[0] for shape in engine.sent] == [8, 4, 2, 2, 2, 2, 1]
    assert freed == [CPU, CPU]
    expected = Predictor(checkpoint, "cpu", window_px=256, engine=CountingEngine(model)).predict(wide)
    np.testing.assert_array_equal(prediction.class_map, expected.class_map)


def test_memory_is_freed_when_what_failed_is_gone(monkeypatch):
    """The error of a batch that did not fit holds on to what was computed of it."""
    held, alive = [], []

    def run(images):
        computed = torch.zeros(10)
        held.append(weakref.ref(computed))
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return torch.zeros(len(images), 1)

    monkeypatch.setattr(batches, "free_cached", lambda device: alive.append(held[-1]() is not None))
    assert len(batches.Batches(run, 4, CPU)([None] * 4)) == 4
    assert alive == [False, False]


def test_windows_shrink_when_one_alone_is_too_large(checkpoint, model):
    engine = CountingEngine(model, fits=1)
    image = np.zeros((512, 512, 3), np.uint8)
    events = list(Predictor(checkpoint, "cpu", window_px=None, engine=engine).predict_windows(image))
    assert isinstance(events[-1], Predicted)
    assert engine.sent[0] == (1, 3, 512, 512)
    assert {shape[2:] for shape in engine.sent[1:]} == {(224, 224)}
    with pytest.raises(DeviceError, match="ran out"):  # a window that was asked for stays
        Predictor(checkpoint, "cpu", window_px=512, engine=CountingEngine(model, fits=1)).predict(image)


def test_other_errors_are_not_taken_for_lack_of_memory(checkpoint, model, photo):
    def fail(x):
        raise RuntimeError("a bug")

    engine = CountingEngine(model)
    engine._engine = fail
    with pytest.raises(RuntimeError, match="a bug"):
        Predictor(checkpoint, "cpu", engine=engine).predict(photo)


def test_what_is_visible_comes_first_and_is_not_computed_twice(checkpoint, model):
    image = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    engine = CountingEngine(model)
    predictor = Predictor(checkpoint, "cpu", window_px=256, engine=engine)
    wanted = Rect(700, 700, 60, 60)
    events = list(predictor.predict_windows(image, first=wanted))
    parts = [event for event in events if isinstance(event, PartDone)]
    before = [event for event in events[: events.index(parts[0])] if isinstance(event, WindowDone)]
    assert before[-1].done <= 4
    seen = np.zeros((900, 900), bool)
    for part in parts:
        if not part.rect.intersect(wanted).is_empty:
            seen[part.rect.slices] = True
        if seen[wanted.slices].all():
            break
    assert parts.index(part) <= 4
    total = before[-1].total
    assert sum(shape[0] for shape in engine.sent) == total
    *_, last = predictor.predict_windows(image)
    assert (events[-1].prediction.class_map == last.prediction.class_map).mean() > 0.9999


def test_parts_alone_cover_the_image(checkpoint, model, photo):
    predictor = Predictor(checkpoint, "cpu", window_px=256, engine=CountingEngine(model))
    whole = predictor.predict(photo)
    found = np.full(photo.shape[:2], 255, np.uint8)
    for event in predictor.predict_parts(photo):
        if isinstance(event, PartDone):
            found[event.rect.slices] = event.prediction.class_map
    np.testing.assert_array_equal(found, whole.class_map)


def test_cancel_between_windows(checkpoint, model):
    engine = CountingEngine(model)
    predictor = Predictor(checkpoint, "cpu", window_px=512, engine=engine)
    events = predictor.predict_windows(np.zeros((512, 1500, 3), np.uint8))
    next(events)
    events.close()
    assert len(engine.sent) == 1


class Largest(TorchDispatchMode):
    """The largest tensor that is made."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return result


def test_nothing_has_the_size_of_all_classes_in_all_pixels(monkeypatch):
    """Memory by construction: 60 classes at stride 8 in one window, and many windows of a long image."""
    monkeypatch.setattr(upsample, "_BAND_FLOATS", 100_000)
    classes = ClassSet()
    for number in range(60):
        classes = classes.add(f"c{number}")
    config = PSPNetConfig.from_json(
        PSPNetConfig.preset("mmseg-512", 60, "resnet18").to_json() | {"output_stride": 32, "head_channels": 32}
    )
    checkpoint = Checkpoint(make_model(config).eval(), classes)
    predictor = Predictor(checkpoint, "cpu", window_px=256)
    assert _largest(predictor, np.zeros((256, 256, 3), np.uint8)) < 60 * 256 * 256 // 2
    long = [_largest(predictor, np.zeros((height, 256, 3), np.uint8)) for height in (1024, 2048)]
    assert long[0] == long[1]


def _largest(predictor, image):
    with Largest() as mode:
        for _ in predictor.predict_parts(image):
            pass
    return mode.numel


# --- the choice of an engine


def test_the_fastest_engine_is_measured_once(model, monkeypatch, tmp_path):
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    seconds = {"torch float32": 1.0, "torch float32 channels_last": 0.9, "torch bfloat16": 0.7}
    measured = []

    def time(engine, x):
        measured.append(engine.name)
        return seconds.get(engine.name, 2.0)

    monkeypatch.setattr(engines, "_pass_s", time)
    assert engines.remembered_engine(model, CPU, tmp_path) is None
    steps = list(engines.engine_steps(model, CPU, tmp_path))
    assert steps[-1] is not None
    assert steps[-1].name == "torch bfloat16"
    assert len(measured) == 16
    assert steps[:-1] == [None] * len(steps[:-1])
    assert len(steps) > 16  # nobody waits for more than one pass
    assert make_engine(model, CPU, True, tmp_path).name == "torch bfloat16"
    known = engines.remembered_engine(model, CPU, tmp_path)
    assert known is not None
    assert known.name == "torch bfloat16"
    assert len(measured) == 16
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["fastest"] == "torch bfloat16"
    file.write_text("{")  # broken: measured again
    seconds["torch bfloat16"] = 0.95  # not worth it
    assert make_engine(model, CPU, True, tmp_path).name == "torch float32"
    assert len(measured) == 32


def test_another_torch_is_measured_again(model, monkeypatch, tmp_path):
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setattr(engines, "_pass_s", lambda engine, x: 1.0)
    make_engine(model, CPU, True, tmp_path)
    monkeypatch.setattr(torch, "__version__", "9.9")
    make_engine(model, CPU, True, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_does_not_matter(model, monkeypatch, tmp_path):
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setattr(engines, "_pass_s", lambda engine, x: 1.0)
    (tmp_path / "file").touch()
    assert make_engine(model, CPU, True, tmp_path / "file").name == "torch float32"


class BrokenEngine:
    """Would be the fastest."""

    device, bytes_per_value, name = CPU, 4, "openvino float32"

    def __init__(self, model, dtype, fails):
        self._engine, self._fails = TorchEngine(model, devices.Numerics(CPU, None, torch.contiguous_format)), fails
        if fails == "made":
            raise RuntimeError("the graph cannot be converted")

    def __call__(self, x):
        if self._fails == "called":
            raise RuntimeError("the graph cannot be compiled")
        result = self._engine(x)
        return {"not finite": result / 0, "wrong": result.flip(1), None: result}[self._fails]


def _fail(error):
    def raise_error(*args):
        raise error

    return raise_error


@pytest.mark.parametrize("fails", [None, "made", "called", "not finite", "wrong", "not loaded", "no metadata"])
def test_an_engine_that_does_not_work_here_is_not_taken(model, monkeypatch, tmp_path, fails):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    monkeypatch.setattr(openvino, "is_installed", lambda: True)
    monkeypatch.setattr(openvino, "version", lambda: "1")
    monkeypatch.setattr(openvino, "dtypes", lambda: ("float32",))
    monkeypatch.setattr(engines, "_pass_s", lambda engine, x: 0.1 if engine.name.startswith("openvino") else 1.0)
    broken = {"not loaded": None, "no metadata": None}.get(fails, fails)
    monkeypatch.setattr(openvino, "OpenVinoEngine", lambda model, dtype: BrokenEngine(model, dtype, broken))
    if fails == "not loaded":
        monkeypatch.setattr(openvino, "dtypes", _fail(OSError("libopenvino.so: cannot open shared object file")))
    if fails == "no metadata":
        monkeypatch.setattr(openvino, "version", _fail(importlib.metadata.PackageNotFoundError("openvino")))
    works = fails in (None, "no metadata")
    assert engines.remembered_engine(model, CPU, tmp_path) is None
    expected = "openvino float32" if works else "torch float32"
    assert make_engine(model, CPU, True, tmp_path).name == expected
    assert make_engine(model, CPU, True, tmp_path).name == expected
    known = engines.remembered_engine(model, CPU, tmp_path)  # what takes seconds to get ready is not used so
    assert (known is None) == works
    if works:  # until a driver or a library is changed
        monkeypatch.setattr(openvino, "OpenVinoEngine", lambda model, dtype: BrokenEngine(model, dtype, "called"))
        assert make_engine(model, CPU, True, tmp_path).name == "torch float32"


def test_openvino_gives_the_same(checkpoint, model, photo):
    pytest.importorskip("openvino")
    engine = openvino.OpenVinoEngine(model, "float32")
    for size in ((160, 224), (64, 96)):
        x = torch.randn(2, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(engine(x), model.logits(x), rtol=1e-3, atol=1e-3)
    a = Predictor(checkpoint, "cpu", window_px=256, engine=engine).predict(photo)
    b = Predictor(checkpoint, "cpu", window_px=256).predict(photo)
    assert (a.class_map == b.class_map).mean() > 0.999


def test_without_openvino_nothing_is_missing(monkeypatch):
    monkeypatch.setattr(openvino.importlib.util, "find_spec", lambda name: None)
    assert not openvino.is_installed()
    assert openvino.version() == ""


# --- memory, played by fakes


def test_batches_fill_the_memory_of_a_gpu(monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8_000_000_000, 16_000_000_000))
    assert batches.memory_budget(gpu) == 4_000_000_000
    assert batches.batch_size(512 * 512, 1000, gpu) == 15
    assert batches.batch_size(4096 * 4096, 1000, gpu) == 1
    assert batches.batch_size(512 * 512, 1000, CPU) == 1
    assert batches.largest_window(1000, gpu, 32) == 1984
    assert batches.largest_window(10, gpu, 32) == batches.LARGEST_PX


def test_memory_of_an_apple_gpu(monkeypatch):
    mps = torch.device("mps")
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 10_000, raising=False)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 4_000, raising=False)
    assert devices.free_memory(mps) == 6_000
    emptied = []
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append(1))
    devices.free_cached(mps)
    assert emptied


def test_formats_to_try(monkeypatch):
    gpu = torch.device("cuda", 0)
    for capability, dtype in (((8, 0), torch.bfloat16), ((7, 5), torch.float16)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, c=capability: c)
        tried = devices.numerics_to_try(gpu)
        assert {numerics.dtype for numerics in tried} == {None, dtype}
        assert tried[0].dtype is None
    assert {n.dtype for n in devices.numerics_to_try(torch.device("mps"))} == {None, torch.float16}
