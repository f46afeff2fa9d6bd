"""Published networks as versions of a project, and fine-tunes that start from something else than the default."""

import json

import pytest

torch = pytest.importorskip("torch")
import torchvision  # noqa: E402

from pspnet_core.classes import ClassSet  # noqa: E402
from pspnet_core.errors import CheckpointError, StorageError, TrainingError  # noqa: E402
from pspnet_core.models import PSPNetConfig, make_model  # noqa: E402
from pspnet_core.models.checkpoint import Checkpoint, save_checkpoint  # noqa: E402
from pspnet_core.models.importers import import_weights  # noqa: E402
from pspnet_core.models.importers import reading as reading_module  # noqa: E402
from pspnet_core.project.project import Project  # noqa: E402
from pspnet_core.training import finetune as finetune_module  # noqa: E402
from pspnet_core.training.config import Recipe  # noqa: E402
from pspnet_core.training.events import Decided, FinishEarly, Step  # noqa: E402
from pspnet_core.training.exposure import Exposure  # noqa: E402
from pspnet_core.training.finetune import finetune  # noqa: E402
from pspnet_core.training.imported import (  # noqa: E402
    add_imported,
    adding_imported,
    read_network,
    reading_network,
)
from pspnet_core.training.start import SETTING, Start  # noqa: E402
from pspnet_core.training.versions import VersionStore  # noqa: E402
from tests.helpers.tiny import write_data_set  # noqa: E402

THEIRS = ClassSet().add("Bar").add("lamp").add("ground")


@pytest.fixture
def project(tmp_path):
    """With the classes ground, square, bar."""
    return Project.open(write_data_set(tmp_path / "d", train=3, val=1, test=0))


@pytest.fixture
def file(tmp_path):
    model = make_model(PSPNetConfig.studio_fast(3))
    return save(Checkpoint(model.eval(), THEIRS, origin={"project": "another"}), tmp_path / "theirs.safetensors")


def save(checkpoint, path):
    save_checkpoint(checkpoint, path)
    return path


def run(project, start=None):
    recipe = Recipe(batch_size=2, crop_px=64, warmup_steps=2)
    events = finetune(project, seconds=20, device="cpu", recipe=recipe, start=start)
    event, has_learned = next(events), False
    while not isinstance(event, Decided):
        wants_end = isinstance(event, Step) and not has_learned
        has_learned |= wants_end
        event = events.throw(FinishEarly()) if wants_end else next(events)
    return event


def test_an_imported_network_becomes_a_version_with_the_projects_classes(project, file):
    imported = add_imported(project, read_network([file]))
    assert (imported.known, imported.new, imported.dropped) == (("ground", "bar"), ("square",), ("lamp",))
    assert (imported.publisher, imported.backbone) == ("studio", "efficientnet_lite0")
    store = VersionStore(project.folder / "versions")
    (version,) = store.list()
    assert version == imported.version
    assert store.current is None
    assert version.record["imported"]["file"] == "theirs.safetensors"
    assert version.record["known_classes"] == ["ground", "bar"]
    checkpoint = store.load(1)
    assert checkpoint.classes == project.classes
    theirs = read_network([file]).model.state_dict()["classifier.1.weight"]
    ours = checkpoint.model.state_dict()["classifier.1.weight"]
    names = checkpoint.classes.names
    assert torch.equal(ours[names.index("bar")], theirs[0])
    assert torch.equal(ours[names.index("ground")], theirs[2])


def test_an_imported_version_is_compared_as_one_that_learned_nothing_here(project, file):
    add_imported(project, read_network([file]))
    VersionStore(project.folder / "versions").set_current(1)
    decided = run(project)
    assert decided.old_mean_iou is not None


def studio_file(classes, path, origin):
    return save(Checkpoint(make_model(PSPNetConfig.studio_fast(3)).eval(), classes, origin=origin), path)


def test_only_what_certainly_learned_nothing_here_claims_so(project, tmp_path):
    """The command line does not always know whose images it is given; without proof nothing is claimed."""
    published = {"publisher": "mmseg", "new": []}
    cases = [
        ({"project": project.uuid}, False),
        ({"projects": ["another", project.uuid]}, False),
        ({"projects": None, "init": "imagenet"}, False),
        ({"init": "imagenet", "data": "meadow"}, False),
        ({}, False),
        ({"projects": ["another"]}, True),
        ({"import": published}, True),
    ]
    for number, (origin, is_comparable) in enumerate(cases):
        file = studio_file(project.classes, tmp_path / f"{number}.safetensors", origin)
        imported = add_imported(project, read_network([file]))
        assert imported.is_comparable is is_comparable, origin
        assert ("trained_items" in imported.version.record) is is_comparable, origin


def test_a_version_of_unknown_past_is_not_compared_and_neither_is_what_started_from_it(project, tmp_path):
    add_imported(project, read_network([studio_file(project.classes, tmp_path / "own.safetensors", {})]))
    store = VersionStore(project.folder / "versions")
    store.set_current(1)
    decided = run(project, Start())
    assert decided.old_mean_iou is None
    assert decided.mean_iou is not None
    assert "not known what version 1 learned from" in decided.reason
    decided = run(project, Start(version=1))
    assert (decided.mean_iou, decided.old_mean_iou) == (None, None)
    assert "it started from version 1, and what that learned from is not known" in decided.reason
    record = store.list()[-1].record
    assert not {"trained_items", "held_items", "holdout_blocks"} & record.keys()
    assert store.load(record["number"]).origin["projects"] is None


