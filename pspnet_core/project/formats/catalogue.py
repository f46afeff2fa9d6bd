"""Which formats there are and what each keeps and loses; imports nothing, so that help and dialogs may ask at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write annotations down.

    Attributes:
        id: On the command line.
        title: For people.
        keeps: What a round trip brings back.
        loses: What it does not; empty when nothing is lost.
        is_exact: Whether every pixel comes back, 255 included, whatever the options.
        has_shapes: Whether regions may be polygons: tolerance and kind of shape can be chosen.
        has_masks: Whether regions may be masks, too.
        with_images: Whether its readers expect the images beside the annotations: then they are copied by default.
    """

    id: str
    title: str
    keeps: str
    loses: str
    is_exact: bool = True
    has_shapes: bool = False
    has_masks: bool = True
    with_images: bool = False


_ROWS = (
    Format("png-palette", "PNG with palette", "Every pixel; opens in the colours of the classes.", ""),
    Format("png", "PNG, grey", "Every pixel; value = class id.", ""),
    Format("color", "Colour picture", "What it looks like, and a table of the colours.", "Classes of one colour."),
    Format("numpy", "NumPy arrays", "Every pixel; one .npy per image.", ""),
    Format(
        "coco",
        "COCO JSON, polygons",
        "Connected regions: polygons, RLE where there are holes.",
        "Regions smaller than the tolerance, if one is set.",
        is_exact=False,
        has_shapes=True,
    ),
    Format("coco-rle", "COCO JSON, RLE", "Every pixel; one mask per class and image. Needs pycocotools.", ""),
    Format(
        "labelme",
        "labelme JSON",
        "Connected regions: polygons, mask shapes where there are holes.",
        "Class ids and colours.",
        is_exact=False,
        has_shapes=True,
    ),
    Format(
        "voc", "Pascal VOC", "Every pixel; value = class id, 255 = void.", "Colours of the classes.", with_images=True
    ),
    Format(
        "yolo",
        "YOLO segmentation",
        "Connected regions as polygons; holes are reached by a cut of no width.",
        "Class ids; readers that draw outlines fill single-pixel holes.",
        is_exact=False,
        has_shapes=True,
        has_masks=False,
        with_images=True,
    ),
    Format(
        "cityscapes",
        "Cityscapes",
        "Every pixel; its own ids where all classes have its names.",
        "Instances and polygons, which class maps do not have.",
        with_images=True,
    ),
    Format(
        "cvat",
        "CVAT for images 1.1",
        "Connected regions: polygons, masks where there are holes.",
        "Class ids.",
        is_exact=False,
        has_shapes=True,
    ),
    Format("cvat-mask", "CVAT segmentation mask 1.1", "Every pixel; colours are made unique.", "Class ids."),
)

FORMATS: dict[str, Format] = {row.id: row for row in _ROWS}
"""By id, in the order in which they are offered."""
