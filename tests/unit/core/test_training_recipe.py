"""What the recipes have to achieve whatever the data: small things in the ground, accepted labels."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from pspnet_core.inference import Predictor  # noqa: E402
from pspnet_core.metrics import ConfusionMatrix  # noqa: E402
from pspnet_core.project.project import Project  # noqa: E402
from pspnet_core.training import LabelledImage, TrainConfig, fit  # noqa: E402
from pspnet_core.training.collection import collect  # noqa: E402
from pspnet_core.training.config import Recipe  # noqa: E402
from pspnet_core.training.data import LabelledCache  # noqa: E402
from pspnet_core.training.pool import ImagePool  # noqa: E402
from pspnet_core.types import Provenance  # noqa: E402
from tests.helpers import cells, tiny  # noqa: E402


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_cells_do_not_drown_in_the_background(mode):
    items = [LabelledImage(f"{i}.png", lambda i=i: cells.picture(i, 128)) for i in range(4)]
    events = fit(TrainConfig(items, cells.CLASSES, steps=50, mode=mode, device="cpu", num_threads=1))
    *_, finished = events
    matrix = ConfusionMatrix(cells.CLASSES.indices)
    predictor = Predictor(finished.checkpoint, "cpu")
    for seed in (50, 51):
        image, class_map = cells.picture(seed, 128)
        matrix.update(class_map, predictor.predict(image).class_map)
    assert matrix.iou_by_id[1] > 0.4
    assert matrix.iou_by_id[0] > 0.8


def test_what_was_accepted_in_a_project_weighs_less(tmp_path):
    image, class_map = tiny.picture(0, 64)
    Image.fromarray(image).save(tmp_path / "a.png")
    project = Project.open(tmp_path)
    project.set_classes(tiny.CLASSES)
    provenance = np.full(class_map.shape, Provenance.PAINTED, np.uint8)
    provenance[:, :32] = Provenance.ACCEPTED
    project.save_annotation(project.item("a.png"), class_map, provenance)
    project.save()
    events = collect(project)
    while True:
        try:
            next(events)
        except StopIteration as stop:
            data = stop.value
            break
    (item,) = data.train
    cache = LabelledCache(data.classes)
    assert (cache.accepted(item) == (provenance == Provenance.ACCEPTED)).all()
    shares = []
    for weight in (0.0, 1.0):
        recipe = Recipe(crop_px=64, scale_octaves=0, rotation_deg=0, accepted_weight=weight)
        pool = ImagePool([item], cache, recipe, 0)
        pool.read_next()
        shares.append(np.mean([(pool.crop(64, number)[1] != 255).mean() for number in range(10)]))
    assert shares[0] < 0.6 * shares[1]


def test_both_presets_are_recipes_of_their_own_kind():
    for recipe in (Recipe.quick(), Recipe.full()):
        assert 0 < recipe.accepted_weight <= 1
        assert recipe.crop_px % 32 == 0
        assert recipe.crop_px % recipe.loss_stride == 0
