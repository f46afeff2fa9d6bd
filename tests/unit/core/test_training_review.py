"""What a review finds: confused places, worst images, labels that look wrong; of the test split only scores."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from pspnet_core.errors import TrainingError  # noqa: E402
from pspnet_core.inference.upsample import PartDone  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint  # noqa: E402
from pspnet_core.models.config import PSPNetConfig  # noqa: E402
from pspnet_core.models.pspnet import PSPNet  # noqa: E402
from pspnet_core.project.project import Project, Split, Status  # noqa: E402
from pspnet_core.training import review as review_module  # noqa: E402
from pspnet_core.training.confusions import area_of, find_confusions  # noqa: E402
from pspnet_core.training.events import FinishEarly  # noqa: E402
from pspnet_core.training.review import review  # noqa: E402
from pspnet_core.training.review_events import Review, Reviewed, Reviewing  # noqa: E402
from pspnet_core.training.versions import VersionStore  # noqa: E402
from pspnet_core.types import UNLABELLED, Prediction, Provenance, Rect  # noqa: E402
from tests.helpers.networks import small  # noqa: E402
from tests.helpers.tiny import CLASSES, picture, write_data_set  # noqa: E402


def tiny_checkpoint(classes):
    return Checkpoint(PSPNet(small(PSPNetConfig.studio_fast(len(classes)))).eval(), classes)


def run(generator):
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def test_the_largest_region_of_each_confusion_with_a_point_inside():
    labels = np.zeros((60, 80), np.uint8)
    predicted = labels.copy()
    predicted[10:20, 30:50] = 1
    predicted[40:44, 2:6] = 1
    labels[0:5, 70:80] = 2
    places, suspects = run(find_confusions("a", labels, predicted))
    assert [(p.true_id, p.predicted_id, p.area_px) for p in places] == [(0, 1, 200), (2, 0, 50), (0, 1, 16)]
    assert places[0].rect == Rect(30, 10, 20, 10)
    for place in places:
        assert labels[place.y, place.x] == place.true_id
        assert predicted[place.y, place.x] == place.predicted_id
    assert suspects == []


def test_the_pixels_of_a_place_are_found_again_as_long_as_they_are_there():
    labels = np.zeros((60, 80), np.uint8)
    predicted = labels.copy()
    predicted[10:20, 30:50] = 1
    predicted[12:14, 34:60] = 0  # a hole
    (place, *_), _ = run(find_confusions("a", labels, predicted))
    inside = place.rect.slices
    rect, mask = area_of(place, labels[inside], predicted[inside])
    assert rect == place.rect
    assert mask.sum() == place.area_px
    labels[place.y, place.x] = 1
    assert area_of(place, labels[inside], predicted[inside]) is None
    with pytest.raises(ValueError, match="labels"):
        area_of(place, labels, predicted[inside])


def test_unlabelled_pixels_are_no_confusion():
    labels = np.full((20, 20), UNLABELLED, np.uint8)
    assert run(find_confusions("a", labels, np.zeros_like(labels))) == ([], [])


def test_suspects_are_sure_broad_and_given_by_a_person():
    labels = np.zeros((100, 100), np.uint8)
    predicted = labels.copy()
    predicted[10:30, 10:30] = 1  # sure
    predicted[50:70, 10:40] = 1  # not sure
    predicted[90:92] = 1  # sure, but as thin as a border
    predicted[40:60, 70:90] = 1  # sure, but nobody vouched for the label
    margin = np.full(labels.shape, 250, np.uint8)
    margin[50:70, 10:40] = 60
    vouched = np.ones(labels.shape, bool)
    vouched[40:60, 70:90] = False
    _, suspects = run(find_confusions("a", labels, predicted, margin, vouched))
    assert [s.place.rect for s in suspects] == [Rect(10, 10, 20, 20)]
    assert suspects[0].margin == pytest.approx(250 / 255)
    assert suspects[0].rank == pytest.approx(400 * 250 / 255)


def test_a_large_image_is_looked_at_in_a_grid_and_told_in_its_own_pixels():
    labels = np.zeros((3000, 2000), np.uint8)
    predicted = labels.copy()
    predicted[900:1300, 500:900] = 3
    (place,), _ = run(find_confusions("a", labels, predicted))
    assert place.area_px == pytest.approx(160_000, rel=0.02)
    assert abs(place.rect.x - 500) <= 2
    assert predicted[place.y, place.x] == 3


@pytest.fixture
def project(tmp_path):
    return Project.open(write_data_set(tmp_path / "d", train=3, val=1, test=2))


class FakePredictor:
    """Says what the labels say, but square where it should say bar in image ``p1`` of split train."""

    def __init__(self, checkpoint, device):
        self.checkpoint = checkpoint
        self.device = device

    def predict_parts(self, source, first=None, margin=False):
        image = source.read(Rect(0, 0, source.width, source.height))
        said = np.full(image.shape[:2], 2, np.uint8)
        said[image.min(axis=2) > 150] = 0
        is_bar = (image == (20, 60, 200)).all(axis=2)
        said[is_bar] = 5
        if np.array_equal(image, picture(1)[0]):
            said[is_bar] = 0
        full = np.full(said.shape, 255, np.uint8)
        yield PartDone(Rect(0, 0, source.width, source.height), Prediction(said, full, full))


@pytest.fixture
def reviewed(project, monkeypatch):
    VersionStore(project.folder / "versions").add(
        tiny_checkpoint(CLASSES),
        {"trained_items": ["images/train/p1.png"], "held_items": ["images/val/p0.png"], "holdout_blocks": {}},
    )
    monkeypatch.setattr(review_module, "Predictor", FakePredictor)
    return project


def test_worst_image_confused_cell_and_suspects(reviewed):
    events = list(review(reviewed, 1, device="cpu"))
    result = events[-1]
    assert isinstance(result, Review)
    assert result.items[0].key == "images/train/p1.png"
    assert result.items[0].mean_iou < 1
    (place, *_) = result.cells[5, 0]
    assert place.key == "images/train/p1.png"
    assert picture(1)[1][place.y, place.x] == 5
    assert set(result.cells) == {(5, 0)}
    assert result.places_of_class(0)[0] == place
    assert result.suspects[0].place.key == "images/train/p1.png", "a mask that was imported may be wrong, too"
    assert result.everything.counts[result.everything.class_ids.index(5), result.everything.class_ids.index(0)] > 0
    assert result.unlearned.mean_iou == 1.0, "it learned from the one image that it confuses"
    fractions = [e.fraction for e in events if isinstance(e, Reviewing)]
    assert fractions == sorted(fractions)
    assert all(0 <= f <= 1 for f in fractions)


def test_what_it_does_not_know_comes_first_and_test_last_and_unlisted(reviewed):
    events = list(review(reviewed, 1, device="cpu"))
    order = [e.score.key for e in events if isinstance(e, Reviewed)]
    result = events[-1]
    assert order.index("images/train/p1.png") == 3
    assert {order[-1], order[-2]} == {"images/test/p0.png", "images/test/p1.png"}
    assert not any(score.split is Split.TEST for score in result.items)
    assert result.test.num_pixels == 2 * 96 * 96
    assert result.everything.num_pixels == 4 * 96 * 96
    assert [score.is_held_out for score in result.items if score.key == "images/train/p1.png"] == [False]


def test_accepted_pixels_count_only_in_images_that_are_done(reviewed):
    item = reviewed.item("images/train/p0.png")
    class_map = picture(0)[1]
    reviewed.save_annotation(item, class_map, np.full(class_map.shape, Provenance.ACCEPTED, np.uint8))
    *_, result = review(reviewed, 1, device="cpu")
    assert "images/train/p0.png" not in {score.key for score in result.items}
    reviewed.set_state("images/train/p0.png", status=Status.DONE)
    *_, result = review(reviewed, 1, device="cpu")
    assert "images/train/p0.png" in {score.key for score in result.items}


def test_ended_early_it_tells_what_is_known(reviewed):
    events = review(reviewed, 1, device="cpu")
    for event in events:
        if isinstance(event, Reviewed):
            break
    result = events.throw(FinishEarly())
    assert isinstance(result, Review)
    assert len(result.items) == 1
    assert result.num_items == 6


def test_an_image_that_cannot_be_read_is_named(reviewed):
    reviewed.item("images/train/p2.png").image_path.write_bytes(b"no picture")
    *_, result = review(reviewed, 1, device="cpu")
    assert result.unread == ("images/train/p2.png",)


def test_nothing_labelled_is_said(tmp_path, monkeypatch):
    Image.fromarray(picture(0)[0]).save(tmp_path / "a.png")
    project = Project.open(tmp_path)
    project.set_classes(CLASSES)
    VersionStore(project.folder / "versions").add(tiny_checkpoint(CLASSES), {})
    with pytest.raises(TrainingError, match="nothing to compare"):
        list(review(project, 1, device="cpu"))


def test_with_the_real_predictor(project):
    VersionStore(project.folder / "versions").add(tiny_checkpoint(CLASSES), {})
    *_, result = review(project, 1, device="cpu")
    assert result.everything.num_pixels == 4 * 96 * 96
    assert result.unlearned.num_pixels == 0, "its record does not tell what it learned from"
    assert result.cells
    assert result.to_json()["version"] == 1
