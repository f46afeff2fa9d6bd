"""Windows, banded upsampling and whole-image prediction."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import skimage.data  # noqa: E402

from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.errors import DeviceError  # noqa: E402
from pspnet_core.inference import Predicted, Predictor, WindowDone  # noqa: E402
from pspnet_core.inference import predictor as predictor_module  # noqa: E402
from pspnet_core.inference import upsample as upsample_module  # noqa: E402
from pspnet_core.inference.upsample import BandedUpsampler, Planes  # noqa: E402
from pspnet_core.inference.views import Views  # noqa: E402
from pspnet_core.inference.windows import window_rects, window_weights  # noqa: E402
from pspnet_core.models import PSPNet, PSPNetConfig, make_model  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, Preprocessing  # noqa: E402
from pspnet_core.types import Rect  # noqa: E402

CLASSES = ClassSet().add("a", index=7).add("b", index=0).add("c", index=31)


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(0)
    model = PSPNet(PSPNetConfig.studio_fast(3))
    model.load_imagenet_backbone()
    return Checkpoint(model.eval(), CLASSES)


@pytest.fixture(scope="module")
def grids():
    """Networks whose logits lie in different ways over the image."""
    torch.manual_seed(0)
    eight = PSPNetConfig.preset("torchvision-backbone", 3, "resnet18")
    configs = {
        "studio-fast": PSPNetConfig.studio_fast(3),
        "stride 8": eight,
        "align": replace(eight, align_corners=True),
        "deconv": replace(eight, decoder="deconv"),
        "deconv at first": replace(eight, decoder="deconv"),  # which interpolates bilinearly
        "skip": PSPNetConfig.preset("studio-fast", 3, "resnet18"),
    }
    models = {name: make_model(config) for name, config in configs.items()}
    with torch.no_grad():
        models["deconv"].upsampler.weight.mul_(torch.tensor([1.4, 0.7, 1.0])[:, None, None, None])
        models["deconv"].upsampler.weight.add_(0.02 * torch.randn(3, 1, 16, 16))
    return models


@pytest.fixture
def exact(monkeypatch):
    """float32 everywhere, so that results can be compared tightly."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([(64, 32), (64, 64), (96, 32)]))
def test_windows_cover_everything(width, height, sizes):
    size, stride = sizes
    covered = np.zeros((height, width), bool)
    previous = None
    for row in window_rects(width, height, size, stride, 32):
        assert len({(r.y, r.h) for r in row}) == 1
        assert previous is None or row[0].y > previous
        previous = row[0].y
        for rect in row:
            assert rect.x % 32 == rect.y % 32 == 0
            assert rect.w <= size
            assert rect.h <= size
            assert rect.right <= width
            assert rect.bottom <= height
            covered[rect.slices] = True
    assert covered.all()


def test_windows_refuse_impossible_numbers():
    for numbers in ((0, 5, 64, 32, 32), (5, 5, 60, 32, 32), (5, 5, 64, 65, 32), (5, 5, 64, 0, 32)):
        with pytest.raises(ValueError, match="no windows"):
            window_rects(*numbers)


def test_weights_are_positive_and_highest_in_the_middle():
    weights = window_weights(5, 8)
    assert weights.shape == (5, 8)
    assert weights.min() > 0
    assert weights[2, 3] == weights.max() == 1
    np.testing.assert_array_equal(weights, weights[::-1, ::-1])


@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("grid", ["studio-fast", "align", "stride 8", "deconv"])
@given(
    st.integers(1, 70),
    st.integers(1, 40),
    st.lists(st.integers(1, 9), max_size=8),
    st.integers(0, 9),
    st.sampled_from([3, 60]),
)
@example(70, 40, [3], 0, 60)  # logits of one place that are more than 80 apart
def test_bands_do_not_change_the_result(grids, grid, height, width, cuts, seed, spread):
    torch.manual_seed(seed)
    model = grids[grid]
    rows = model.num_logits(height)
    logits = torch.randn(3, rows, model.num_logits(width)) * spread + torch.randn(rows, model.num_logits(width)) * 3
    upsampler = BandedUpsampler((7, 0, 31), height, width, model)
    position = 0
    planes = Planes(height, width)
    for cut in [*cuts, rows]:
        if position < rows:
            for part in upsampler.add(logits[:, position : position + cut]):
                planes.write(part)
            position += cut
    with torch.no_grad():
        full = model.upsample_grid(logits[None])[0, :, :height, :width]
    probability, channel = full.softmax(dim=0).max(dim=0)
    result = planes.prediction
    clear = full.sort(dim=0).values[-1] - full.sort(dim=0).values[-2] > 1e-4
    expected = np.array([7, 0, 31], np.uint8)[channel.numpy()]
    assert (result.class_map == expected)[clear.numpy()].all()
    assert np.abs(result.confidence.astype(int) - (probability * 255).round().numpy().astype(int)).max() <= 1


