"""The class sets of the data sets that published networks were trained on. Needs no torch.

Class i of a set is channel i of a publisher's classifier; names and colours are the publishers' too.

Source: ADE20K, Cityscapes and Pascal VOC as mmsegmentation 1.2.2 lists them (``ade.py``, ``cityscapes.py``, ``voc.py``;
hszhao/semseg has the same order), blanks at the end of a name dropped. CamVid in the order of hszhao/semseg with the
colours of the data set's own ``label_colors.txt``; others, SegNet first, number the same eleven classes differently,
and call Column_Pole "Pole" and Sidewalk "Pavement".
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from pspnet_core.classes import ClassSet

CLASS_SETS: tuple[str, ...] = ("ade20k", "cityscapes", "voc", "camvid")
"""Names that :func:`class_set` knows: ADE20K (150 classes), Cityscapes (19), Pascal VOC (21), CamVid (11)."""


def class_set(name: str) -> ClassSet:
    """The class set ``name``, ids 0 to K - 1 in the order of the publishers' channels.

    ADE20K stores id + 1 in its files, 0 there being unlabelled; Cityscapes stores other ids there too ("train ids" are
    meant here). Class 0 of Pascal VOC is the background.

    Raises:
        ValueError: There is no such set.
    """
    if name not in CLASS_SETS:
        raise ValueError(f"unknown class set {name!r}; known are {', '.join(CLASS_SETS)}")
    return ClassSet.from_json(_tables()[name])


def title_of(name: str) -> str:
    """What people call the class set ``name``. Raises: ValueError when there is no such set."""
    if name not in CLASS_SETS:
        raise ValueError(f"unknown class set {name!r}; known are {', '.join(CLASS_SETS)}")
    return str(_tables()[name]["title"])


@cache
def _tables() -> dict[str, dict[str, Any]]:
    text = resources.files("pspnet_core").joinpath("class_sets.json").read_text(encoding="utf-8")
    tables: dict[str, dict[str, Any]] = json.loads(text)
    return tables
