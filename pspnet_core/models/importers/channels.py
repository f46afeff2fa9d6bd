"""Which class each channel of a published network stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from pspnet_core.class_sets import CLASS_SETS, class_set, title_of
from pspnet_core.classes import DEFAULT_COLORS, ClassDef, ClassSet
from pspnet_core.errors import CheckpointError, ClassSetError

_NEW = ("background", "foreground")  # of a network without a classifier


def choose_classes(
    num_classes: int | None, given: ClassSet | None, meta: Mapping[str, Any], guesses: list[str]
) -> ClassSet:
    """The classes in channel order.

    Args:
        num_classes: Channels of the classifier; None when there is none yet.
        given: What the caller said; it wins.
        meta: What the publisher wrote beside the tensors: mmsegmentation lists names and colours there.
        guesses: One sentence is added when names had to be guessed.

    Raises:
        CheckpointError: ``given`` has another number of classes than the network.
    """
    if given is not None:
        if num_classes is not None and len(given) != num_classes:
            raise CheckpointError(
                f"The network has {num_classes} classes, the class set {len(given)}.",
                f"The class set is {_some(given.names)}.",
                f"Give a class set of {num_classes} classes in the order of the network's channels; to change the "
                "classes, import first.",
            )
        return given
    if num_classes is None:
        return _numbered(_NEW)
    if (stated := _stated(meta)) is not None and len(stated) == num_classes:
        return stated
    for name in CLASS_SETS:
        known = class_set(name)
        if len(known) == num_classes:
            guesses.append(
                f"The classes were guessed to be those of {title_of(name)}, because there are {num_classes} of them."
            )
            return known
    guesses.append(f"The {num_classes} classes are not known; they are named class 1 to class {num_classes}.")
    return _numbered([f"class {number}" for number in range(1, num_classes + 1)])


def _stated(meta: Mapping[str, Any]) -> ClassSet | None:
    """Classes that the file names, or None."""
    inner = meta.get("dataset_meta")
    data = inner if isinstance(inner, Mapping) else meta
    lower = {str(key).lower(): value for key, value in data.items()}
    names, palette = lower.get("classes"), lower.get("palette")
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(n, str) for n in names):
        return None
    try:
        return _numbered([name.strip() for name in names], palette if _is_palette(palette, len(names)) else None)
    except ClassSetError:  # a name twice, or none: the publisher's names cannot serve
        return None


def _is_palette(palette: Any, count: int) -> bool:
    """Whether it holds ``count`` colours. One that does not is left out: the names are worth more."""
    return isinstance(palette, list | tuple) and len(palette) == count and all(map(_is_color, palette))


def _is_color(color: Any) -> bool:
    if not isinstance(color, list | tuple) or len(color) != 3:
        return False
    return all(isinstance(value, Integral) and 0 <= int(value) <= 255 for value in color)


def _numbered(names: Sequence[str], palette: Sequence[Sequence[int]] | None = None) -> ClassSet:
    if palette is not None:
        return ClassSet(
            ClassDef(index, name, (int(color[0]), int(color[1]), int(color[2])))
            for index, (name, color) in enumerate(zip(names, palette, strict=True))
        )
    classes = ClassSet()
    for index, name in enumerate(names):
        classes = classes.add(name, DEFAULT_COLORS[index] if index < len(DEFAULT_COLORS) else None)
    return classes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
