"""The options of the commands that compute: ``train``, ``predict``, ``evaluate``. Nothing here imports torch.

The commands use as many threads as torch does by itself: all cores, or ``OMP_NUM_THREADS``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from pspnet_core.cli_evaluate import evaluate
from pspnet_core.cli_predict import predict
from pspnet_core.cli_train import DEFAULT_PRESET, DEFAULT_SECONDS, train
from pspnet_core.pretrained import DEFAULT_BACKBONE, PRETRAINED

# Written out, because the module that knows them imports torch.
PRESET_NAMES = (
    *("paper", "semseg", "mmseg-512", "mmseg-769", "csail", "encoding"),
    *("torchvision-backbone", "studio-fast"),
)

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")

_Commands = argparse._SubParsersAction  # the type of what `add_subparsers` gives has no public name


def add_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    """Add ``train``, ``predict`` and ``evaluate``; each sets ``run``: options -> exit code."""
    _add_train(commands)
    _add_predict(commands)
    _add_evaluate(commands)


def _add_train(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network on labelled images",
        description="Train a network. DATA is a project, a data-set folder (images/<split>, masks/<split>, "
        "classes.json), or a VOC or Cityscapes folder. Without a val split part of train is held out to measure on.",
    )
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--out", metavar="CKPT", type=Path, required=True, help="file to write, .safetensors")
    _add_start(parser)
    parser.add_argument("--images", metavar="N", type=_positive, help="use N evenly spaced images of train")
    parser.add_argument(
        "--mode",
        choices=("quick", "full"),
        default="full",
        help="full ends when the score on the hold-out does not rise any more; quick uses a given time (default: full)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds",
        metavar="S",
        type=_positive_float,
        help="most wall time for everything (default: "
        + ", ".join(f"{seconds:.0f} in mode {mode}" for mode, seconds in DEFAULT_SECONDS.items())
        + ")",
    )
    length.add_argument("--steps", metavar="N", type=_positive, help="number of steps; the result is then repeatable")
    parser.add_argument("--seed", metavar="N", type=_natural, default=0, help="of weights and crops (default: 0)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the same command where it was interrupted; its state is kept in CKPT.state every 20 s",
    )
    _add_common(parser)
    parser.set_defaults(run=train)


def _add_start(parser: argparse.ArgumentParser) -> None:
    """The options of ``train`` that say what it starts from."""
    parser.add_argument(
        "--init",
        metavar="imagenet|none|CKPT",
        help="initial weights: an ImageNet backbone, random ones, a checkpoint, or a publisher's file of weights "
        "(default: imagenet; with --mode quick the current version of a project that has one)",
    )
    parser.add_argument(
        "--backbone",
        metavar="B",
        choices=tuple(PRETRAINED),
        help=f"{', '.join(PRETRAINED)} (default: that of --init, else that of the preset, {DEFAULT_BACKBONE})",
    )
    parser.add_argument(
        "--preset",
        metavar="P",
        choices=PRESET_NAMES,
        help=f"shape of a new network: {', '.join(PRESET_NAMES)} (default: {DEFAULT_PRESET}); not with a file as "
        "--init, which says its own",
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--download", action="store_true", help="fetch the ImageNet weights if they are not on this computer"
    )
    weights.add_argument("--weights", metavar="FILE", type=Path, help="read the ImageNet weights from FILE instead")


def _add_predict(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "predict",
        help="predict class maps of images",
        description="Predict images. Each class map is written as DIR/<name>.png, 8-bit with a palette, value = class "
        "id; images of a folder keep their place in it.",
    )
    parser.add_argument("checkpoint", metavar="CKPT", type=Path)
    parser.add_argument("inputs", metavar="INPUT", type=Path, nargs="+", help="images, or folders of images")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the class maps; it is made")
    parser.add_argument(
        "--confidence",
        action="store_true",
        help="also write DIR/<name>.confidence.png: round(255 x highest probability)",
    )
    parser.add_argument(
        "--window",
        metavar="PX",
        type=int,
        help="slide a window of PX x PX pixels, a multiple of 32, by two thirds of its side (default: the whole image "
        "at once where it fits into memory)",
    )
    parser.add_argument("--flip", action="store_true", help="average with the prediction of the mirrored image")
    parser.add_argument(
        "--scales",
        metavar="S",
        type=float,
        nargs="+",
        default=[1.0],
        help="average over these scales, such as .75 1 1.25",
    )
    parser.add_argument(
        "--again", action="store_true", help="predict also what was predicted before by the same checkpoint"
    )
    _add_common(parser)
    parser.set_defaults(run=predict)


def _add_evaluate(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a checkpoint on labelled images",
        description="Predict whole images of a split and report IoU, accuracy and Dice over all their pixels, and the "
        "F1 of the outlines.",
    )
    parser.add_argument("checkpoint", metavar="CKPT", type=Path)
    parser.add_argument("data", metavar="DATA", type=Path, help="as for train")
    parser.add_argument("--split", choices=("train", "val", "test", "none"), default="test", help="(default: test)")
    _add_common(parser)
    parser.set_defaults(run=evaluate)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", metavar="auto|cpu|cuda[:N]|mps", type=_device, default="auto", help="(default: auto)"
    )
    parser.add_argument("--json", action="store_true", help="events and result as JSON lines on stdout")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, found {text}")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, found {text}")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0, found {text}")
    return value


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be auto, cpu, cuda, cuda:N or mps, found {text}")
    return text
