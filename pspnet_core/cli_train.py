"""The command ``train``. Importing it imports no torch."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet_core.atomic import check_place
from pspnet_core.cli_output import Output
from pspnet_core.cli_weights import check_options, check_stem, initial_checkpoint, provide_weights
from pspnet_core.errors import DataError, PspnetError, StorageError
from pspnet_core.pretrained import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from pspnet_core.models.checkpoint import Checkpoint
    from pspnet_core.project.records import Item
    from pspnet_core.training.config import TrainConfig
    from pspnet_core.training.data import LabelledImage
    from pspnet_core.training.distributed import Group

DEFAULT_SECONDS = {"quick": 60.0, "full": 300.0}
DEFAULT_PRESET = "studio-fast"
_HOW_TO_GO_ON = "Go on where it ended with the same command and --resume."
_HOLD_OUT_FROM = 6  # images of train, when there is no val


def train(options: argparse.Namespace) -> int:
    """Train a network on labelled images and write its checkpoint; the exit code.

    Under ``torchrun`` all processes do it together, and the first one reports and writes.
    """
    start = time.monotonic()
    from pspnet_core.training.distributed import is_first, joined

    output = Output(options.json, is_quiet=not is_first())
    options.init = options.init or _usual_start(options, output)
    check_options(options.init, options.weights, options.preset)
    check_place(options.out, [options.weights] if options.weights else [])
    config = _train_config(options, output)
    if config.seconds is not None:  # what the preparation took belongs to them
        config = replace(config, seconds=max(1.0, config.seconds - (time.monotonic() - start)))
    if config.init == "imagenet" and config.weights is None:
        check_stem(config.network, options.preset or DEFAULT_PRESET)
    with joined() as group:
        if config.init == "imagenet" and config.weights is None and group.is_first:
            provide_weights(config.network.backbone, options.download, output)
        group.first_says(0)  # the others wait for the weights
        output.text(f"Training on {len(config.train)} image(s), measuring on {len(config.holdout)}.")
        if group.size > 1:
            output.text(f"{group.size} processes share each batch.")
        _run(config, group, options, output)
    return 0


def _run(config: TrainConfig, group: Group, options: argparse.Namespace, output: Output) -> None:
    """Train, and write what came out."""
    from pspnet_core.models.checkpoint import save_checkpoint
    from pspnet_core.training.distributed import is_restarted
    from pspnet_core.training.events import Finished
    from pspnet_core.training.loop import fit
    from pspnet_core.training.run_state import discard

    assert config.state_file is not None
    if group.is_first and not options.resume and not is_restarted():
        discard(config.state_file)
    report = _Report(output)
    try:
        for event in fit(config, group):
            report(event)
            if isinstance(event, Finished) and group.is_first:
                save_checkpoint(event.checkpoint, options.out)
                metrics = event.metrics
                output.text(f"Trained {metrics['steps']} steps in {metrics['seconds']:.0f} s: {options.out}")
    except StorageError as error:
        if not config.state_file.exists():
            raise
        raise StorageError(error.title, error.detail, f"Free some space. {_HOW_TO_GO_ON}") from error
    except KeyboardInterrupt:
        if not config.state_file.exists():
            raise
        raise PspnetError("Interrupted.", f"What was learned is kept in {config.state_file}.", _HOW_TO_GO_ON) from None


def _usual_start(options: argparse.Namespace, output: Output) -> str:
    """What to start from when nobody says: in mode ``quick`` the current version of a project that has one."""
    if options.mode == "full" or options.weights or options.preset or options.backbone:
        return "imagenet"
    from pspnet_core.project.project import Project
    from pspnet_core.training.versions import VersionStore

    if not (options.data / ".pspnet-studio").is_dir():
        return "imagenet"
    folder = Project.open(options.data).folder / "versions"
    number = VersionStore(folder).current
    path = next((str(v.path) for v in VersionStore(folder).list() if v.number == number), None)
    if path is not None:
        output.text(f"Starting from version {number} of the project.")
    return path or "imagenet"


def _train_config(options: argparse.Namespace, output: Output) -> TrainConfig:
    from pspnet_core.project.dataset import evenly_spaced, open_dataset
    from pspnet_core.project.records import Split
    from pspnet_core.training.config import TrainConfig, network_for
    from pspnet_core.training.data import labelled_images
    from pspnet_core.training.distributed import own_device

    data = open_dataset(options.data)
    items: Sequence[Item] = [*data.items[Split.TRAIN], *data.items[Split.NONE]]
    if options.images is not None:
        items = evenly_spaced(items, options.images)
    if not items:
        raise DataError(
            f"There is no labelled image to train on in {options.data}.",
            "Splits: " + ", ".join(f"{split.value} {len(found)}" for split, found in data.items.items()) + ".",
            "Expected labelled images of split train, or of none.",
        )
    learn, holdout = labelled_images(data, items), labelled_images(data, data.items[Split.VAL])
    init, model = options.init, None
    if init not in ("imagenet", "none"):
        init = initial_checkpoint(Path(init), options.backbone, data.classes, output)
    else:
        preset = options.preset or DEFAULT_PRESET
        model = network_for(options.backbone or _usual_backbone(preset), len(data.classes), preset)
    if not holdout and not _learned_from(init, data.project):
        learn, holdout = _hold_out(learn)
    return TrainConfig(
        train=learn,
        holdout=holdout,
        classes=data.classes,
        model=model,
        init=init,
        weights=options.weights,
        mode=options.mode,
        seconds=None if options.steps is not None else options.seconds or DEFAULT_SECONDS[options.mode],
        steps=options.steps,
        seed=options.seed,
        device=own_device(options.device),
        state_file=options.out.with_name(f"{options.out.name}.state"),
        origin=_origin(options, init, data.project) | {"data": data.root.name, "images": len(learn)},
    )


def _learned_from(init: str | Checkpoint, project: str | None) -> bool:
    """Whether the initial weights may know the images, so that these are no evidence."""
    from pspnet_core.training.exposure import projects_of

    if isinstance(init, str) or project is None:
        return False
    known = projects_of(init.origin)
    return known is None or project in known


def _usual_backbone(preset: str) -> str:
    from pspnet_core.models.config import PRESETS

    return str(PRESETS[preset].get("backbone", DEFAULT_BACKBONE))


def _origin(options: argparse.Namespace, init: str | Checkpoint, project: str | None) -> dict[str, Any]:
    """Where the initial weights came from, and which projects were learned from with them."""
    from pspnet_core.training.exposure import learned_also

    origin: dict[str, Any] = {"init": str(options.init)}
    origin |= {"weights": options.weights.name} if options.weights else {}
    origin |= {"project": project} if project else {}
    origin["projects"] = learned_also(None if isinstance(init, str) else init.origin, project)
    if isinstance(init, str):
        return origin
    published = init.origin.get("import", {})
    return origin | {"parent": {key: published[key] for key in ("publisher", "file", "sha256") if key in published}}


def _hold_out(items: list[LabelledImage]) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Every sixth image to measure on, where there are at least six."""
    if len(items) < _HOLD_OUT_FROM:
        return items, []
    held = set(range(_HOLD_OUT_FROM // 2, len(items), _HOLD_OUT_FROM))
    return [i for n, i in enumerate(items) if n not in held], [i for n, i in enumerate(items) if n in held]


class _Report:
    """Events as they come: all but the signs of life as JSON, now and then a line for people."""

    _PERIOD_S = 5.0

    def __init__(self, output: Output) -> None:
        self._output = output
        self._said_s = 0.0
        self._phase = ""

    def __call__(self, event: Any) -> None:
        from pspnet_core.training.events import Adjusted, Evaluated, Phase, Planned, Resumed, Step

        if isinstance(event, Phase):
            if event.name != self._phase:
                self._output.event(event.to_json())
            self._phase = event.name
            return
        self._output.event(event.to_json())
        if isinstance(event, Step) and event.elapsed_s - self._said_s >= self._PERIOD_S:
            self._said_s = event.elapsed_s
            self._output.text(
                f"step {event.step}/{event.num_steps}  loss {event.loss:.3f}  "
                f"{event.elapsed_s:.0f} s, {event.eta_s:.0f} s left"
            )
        elif isinstance(event, Evaluated):
            self._output.text(f"step {event.step}  held-out mean IoU {event.mean_iou:.4f}")
        elif isinstance(event, Planned):
            self._output.text(f"{event.steps} steps are planned, {event.seconds:.0f} s in all.")
        elif isinstance(event, Resumed):
            self._output.text(f"Going on after step {event.step}.")
        elif isinstance(event, Adjusted):
            self._output.text(event.detail)
