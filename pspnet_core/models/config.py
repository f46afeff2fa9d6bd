"""Everything that determines the shape of a network, and named presets. Imports no torch.

Sources: Zhao et al., "Pyramid Scene Parsing Network" (CVPR 2017); the public implementations named at :data:`PRESETS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

GROUP_CHANNELS = 8
"""Channels per group of GroupNorm."""

Stem = Literal["conv7", "deep64", "deep32"]
Shortcut = Literal["conv", "avg"]
Dilation = Literal["all", "contract"]
BasicDilation = Literal["first", "both"]
StrideAt = Literal["3x3", "1x1"]
Context = Literal["pyramid", "none"]
DropoutKind = Literal["channel", "element"]
Norm = Literal["batch", "group", "frozen"]
Decoder = Literal["bilinear", "deconv"]

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
MOBILENETS = ("mobilenet_v2", "mobilenet_v3_large")
LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
BACKBONES = (*LITES, *MOBILENETS, *RESNETS)


@dataclass(frozen=True, slots=True)
class AuxHead:
    """An auxiliary head: convolution 3x3, norm, ReLU, dropout, classifier, used in training only.

    Attributes:
        stage: Of the backbone whose features it reads, 1 to 4 (the paper's "res4b22" is 3).
        channels: Between its two convolutions.
        weight: Of its loss in the sum of losses, more than 0.
    """

    stage: int = 3
    channels: int = 256
    weight: float = 0.4

    def __post_init__(self) -> None:
        if not 1 <= self.stage <= 4:
            raise ValueError(f"stage of an auxiliary head must be 1 to 4, found {self.stage}")
        if self.channels < 1:
            raise ValueError(f"channels of an auxiliary head must be positive, found {self.channels}")
        if not self.weight > 0:
            raise ValueError(f"weight of an auxiliary head must be more than 0, found {self.weight}")


@dataclass(frozen=True, slots=True)
class PSPNetConfig:
    """Everything that determines the shape of the network. The defaults are the preset ``studio-fast``.

    Attributes:
        num_classes: K, 1 to 255.
        backbone: One of :data:`BACKBONES`.
        output_stride: Input size over the size of the backbone's last features: 8, 16 or 32; EfficientNet-Lite knows
            no 8.
        stem: First layers of a ResNet: one 7x7 convolution to 64 channels, or three 3x3 to 64, 64, 128 (``deep64``) or
            32, 32, 64 (``deep32``).
        shortcut: Of a ResNet's blocks with stride: 1x1 convolution with that stride, or average pooling before it
            ("vd").
        dilation: Of a stage whose stride became dilation: ``all`` its 3x3 convolutions are dilated alike, or the first
            block still has the dilation of the stage before (``contract``; EfficientNet-Lite knows only that).
        basic_dilation: Which convolutions of a ResNet-18's or 34's block are dilated: mmsegmentation's ``first`` only,
            or ``both`` (CSAIL, timm).
        stride_at: Convolution of a ResNet's bottleneck that has the stride.
        maxpool_ceil: Whether the ResNet's max pooling rounds sizes up.
        context: ``pyramid`` pooling, or ``none``: a fully convolutional network.
        bins: Sides of the pooled grids, in the order in which they are concatenated after the features.
        bin_channels: Channels of each pooled branch.
        head_channels: Channels after fusion.
        skip_channels: Channels of a skip from stride 4 for sharper borders; 0 = no skip.
        refine_channels: Channels at stride 4 before the classifier, where there is a skip.
        aux: Auxiliary heads.
        align_corners: Of every bilinear interpolation; not with EfficientNet-Lite.
        dropout: Share that is dropped before the classifiers, at least 0 and less than 1.
        dropout_kind: Whole channels are dropped, or single elements.
        backbone_norm: Batch, group, or batch with frozen statistics, scale and shift. MobileNets know ``batch`` and
            ``frozen``; EfficientNet-Lite is always ``frozen`` (its norms are fused into the convolutions).
        head_norm: The same for everything after the backbone. With ``group`` the branch of bin 1 has no norm: one cell
            has no extent to normalise over.
        bn_momentum: Of batch norms, as in torch: the weight of the new statistics, at least 0 and less than 1.
        decoder: From logits to input size: bilinear (the paper's), or a learned transposed convolution per class that
            starts as bilinear.

    Raises:
        ValueError: A value, or a combination of values, is not possible.
    """

    num_classes: int
    backbone: str = "efficientnet_lite0"
    output_stride: int = 16
    stem: Stem = "conv7"
    shortcut: Shortcut = "conv"
    dilation: Dilation = "contract"
    basic_dilation: BasicDilation = "first"
    stride_at: StrideAt = "3x3"
    maxpool_ceil: bool = False
    context: Context = "pyramid"
    bins: tuple[int, ...] = (1, 2, 3, 6)
    bin_channels: int = 64
    head_channels: int = 128
    skip_channels: int = 32
    refine_channels: int = 64
    aux: tuple[AuxHead, ...] = (AuxHead(3, 64, 0.4),)
    align_corners: bool = False
    dropout: float = 0.1
    dropout_kind: DropoutKind = "channel"
    backbone_norm: Norm = "frozen"
    head_norm: Norm = "group"
    bn_momentum: float = 0.1
    decoder: Decoder = "bilinear"

    def __post_init__(self) -> None:
        if not 1 <= self.num_classes <= 255:
            raise ValueError(f"number of classes must be 1 to 255, found {self.num_classes}")
        _check_choice("backbone", self.backbone, BACKBONES)
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        if not self.bins or min(self.bins) < 1:
            raise ValueError(f"bins must be positive, found {self.bins}")
        for name, share in (("dropout", self.dropout), ("bn_momentum", self.bn_momentum)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be in [0, 1), found {share}")
        self._check_backbone()
        self._check_channels()
        if self.decoder == "deconv" and self.align_corners:
            raise ValueError("decoder deconv needs align_corners=False: it starts as that interpolation")
        if self.maxpool_ceil and not self.align_corners:
            raise ValueError("maxpool_ceil needs align_corners=True: at multiples of 8 it adds a row of features")

    @property
    def logit_stride(self) -> int:
        """Input size over the size of the logits."""
        return 4 if self.skip_channels else self.output_stride

    @classmethod
    def preset(cls, name: str, num_classes: int, backbone: str | None = None) -> PSPNetConfig:
        """A published flavour: one of :data:`PRESETS`.

        Args:
            name: Of the preset.
            num_classes: K.
            backbone: Instead of the preset's own. MobileNets and EfficientNet-Lite take what fits them.

        Raises:
            ValueError: There is no such preset, or the backbone does not go with it.
        """
        _check_choice("preset", name, tuple(PRESETS))
        values = dict(PRESETS[name])
        chosen = backbone or str(values.get("backbone", "efficientnet_lite0"))
        if chosen in ("resnet18", "resnet34"):
            values |= _BASIC_WIDTHS.get(name, {})
        if chosen in MOBILENETS:
            values["output_stride"] = 16  # as torchvision's; dilated depthwise convolutions at 8 are very slow on CPUs
        if chosen in LITES:
            values |= {"backbone_norm": "frozen", "output_stride": 16, "dilation": "contract", "align_corners": False}
        return cls(num_classes, **{**values, "backbone": chosen})

    @classmethod
    def studio_fast(cls, num_classes: int) -> PSPNetConfig:
        """The default network: learns in minutes on a CPU."""
        return cls.preset("studio-fast", num_classes)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self) | {"bins": list(self.bins), "aux": [asdict(head) for head in self.aux]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PSPNetConfig:
        """Inverse of :meth:`to_json`. Raises: TypeError or ValueError when ``data`` is something else."""
        if unknown := set(data) - {f.name for f in fields(cls)}:
            raise ValueError(f"unknown settings {sorted(unknown)}")
        if missing := {"num_classes", "bins", "aux"} - set(data):
            raise ValueError(f"missing settings {sorted(missing)}")
        aux = tuple(AuxHead(**head) for head in data["aux"])
        return cls(**{**data, "bins": tuple(data["bins"]), "aux": aux})

    def _check_backbone(self) -> None:
        strides = (16, 32) if self.backbone in LITES else (8, 16, 32)
        if self.output_stride not in strides:
            raise ValueError(f"output_stride of {self.backbone} must be one of {strides}, found {self.output_stride}")
        if self.backbone in LITES and (self.dilation != "contract" or self.align_corners):
            raise ValueError(
                f"{self.backbone} needs dilation contract and align_corners False, "
                f"found {self.dilation!r} and {self.align_corners}"
            )
        norms = {LITES: ("frozen",), MOBILENETS: ("batch", "frozen"), RESNETS: get_args(Norm)}
        known = next(n for family, n in norms.items() if self.backbone in family)
        if self.backbone_norm not in known:
            raise ValueError(f"backbone_norm of {self.backbone} must be one of {known}, found {self.backbone_norm!r}")

    def _check_channels(self) -> None:
        multiple = GROUP_CHANNELS if self.head_norm == "group" else 1
        used = ["head_channels"]
        used += ["bin_channels"] if self.context == "pyramid" else []
        used += ["skip_channels", "refine_channels"] if self.skip_channels else []
        values = [(name, getattr(self, name)) for name in used]
        values += [(f"channels of auxiliary head {n}", head.channels) for n, head in enumerate(self.aux, 1)]
        for name, value in values:
            if value < 1 or value % multiple:
                raise ValueError(f"{name} must be a positive multiple of {multiple}, found {value}")


_CHOICES = {
    "stem": get_args(Stem),
    "shortcut": get_args(Shortcut),
    "dilation": get_args(Dilation),
    "basic_dilation": get_args(BasicDilation),
    "stride_at": get_args(StrideAt),
    "context": get_args(Context),
    "dropout_kind": get_args(DropoutKind),
    "backbone_norm": get_args(Norm),
    "head_norm": get_args(Norm),
    "decoder": get_args(Decoder),
}

_PAPER: dict[str, Any] = {
    "backbone": "resnet50",
    "output_stride": 8,
    "stem": "deep64",
    "dilation": "all",
    "bin_channels": 512,
    "head_channels": 512,
    "skip_channels": 0,
    "aux": (AuxHead(3, 256, 0.4),),
    "align_corners": True,
    "backbone_norm": "batch",
    "head_norm": "batch",
}
_MMSEG = _PAPER | {"stem": "deep32", "dilation": "contract", "align_corners": False}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # The Caffe code of the paper (hszhao/PSPNet): pooled grids from fine to coarse, momentum 0.95 in Caffe's sense.
        "paper": _PAPER | {"bins": (6, 3, 2, 1), "bn_momentum": 0.05, "dropout_kind": "element"},
        # hszhao/semseg: the same authors in PyTorch.
        "semseg": _PAPER,
        # open-mmlab/mmsegmentation, ResNetV1c "D8"; crops of 512 and 1,024 px.
        "mmseg-512": _MMSEG,
        # The same for crops of 769 px.
        "mmseg-769": _MMSEG | {"align_corners": True},
        # CSAILVision/semantic-segmentation-pytorch, "ppm_deepsup".
        "csail": _PAPER
        | {"dilation": "contract", "align_corners": False, "aux": (AuxHead(3, 512, 0.4),), "bn_momentum": 0.001}
        | {"basic_dilation": "both"},
        # zhanghang1989/PyTorch-Encoding, "PSP".
        "encoding": _PAPER | {"dilation": "contract", "aux": (AuxHead(3, 256, 0.2),), "dropout_kind": "element"},
        # A backbone of torchvision as it was pretrained, to be fine-tuned in small batches: its norms stay as they are.
        "torchvision-backbone": _MMSEG | {"stem": "conv7", "backbone_norm": "frozen", "head_norm": "group"},
        # The studio's default; see docs/PAPER.md for what differs and why.
        "studio-fast": {},
    }
)

# Widths of heads on a ResNet-18 or 34 where their publisher has others there: mmsegmentation's configurations of R-18
# (PyTorch-Encoding's rule gives the same: a quarter of the features); CSAIL's auxiliary head has half of its input.
_NARROW: dict[str, Any] = {"bin_channels": 128, "head_channels": 128, "aux": (AuxHead(3, 64, 0.4),)}
_BASIC_WIDTHS: Mapping[str, Mapping[str, Any]] = {
    "mmseg-512": _NARROW,
    "mmseg-769": _NARROW,
    "torchvision-backbone": _NARROW,
    "encoding": _NARROW | {"aux": (AuxHead(3, 64, 0.2),)},
    "csail": {"aux": (AuxHead(3, 128, 0.4),)},
}


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; found {value!r}")
