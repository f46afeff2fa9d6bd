"""Which of a publisher's names is which of ours: one table per layout, read in both directions."""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pspnet_core.models.checkpoint import Preprocessing

Row = tuple[str, str]

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {name: name for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
)
"""Names of tensors within a module, as torch has them."""

IMAGENET = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""Mean and standard deviation of ImageNet on 0 to 255; on 0 to 1 they are .485 .456 .406 and .229 .224 .225."""

BASIC = ("resnet18", "resnet34")
"""ResNets of blocks with two 3x3 convolutions."""

_NUMBERS: Mapping[str, range] = MappingProxyType({"stage": range(1, 5), "block": range(50), "bin": range(4)})


@dataclass(frozen=True)
class KeyMap:
    """A bijection between a publisher's names and ours.

    Attributes:
        rows: (theirs, ours), modules without their parameters' names. ``{stage}`` is 1 to 4, ``{block}`` and ``{bin}``
            count from 0; ``{stage0}`` = stage - 1, ``{stage2}`` = stage + 1, ``{bin1}`` = bin + 1, ``{nib}`` = 3 - bin.
            A row of two names that end in ``.*`` maps everything below.
        parameters: Theirs -> ours, of tensors within a module.
        prefixes: (start of our name, what their file puts before theirs): the first that fits is used on the way out.
    """

    rows: tuple[Row, ...]
    parameters: Mapping[str, str] = field(default_factory=lambda: PARAMETERS)
    prefixes: tuple[Row, ...] = ()

    def to_ours(self, key: str) -> str | None:
        """Our name of their tensor, or None when it has none."""
        for theirs, ours in self._open_rows:
            if key.startswith(theirs):
                return ours + key[len(theirs) :]
        module, _, parameter = key.rpartition(".")
        if module not in self._modules or parameter not in self.parameters:
            return None
        return f"{self._modules[module]}.{self.parameters[parameter]}"

    def to_theirs(self, name: str) -> str | None:
        """Their name of our tensor, prefix included, or None when it has none."""
        prefix = next((theirs for ours, theirs in self.prefixes if name.startswith(ours)), "")
        for theirs, ours in self._open_rows:
            if name.startswith(ours):
                return prefix + theirs + name[len(ours) :]
        module, _, parameter = name.rpartition(".")
        their_parameter = next((t for t, o in self.parameters.items() if o == parameter), None)
        if module not in self._modules_back or their_parameter is None:
            return None
        return f"{prefix}{self._modules_back[module]}.{their_parameter}"

    @cached_property
    def _open_rows(self) -> tuple[Row, ...]:
        return tuple((t[:-1], o[:-1]) for t, o in self.rows if t.endswith(".*"))

    @cached_property
    def _modules(self) -> dict[str, str]:
        pairs = [pair for row in self.rows if not row[0].endswith(".*") for pair in _expand(*row)]
        table = dict(pairs)
        assert len(table) == len(set(table.values())) == len(pairs), "a key map is one to one"
        return table

    @cached_property
    def _modules_back(self) -> dict[str, str]:
        return {ours: theirs for theirs, ours in self._modules.items()}


@dataclass(frozen=True)
class Layout:
    """One way in which a publisher names the tensors of a network.

    Attributes:
        key_map: Their names and ours.
        marks: Names that are all there in every such file.
        absent: Names none of which is there.
        settings: What the layout says about the network.
        is_backbone: Whether there are no heads.
        ignored: Regular expressions of names that are known and not needed, beside the publisher's.
    """

    key_map: KeyMap
    marks: tuple[str, ...]
    absent: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_backbone: bool = False
    ignored: tuple[str, ...] = ()


@dataclass
class Facts:
    """What is known when the settings are decided that no tensor tells.

    Attributes:
        name: Of the file; may be empty.
        meta: What the publisher wrote beside the tensors.
        backbone: Its name.
        num_classes: K; None when the file has no classifier.
        align_corners: What the caller said.
        guesses: One sentence for each choice that had to be guessed; functions add to it.
    """

    name: str
    meta: Mapping[str, Any]
    backbone: str
    num_classes: int | None
    align_corners: bool | None
    guesses: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Publisher:
    """Who published weights, and what their code does that their tensors do not tell.

    Attributes:
        name: Short name.
        repository: Their repository or package.
        layouts: Ways in which they name tensors.
        preset: Of :class:`PSPNetConfig` that is nearest.
        settings: Where they differ from it.
        preprocessing: Mean and deviation on RGB, 0 to 255.
        ignored: Regular expressions of names that are known and not needed.
        aliases: (start of a name in some of their versions, the same in the layouts).
        is_bgr: Whether their first convolution takes blue first.
        has_basic_blocks: Whether it is known how their networks on ResNet-18 and 34 dilate.
        varying: Settings that differ between their networks.
        decide: Finds further settings, and says what it had to guess. Raises: CheckpointError.
    """

    name: str
    repository: str
    layouts: tuple[Layout, ...]
    preset: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing = IMAGENET
    ignored: tuple[str, ...] = ()
    aliases: tuple[Row, ...] = ()
    is_bgr: bool = False
    has_basic_blocks: bool = False
    varying: frozenset[str] = frozenset()
    decide: Callable[[Facts], Mapping[str, Any]] | None = None


def blocks(prefix: str) -> tuple[Row, ...]:
    """Rows of the four stages of a ResNet whose blocks have torchvision's names, below ``prefix``."""
    parts = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "downsample.0", "downsample.1")
    return tuple((f"{prefix}layer{{stage}}.{{block}}.{p}", f"backbone.layer{{stage}}.{{block}}.{p}") for p in parts)


def stem(*theirs: str) -> tuple[Row, ...]:
    """Rows of a stem: convolution and norm, once or three times, in their names."""
    ours = ("0", "1", "3", "4", "6", "7")[: len(theirs)]
    return tuple((name, f"backbone.stem.{number}") for name, number in zip(theirs, ours, strict=True))


def _expand(theirs: str, ours: str) -> list[Row]:
    fields = {name for _, name, _, _ in string.Formatter().parse(theirs) if name}
    variables = sorted({"bin" if name == "nib" else name.rstrip("0123456789") for name in fields})
    result = []
    for values in itertools.product(*(_NUMBERS[name] for name in variables)):
        known = dict(zip(variables, values, strict=True))
        derived = {
            "stage0": known.get("stage", 0) - 1,
            "stage2": known.get("stage", 0) + 1,
            "bin1": known.get("bin", 0) + 1,
            "nib": 3 - known.get("bin", 0),
        }
        result.append((theirs.format(**known, **derived), ours.format(**known, **derived)))
    return result