def test_what_a_version_started_from_has_learned_is_in_its_record(project, file):
    add_imported(project, read_network([file]))
    store = VersionStore(project.folder / "versions")
    folder = store.list()[0].path.parent
    trained = next(item.key for item in project.items if "val" in item.key)
    parent = Exposure(frozenset([trained]))
    record = json.loads((folder / "version.json").read_text())
    (folder / "version.json").write_text(json.dumps(record | parent.to_json()))
    decided = run(project, Start(version=1))
    record = store.list()[-1].record
    assert trained in record["trained_items"]
    assert trained not in record["held_items"]
    assert decided.mean_iou is None  # the only image of split val was learned from
    assert store.load(record["number"]).origin["projects"] == sorted(["another", project.uuid])


def test_a_fine_tune_changes_the_classes_by_its_own_seed(project, file, monkeypatch):
    add_imported(project, read_network([file]))
    project.set_classes(project.classes.add("new", index=9))
    seen = []

    def train(config):
        seen.append(config)
        raise TrainingError("enough")
        yield

    monkeypatch.setattr(finetune_module, "train", train)
    with pytest.raises(TrainingError, match="enough"):
        list(finetune(project, seconds=20, seed=7, device="cpu", start=Start(version=1)))
    assert seen[0].seed == 7
    assert len(seen[0].init.classes) == 3  # as it was imported: what is new is drawn by the learner
    assert "new" in seen[0].classes.names


def test_an_import_can_be_ended_between_its_steps(project, file):
    steps = list(iter_steps(reading_network([file])))
    assert len(steps) >= 2
    adding = adding_imported(project, read_network([file]))
    for _ in range(2):
        next(adding)
    adding.close()
    assert not (project.folder / "versions").exists()


def test_a_file_is_hashed_in_pieces(tmp_path, file, monkeypatch):
    monkeypatch.setattr(reading_module, "_CHUNK", file.stat().st_size // 8)
    assert len(list(iter_steps(reading_network([file])))) >= 8


def iter_steps(generator):
    yield from generator


def test_a_version_that_nobody_wants_leaves_nothing(project, file):
    store = VersionStore(project.folder / "versions")
    number = add_imported(project, read_network([file])).version.number
    store.remove(number)
    assert store.list() == []
    assert not (project.folder / "versions" / str(number)).exists()
    with pytest.raises(StorageError, match="Version 5"):
        store.remove(5)


def test_a_fine_tune_starts_from_an_imported_version(project, file):
    add_imported(project, read_network([file]))
    project.settings[SETTING] = Start(version=1).to_json()
    decided = run(project)
    tuned = VersionStore(project.folder / "versions").load(decided.version.number)
    assert tuned.origin["init"]["version"] == 1
    imported = VersionStore(project.folder / "versions").load(1).model.state_dict()
    assert torch.equal(tuned.model.state_dict()["backbone.stem.weight"], imported["backbone.stem.weight"])  # frozen
    with pytest.raises(CheckpointError, match="no version 9"):
        run(project, Start(version=9))


def test_a_fine_tune_starts_with_the_chosen_backbone(project, tmp_path):
    torch.save(torchvision.models.mobilenet_v2(weights=None).state_dict(), tmp_path / "mine.pth")
    decided = run(project, Start("mobilenet_v2", tmp_path / "mine.pth"))
    tuned = VersionStore(project.folder / "versions").load(decided.version.number)
    assert tuned.config.backbone == "mobilenet_v2"
    assert tuned.origin["init"]["file"] == str(tmp_path / "mine.pth")


def test_a_backbone_alone_is_no_network(tmp_path):
    torch.save(torchvision.models.mobilenet_v2(weights=None).state_dict(), tmp_path / "mine.pth")
    with pytest.raises(CheckpointError, match="only a backbone") as caught:
        read_network([tmp_path / "mine.pth"])
    assert "starts with" in caught.value.remedy


def test_a_backbone_alone_stays_one_in_a_file_of_ours(project, tmp_path):
    """What was new when it was imported is still untrained, and its norms have yet to learn."""
    new = ["fuse.1.weight", "classifier.1.weight"]
    origin = {"import": {"publisher": "torchvision", "new": new}}
    own = studio_file(project.classes, tmp_path / "own.safetensors", origin)
    assert import_weights(own).origin["import"]["new"] == new
    with pytest.raises(CheckpointError, match="only a backbone"):
        read_network([own])


def test_the_setting_survives_and_what_is_unknown_is_the_default(tmp_path):
    for start in (Start(), Start("resnet18", tmp_path / "a.pth"), Start(version=3)):
        assert Start.of({SETTING: start.to_json()}) == start
    for row in (None, [], "x", {"backbone": "vgg"}, {"version": 0}, {"version": "x"}, {"file": None}):
        assert Start.of({SETTING: row}) == Start()
    with pytest.raises(ValueError, match="vgg"):
        Start("vgg")
    assert not Start("resnet18", tmp_path / "a.pth").has_weights
    (tmp_path / "a.pth").write_bytes(b"")
    assert Start("resnet18", tmp_path / "a.pth").has_weights
    assert Start().has_weights