def test_bands_stay_small(grids, monkeypatch):
    monkeypatch.setattr(upsample_module, "_BAND_FLOATS", 3 * 64 * 8)
    upsampler = BandedUpsampler((0, 1, 2), 64, 64, grids["studio-fast"])
    parts = list(upsampler.add(torch.zeros(3, 16, 16)))
    assert [part.rect for part in parts] == [Rect(0, 8 * number, 64, 8) for number in range(8)]
    assert all((part.prediction.confidence == 85).all() for part in parts)


PLANES = np.array([[0.011, 0.0, -3.3], [0.0, 0.017, -2.9], [-0.004, -0.006, 1.5]], np.float32)
"""Logit of each class: factors of column and row, and a constant."""


def located(height, width):
    """An image whose colours tell where each pixel is."""
    ys, xs = np.mgrid[:height, :width]
    return np.stack([xs % 256, ys % 256, xs // 256 * 16 + ys // 256], axis=2).astype(np.uint8)


def linear_logits(model):
    """Logits of PLANES on the model's grid, from the first pixel of what it is given."""
    s = model.logit_stride
    is_aligned = model.config.align_corners

    def logits(x):
        red, green, blue = (x[:, 0, 0] * 128 + 127).round().int().tolist()
        left, top = red + blue // 16 * 256, green + blue % 16 * 256
        counts = [(length - 1) // s + 1 if is_aligned else -(-length // s) for length in x.shape[1:]]
        first = 0.0 if is_aligned else (s - 1) / 2
        ys, xs = (start + first + s * torch.arange(n) for start, n in zip((top, left), counts, strict=True))
        a, b, c = torch.from_numpy(PLANES).T[:, :, None, None]
        return a * xs + b * ys[:, None] + c

    return FunctionEngine(lambda batch: torch.stack([logits(x) for x in batch]))


def checkpoint_input(image):
    """What the network is given of an image."""
    return Preprocessing()([image])


def _grid(x, model):
    return [model.num_logits(length) for length in x.shape[2:]]


class FunctionEngine:
    """Computes whatever it is told to."""

    name, device, bytes_per_value = "function", torch.device("cpu"), 4

    def __init__(self, function):
        self.calls = []
        self._function = function

    def __call__(self, x):
        self.calls.append(tuple(x.shape))
        return self._function(x)


@pytest.mark.parametrize("size", [(700, 300), (300, 700), (257, 530), (65, 81), (5, 9)])
@pytest.mark.parametrize("grid", ["studio-fast", "align", "stride 8", "deconv at first", "skip"])
def test_every_class_is_where_it_belongs(grids, grid, size):
    """Logits that are linear in the position stay so through windows, their blending, bands and interpolation."""
    model = grids[grid].eval()
    checkpoint = Checkpoint(model, CLASSES)
    prediction = Predictor(checkpoint, "cpu", window_px=256, engine=linear_logits(model)).predict(located(*size))
    s = model.logit_stride
    first = 0.0 if model.config.align_corners else (s - 1) / 2  # before it and behind the last, nothing changes
    ys, xs = (np.arange(n).clip(first, first + s * (model.num_logits(n) - 1)) for n in size)
    a, b, c = PLANES.T.astype(np.float64)[:, :, None, None]
    logits = a * xs + b * ys[:, None] + c
    expected = np.array(CLASSES.indices, np.uint8)[logits.argmax(axis=0)]
    ordered = np.sort(logits, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-4
    assert (prediction.class_map == expected)[clear].all()
    assert clear.mean() > 0.99
    confidence = 255 / np.exp(logits - ordered[-1]).sum(axis=0)
    assert np.abs(prediction.confidence - confidence).max() < 0.6  # rounded to whole numbers
    if min(size) >= 257:
        assert set(np.unique(prediction.class_map)) == set(CLASSES.indices)


@pytest.mark.parametrize("views", [Views(), Views(flip=True)])
@pytest.mark.parametrize("size", [(300, 530), (65, 81)])
def test_what_a_deconvolution_learned_counts_across_windows_and_views(grids, size, views):
    """Its kernels differ: what all classes of a place have in common makes a difference."""
    model = grids["deconv"].eval()
    engine = linear_logits(model)
    if views.flip:  # no place can be told from mirrored pixels: the same logits everywhere
        engine = FunctionEngine(lambda x: torch.tensor([2.0, 2.5, 1.9]).view(3, 1, 1).expand(1, 3, *_grid(x, model)))
    predictor = Predictor(Checkpoint(model, CLASSES), "cpu", window_px=256, views=views, engine=engine)
    *_, last = predictor.predict_windows(located(*size))
    with torch.no_grad():
        logits = engine(checkpoint_input(located(*size)))
        full = model.upsample_grid(logits)[0, :, : size[0], : size[1]]
    best = full.sort(dim=0).values
    clear = (best[-1] - best[-2] > 1e-3).numpy()
    expected = np.array(CLASSES.indices, np.uint8)[full.argmax(dim=0).numpy()]
    assert (last.prediction.class_map == expected)[clear].all()
    assert clear.mean() > 0.99
    np.testing.assert_allclose(last.logits.values, logits[0], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("size", [(65, 81), (64, 64), (50, 37), (1, 1)])
@pytest.mark.parametrize("grid", ["align", "stride 8", "deconv", "skip"])
def test_other_grids_cover_the_image(grids, grid, size, exact):
    """One window equals the network where it fits its grid."""
    checkpoint = Checkpoint(grids[grid].eval(), CLASSES)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    prediction = Predictor(checkpoint, "cpu", window_px=256).predict(image)
    assert prediction.class_map.shape == size
    if max(size) < 256 and not any(grids[grid].padding(length) for length in size):
        with torch.no_grad():
            out = checkpoint.model(checkpoint.preprocessing(image))["out"][0]
        expected = np.array(CLASSES.indices, np.uint8)[out.argmax(dim=0).numpy()]
        assert (prediction.class_map == expected).mean() > 0.999


@pytest.mark.parametrize("size", [(1, 1), (50, 37), (300, 700), (530, 290)])
def test_one_window_or_many_cover_the_image(checkpoint, size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    prediction = Predictor(checkpoint, "cpu", window_px=256).predict(image)
    assert prediction.class_map.shape == prediction.confidence.shape == size
    assert set(np.unique(prediction.class_map)) <= set(CLASSES.indices)


def test_a_small_image_equals_the_network_itself(checkpoint, exact):
    image = skimage.data.chelsea()[:201, :333]
    prediction = Predictor(checkpoint, "cpu").predict(image)
    with torch.no_grad():
        out = checkpoint.model(checkpoint.preprocessing(image))["out"][0]
    channel = out.argmax(dim=0).numpy()
    assert (prediction.class_map == np.array(CLASSES.indices, np.uint8)[channel]).mean() > 0.9999
    confidence = (out.softmax(dim=0).amax(dim=0) * 255).round().numpy()
    assert np.abs(prediction.confidence - confidence).max() <= 1


def test_events_count_windows_and_end_with_the_result(checkpoint):
    events = list(Predictor(checkpoint, "cpu", window_px=256).predict_windows(np.zeros((300, 520, 3), np.uint8)))
    assert isinstance(events[-1], Predicted)
    counts = [(e.done, e.total) for e in events if isinstance(e, WindowDone)]
    assert counts == sorted(counts)
    assert {total for _, total in counts} == {counts[-1][0]} == {8}


def test_generator_leaves_no_state_behind_while_it_waits(checkpoint):
    events = Predictor(checkpoint, "cpu").predict_windows(np.zeros((40, 40, 3), np.uint8))
    next(events)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert not torch.is_autocast_enabled("cpu")
    events.close()


def test_reads_a_source_by_windows(checkpoint):
    image = skimage.data.coffee()[:300, :400]

    class Source:
        width, height, num_levels = 400, 300, 1

        def read(self, rect, level=0):
            return image[rect.slices]

    predictor = Predictor(checkpoint, "cpu", window_px=256)
    a, b = predictor.predict(image), predictor.predict(Source())
    np.testing.assert_array_equal(a.class_map, b.class_map)


def test_bad_images_and_windows_are_refused(checkpoint):
    predictor = Predictor(checkpoint, "cpu")
    for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="image must be"):
            predictor.predict(image)
    with pytest.raises(ValueError, match="window must be"):
        Predictor(checkpoint, "cpu", window_px=300)


def test_out_of_memory_is_told(checkpoint):
    def fail(x):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    predictor = Predictor(checkpoint, "cpu", engine=FunctionEngine(fail))
    with pytest.raises(DeviceError, match="ran out"):
        predictor.predict(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize("grid", ["studio-fast", "align", "stride 8"])
def test_logits_of_the_whole_image_come_with_it(grids, grid):
    """They are what the prediction was made from, also across windows."""
    model = grids[grid].eval()
    predictor = Predictor(Checkpoint(model, CLASSES), "cpu", window_px=256, engine=linear_logits(model))
    *_, last = predictor.predict_windows(located(300, 530))
    logits = last.logits
    assert (logits.height, logits.width, logits.stride) == (300, 530, model.logit_stride)
    assert logits.class_ids == CLASSES.indices
    s = logits.stride
    ys, xs = ((0.0 if logits.align_corners else (s - 1) / 2) + s * np.arange(n) for n in logits.values.shape[1:])
    a, b, c = PLANES.T[:, :, None, None]
    expected = a * xs + b * ys[:, None] + c
    values = logits.values - logits.values.max(axis=0)  # the same for all classes makes no difference
    np.testing.assert_allclose(values, expected - expected.max(axis=0), rtol=4e-3, atol=4e-3)


def test_logits_too_large_to_keep_are_left_out(checkpoint, monkeypatch):
    monkeypatch.setattr(predictor_module, "MAX_LOGIT_BYTES", 1000)
    *_, last = Predictor(checkpoint, "cpu").predict_windows(np.zeros((100, 100, 3), np.uint8))
    assert last.logits is None
    assert last.prediction.class_map.shape == (100, 100)


def test_logits_need_no_torch():
    """The window names their type before torch is there."""
    code = "import sys; from pspnet_core.inference.logits import LogitGrid; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
