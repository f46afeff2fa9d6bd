"""The tools of the canvas as data: what they are called, their keys and their options. Knows no widget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pspnet_studio.messages import tr

Value = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a tool, shown in the options bar.

    Attributes:
        name: In the code.
        text: What the options bar says, with a mnemonic.
        default: Its type is the option's type: bool, int, float, or str where there are ``choices``.
        minimum: Of a number.
        maximum: Of a number.
        suffix: After a number, for instance " px".
        choices: (value, text) of a choice.
        tip: One sentence.
    """

    name: str
    text: str
    default: Value
    minimum: float = 0
    maximum: float = 0
    suffix: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    tip: str = ""

    def valid(self, value: object) -> Value:
        """``value`` as this option can have it: the default where it makes no sense, clipped where it is too large."""
        if self.choices:
            return value if isinstance(value, str) and value in dict(self.choices) else self.default
        if isinstance(self.default, bool):
            return value if isinstance(value, bool) else self.default
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.default
        clipped = min(self.maximum, max(self.minimum, value))
        return clipped if isinstance(self.default, float) else round(clipped)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool.

    Attributes:
        id: Its name in the code, and of its command.
        text: What menu and tool bar call it.
        icon: Name of an icon in resources/icons.
        shortcut: Keys in Qt's portable notation.
        tip: One sentence for the tooltip.
        has_size: Whether it paints with the brush's diameter.
        options: Its own settings.
        starts_group: Whether a line separates it from the tool before.
    """

    id: str
    text: str
    icon: str
    shortcut: str
    tip: str
    has_size: bool = False
    options: tuple[Option, ...] = ()
    starts_group: bool = False


def tool_specs() -> Mapping[str, ToolSpec]:
    """All tools by id, in the order of the tool bar."""
    shape = Option(
        "shape",
        tr("S&hape"),
        "round",
        choices=(("round", tr("Round")), ("square", tr("Square"))),
        tip=tr("Shape of the brush"),
    )
    pressure = Option("pressure", tr("&Pressure"), True, tip=tr("The pressure of a pen scales the brush"))
    snap = Option("snap", tr("S&nap to edges"), False, tip=tr("Move outlines to the edges of the image close by"))
    reach = Option("reach", tr("Rea&ch"), 8, 2, 40, tr(" px"), tip=tr("How far it may move, in pixels of the screen"))
    returns = Option("returns", tr("T&hen take the last tool"), True, tip=tr("After a click go on with the last tool"))
    tools = (
        ToolSpec("brush", tr("Brush"), "brush", "B", tr("Paint the current class"), True, (shape, pressure)),
        ToolSpec("eraser", tr("Eraser"), "eraser", "E", tr("Make pixels unlabelled"), True, (shape, pressure)),
        ToolSpec(
            "polygon", tr("Polygon"), "polygon", "P", tr("Fill an outline"), options=(snap, reach), starts_group=True
        ),
        ToolSpec("lasso", tr("Lasso"), "lasso", "L", tr("Fill what you draw around"), options=(snap, reach)),
        ToolSpec("rectangle", tr("Rectangle"), "rectangle", "R", tr("Fill a rectangle")),
        ToolSpec("ellipse", tr("Ellipse"), "ellipse", "Shift+R", tr("Fill an ellipse")),
        ToolSpec("fill", tr("Fill region"), "fill", "K", tr("Fill a connected region with a click")),
        *_selection_tools(),
        ToolSpec(
            "accept_brush",
            tr("Accept brush"),
            "accept-brush",
            "Q",
            tr("Accept the prediction where you stroke"),
            True,
            (shape, pressure),
            starts_group=True,
        ),
        ToolSpec(
            "accept_region",
            tr("Accept region"),
            "accept-region",
            "Shift+Q",
            tr("Accept a region of the prediction with a click"),
        ),
        ToolSpec(
            "pick",
            tr("Pick class"),
            "pick",
            "I",
            tr("Paint with the class under the pointer"),
            options=(returns,),
            starts_group=True,
        ),
    )
    return MappingProxyType({tool.id: tool for tool in tools})


def _selection_tools() -> tuple[ToolSpec, ...]:
    """Those that select pixels first and give them the class then."""
    at_once_tip = tr("A plain click gives the class at once; with Shift pixels are selected first")
    at_once = Option("at_once", tr("&Apply at once"), True, tip=at_once_tip)
    wand = (
        Option("tolerance", tr("To&lerance"), 24, 0, 255, tip=tr("How much the colour may differ")),
        Option(
            "space",
            tr("&Compare"),
            "rgb",
            choices=(("rgb", tr("RGB")), ("lab", tr("Lab"))),
            tip=tr("Lab measures differences as the eye does; RGB is faster"),
        ),
        Option("contiguous", tr("Co&nnected"), True, tip=tr("Only what is connected with the pixel under the pointer")),
        at_once,
    )
    cells = (Option("cell", tr("&Cell"), 24, 6, 120, tr(" px"), tip=tr("Side of a cell in image pixels")), at_once)
    detail = Option(
        "detail", tr("&Detail"), 100, 10, 1000, tr(" kpx"), tip=tr("Size it works at, in thousands of pixels")
    )
    threshold = (
        Option(
            "channel",
            tr("&Channel"),
            "grey",
            choices=(
                ("grey", tr("Brightness")),
                ("red", tr("Red")),
                ("green", tr("Green")),
                ("blue", tr("Blue")),
                ("saturation", tr("Saturation")),
                ("hue", tr("Hue")),
            ),
            tip=tr("What is compared"),
        ),
        Option(
            "side",
            tr("Ta&ke"),
            "bright",
            choices=(("bright", tr("Above")), ("dark", tr("Below")), ("range", tr("Range"))),
            tip=tr("Above and below are parted where bright and dark differ most (Otsu)"),
        ),
        Option("low", tr("F&rom"), 128, 0, 255, tip=tr("Smallest value of the range")),
        Option("high", tr("to"), 255, 0, 255, tip=tr("Largest value of the range")),
    )
    return (
        ToolSpec(
            "wand", tr("Magic wand"), "wand", "W", tr("Take what has one colour"), options=wand, starts_group=True
        ),
        ToolSpec("superpixels", tr("Superpixels"), "superpixels", "S", tr("Take cells of one colour"), options=cells),
        ToolSpec(
            "scissors",
            tr("Intelligent scissors"),
            "scissors",
            "M",
            tr("Draw an outline that follows the edges"),
            options=(at_once,),
        ),
        ToolSpec(
            "grabcut", tr("Cut out object"), "grabcut", "Shift+M", tr("Cut an object out of a box"), options=(detail,)
        ),
        ToolSpec(
            "threshold",
            tr("Threshold"),
            "threshold",
            "T",
            tr("Take what is bright or dark in a box"),
            options=threshold,
        ),
    )
