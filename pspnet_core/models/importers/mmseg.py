"""open-mmlab/mmsegmentation: "PSPNet" with ResNetV1c ("R-50-D8") or torchvision's ResNet ("R-50b").

Source: its ``mmseg/models/decode_heads/psp_head.py``, ``backbones/resnet.py``, ``configs/pspnet``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pspnet_core.errors import CheckpointError
from pspnet_core.models.importers.key_map import BASIC, Facts, KeyMap, Layout, Publisher, blocks, stem

_HEADS = (
    ("decode_head.psp_modules.{bin}.1.conv", "ppm.branches.{bin}.0"),
    ("decode_head.psp_modules.{bin}.1.bn", "ppm.branches.{bin}.1"),
    ("decode_head.bottleneck.conv", "fuse.0"),
    ("decode_head.bottleneck.bn", "fuse.1"),
    ("decode_head.conv_seg", "classifier.1"),
    ("auxiliary_head.convs.0.conv", "aux_heads.0.0.0"),
    ("auxiliary_head.convs.0.bn", "aux_heads.0.0.1"),
    ("auxiliary_head.conv_seg", "aux_heads.0.2"),
)
_DEEP = tuple((f"backbone.stem.{number}", f"backbone.stem.{number}") for number in (0, 1, 3, 4, 6, 7))
_PLAIN = stem("backbone.conv1", "backbone.bn1")
_BARE = tuple((f"stem.{number}", f"backbone.stem.{number}") for number in (0, 1, 3, 4, 6, 7))
_MAX_BINS = 4  # of the names above
_MARK = "decode_head.psp_modules.0.1.conv.weight"


def _decide(facts: Facts) -> Mapping[str, Any]:
    """What the configuration in the file says, with mmsegmentation's defaults; without one, what its name says."""
    text = next((v for k in ("config", "cfg") if isinstance(v := facts.meta.get(k), str)), "")
    settings: dict[str, Any] = _strides(text, facts.name)
    if text:
        is_contract = re.search(r"contract_dilation['\"]?\s*[=:]\s*True", text)
        settings["dilation"] = "contract" if is_contract else "all"
        if facts.backbone not in BASIC and re.search(r"\bstyle['\"]?\s*[=:]\s*['\"]caffe['\"]", text):
            settings["stride_at"] = "1x1"
        settings |= _pool_scales(text)
    elif facts.num_classes is not None:
        facts.guesses.append(
            "dilation=contract was guessed: there is no configuration in the file. All published PSPNets of "
            "mmsegmentation have it; contract_dilation=False, the default of its code, would be dilation=all."
        )
    if facts.align_corners is None and facts.num_classes is not None:
        settings["align_corners"] = _align_corners(text, facts)
    return settings


def _pool_scales(text: str) -> dict[str, Any]:
    """The grids that the configuration states. Raises: CheckpointError when they cannot be read."""
    if "pool_scales" not in text:
        return {}
    scales = _numbers("pool_scales", text)
    if scales is None or not 1 <= len(scales) <= _MAX_BINS or min(scales) < 1:
        raise CheckpointError(
            "The pyramid of these weights is not known.",
            f"Their configuration says {text[text.index('pool_scales') :][:60]!r}; expected up to {_MAX_BINS} numbers.",
            "Choose weights with pool_scales=(1, 2, 3, 6), as all published ones have.",
        )
    return {"bins": scales}


def _align_corners(text: str, facts: Facts) -> bool:
    stated = set(re.findall(r"align_corners['\"]?\s*[=:]\s*(True|False)", text))
    if len(stated) == 1:
        return stated == {"True"}
    found = re.search(r"(?<!\d)(769x769|513x513|512x1024|512x512)(?!\d)", facts.name)
    if found or "769" in facts.name:
        value = found is None or found[1].startswith("769")
        why = f"the name {facts.name!r} stands for crops of {found[1] if found else '769'} pixels"
    else:
        value, why = False, "neither the file nor its name tells the crop (769 pixels: true, others: false)"
    facts.guesses.append(f"align_corners={value} was guessed: {why}. Wrong, it changes some percent of the pixels.")
    return value


def _strides(text: str, name: str) -> dict[str, Any]:
    """Output stride: 8 ("D8"), 16 ("D16"); "D32" keeps dilations at stride 32, which no network here does."""
    strides = _numbers("strides", text)
    if strides is None and (found := re.search(r"-d(8|16|32)(?!\d)", name)):
        strides = {"8": (1, 2, 1, 1), "16": (1, 2, 2, 1), "32": (1, 2, 2, 2)}[found[1]]
    known = {(1, 2, 1, 1): 8, (1, 2, 2, 1): 16}
    if strides is None or strides in known:
        return {} if strides is None else {"output_stride": known[strides]}
    if strides == (1, 2, 2, 2) and _numbers("dilations", text) == (1, 1, 1, 1):
        return {"output_stride": 32}
    raise CheckpointError(
        f"The backbone of {name or 'these weights'} has strides {strides} together with dilation.",
        'Networks here are dilated where a stride was taken away: strides 1, 2, 1, 1 ("D8") or 1, 2, 2, 1 ("D16").',
        'Choose a "D8" network of mmsegmentation: they are also the more accurate ones.',
    )


def _numbers(name: str, text: str) -> tuple[int, ...] | None:
    # The backbone comes first in a configuration; heads have neither.
    found = re.search(rf"\b{name}['\"]?\s*[=:]\s*[\[(]([\d,\s]+)[\])]", text)
    return tuple(int(number) for number in re.findall(r"\d+", found[1])) if found else None


PUBLISHER = Publisher(
    name="mmseg",
    repository="open-mmlab/mmsegmentation",
    layouts=(
        Layout(KeyMap((*_DEEP, *blocks("backbone."), *_HEADS)), ("backbone.stem.0.weight", _MARK)),
        Layout(KeyMap((*_PLAIN, *blocks("backbone."), *_HEADS)), ("backbone.conv1.weight", _MARK)),
        Layout(KeyMap((*_BARE, *blocks(""))), ("stem.0.weight", "layer1.0.conv1.weight"), is_backbone=True),
    ),
    preset="mmseg-512",
    has_basic_blocks=True,
    varying=frozenset({"align_corners", "bins", "dilation", "output_stride", "stem", "stride_at"}),
    ignored=(r"data_preprocessor\..*", r"fc\..*"),
    decide=_decide,
)
