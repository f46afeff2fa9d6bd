"""Every command of the program is one row here: menus, shortcuts, tooltips and tool bar are made from it."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence

from pspnet_studio import assets
from pspnet_studio.messages import tr
from pspnet_studio.model.tool_specs import tool_specs
from pspnet_studio.model.view_state import mode_texts
from pspnet_studio.windows.action_spec import (
    EDIT,
    FILE,
    HELP,
    IMAGE,
    MENUS,
    TOOL,
    VIEW,
    WINDOW,
    ActionSpec,
)
from pspnet_studio.windows.model_actions import model_actions, version_actions
from pspnet_studio.windows.project_actions import file_actions, image_actions

__all__ = ["GROUP_STARTS", "MENUS", "WINDOW", "ActionSpec", "action_table", "make_actions"]

GROUP_STARTS = frozenset(
    ("add_folder", "save", "close_project", "quit", "fill_unlabelled", "accept_unlabelled", "show_overlay")
    + ("show_classes", "split_photo", "contours", "theme_system", "smaller", "status_done", "take_over")
    + ("review", "live_refine", "network", "export_model")
)
"""Commands before which their menu has a line."""


def action_table() -> tuple[ActionSpec, ...]:
    """All commands, in menu order."""
    return (
        ActionSpec("open_folder", tr("Open folder…"), "folder-open", "Ctrl+O", FILE, tip=tr("Open a folder of images")),
        ActionSpec("open_images", tr("Open images…"), "", "Ctrl+Shift+O", FILE, tip=tr("Open single images")),
        ActionSpec("open_sample", tr("Open the sample project"), "", "", FILE),
        ActionSpec("add_folder", tr("Add folder to project…"), "plus", "", FILE),
        ActionSpec(
            "rescan",
            tr("Read folder again"),
            "",
            "Ctrl+R",
            FILE,
            tip=tr("Look for images and masks that were added or removed meanwhile"),
        ),
        ActionSpec(
            "save", tr("Save now"), "", "Ctrl+S", FILE, tip=tr("Everything is saved by itself; this does it now")
        ),
        ActionSpec(
            "export",
            tr("Export masks…"),
            "export",
            "Ctrl+E",
            FILE,
            tip=tr("Write all masks as PNG, COCO, labelme, VOC, YOLO, Cityscapes, CVAT or NumPy files"),
        ),
        ActionSpec(
            "import_annotations",
            tr("Import annotations…"),
            "",
            "Ctrl+Shift+E",
            FILE,
            tip=tr("Take over masks and polygons of other programs"),
        ),
        *file_actions(),
        ActionSpec("close_project", tr("Close project"), "", "Ctrl+W", FILE),
        ActionSpec("quit", tr("Quit"), "", "Ctrl+Q", FILE),
        ActionSpec("undo", tr("Undo"), "undo", "Ctrl+Z", EDIT),
        ActionSpec("redo", tr("Redo"), "redo", "Ctrl+Shift+Z", EDIT),
        ActionSpec(
            "fill_unlabelled",
            tr("Fill everything unlabelled"),
            "fill-all",
            "G",
            EDIT,
            tip=tr("Give every pixel without a class the current class"),
        ),
        ActionSpec(
            "accept_unlabelled",
            tr("Accept prediction where unlabelled"),
            "check",
            "Ctrl+Return",
            EDIT,
            tip=tr("Take over the prediction where nothing is painted or accepted"),
        ),
        ActionSpec(
            "accept_all",
            tr("Accept whole prediction"),
            "check-all",
            "Ctrl+Shift+Return",
            EDIT,
            tip=tr("Take over the prediction everywhere but on your own pixels"),
        ),
        ActionSpec(
            "accept_class",
            tr("Accept prediction of current class"),
            "",
            "Shift+Return",
            EDIT,
            tip=tr("Take over the prediction where it is the current class"),
        ),
        ActionSpec(
            "accept_confident",
            tr("Accept where confident…"),
            "",
            "",
            EDIT,
            tip=tr("Take over the prediction where it is sure enough, and see before how much that is"),
        ),
        ActionSpec(
            "copy_previous",
            tr("Copy mask from previous image"),
            "",
            "Ctrl+Shift+C",
            EDIT,
            tip=tr("Give unlabelled pixels the classes that they have in the image before"),
        ),
        ActionSpec(
            "clean_up",
            tr("Clean up regions…"),
            "",
            "Ctrl+Shift+U",
            EDIT,
            tip=tr("Fill holes, remove islands, grow, shrink or smooth regions, with a preview"),
        ),
        ActionSpec(
            "convert_class",
            tr("Convert class…"),
            "",
            "",
            EDIT,
            tip=tr("Give the pixels of one class another one, here or in the whole project"),
        ),
        ActionSpec(
            "take_back_conversion",
            tr("Take back conversion or import"),
            "",
            "",
            EDIT,
            tip=tr(
                "Undo the last conversion of the whole project, or the last import, where nothing was changed since"
            ),
        ),
        ActionSpec("fit", tr("Fit to window"), "fit", "F", VIEW),
        ActionSpec("actual_size", tr("Actual size"), "", "Ctrl+1", VIEW),
        ActionSpec("zoom_in", tr("Zoom in"), "zoom-in", "Ctrl++", VIEW),
        ActionSpec("zoom_out", tr("Zoom out"), "zoom-out", "Ctrl+-", VIEW),
        ActionSpec(
            "show_overlay",
            tr("Show classes"),
            "eye",
            "O",
            VIEW,
            tip=tr("Show or hide the class overlay; hold V to look below it"),
            checkable=True,
        ),
        *(ActionSpec(f"show_{mode}", text, "", "", VIEW, checkable=True) for mode, text in mode_texts().items()),
        ActionSpec(
            "split_photo",
            tr("Photograph beside it"),
            "",
            "Shift+O",
            VIEW,
            tip=tr("Show the image without classes beside the canvas"),
            checkable=True,
        ),
        ActionSpec(
            "split_compare",
            tr("Compare labels and prediction"),
            "",
            "",
            VIEW,
            tip=tr("Show my labels, the prediction and the difference side by side"),
            checkable=True,
        ),
        ActionSpec(
            "contours", tr("Outlines only"), "", "Shift+C", VIEW, tip=tr("Draw classes as outlines"), checkable=True
        ),
        ActionSpec(
            "highlight",
            tr("Highlight current class"),
            "",
            "H",
            VIEW,
            tip=tr("Let all other classes fade"),
            checkable=True,
        ),
        ActionSpec(
            "minimap",
            tr("Minimap"),
            "",
            "Shift+N",
            VIEW,
            tip=tr("Show the whole image in a corner while you are zoomed in"),
            checkable=True,
        ),
        ActionSpec("theme_system", tr("Theme: system"), "", "", VIEW, checkable=True),
        ActionSpec("theme_light", tr("Theme: light"), "", "", VIEW, checkable=True),
        ActionSpec("theme_dark", tr("Theme: dark"), "", "", VIEW, checkable=True),
        *(
            ActionSpec(tool.id, tool.text, tool.icon, tool.shortcut, TOOL, tip=tool.tip, checkable=True)
            for tool in tool_specs().values()
        ),
        ActionSpec("smaller", tr("Smaller brush"), "", "[", TOOL),
        ActionSpec("larger", tr("Larger brush"), "", "]", TOOL),
        ActionSpec(
            "only_unlabelled",
            tr("Paint only unlabelled pixels"),
            "only-unlabelled",
            "U",
            TOOL,
            tip=tr("Tools leave alone what has a class"),
            checkable=True,
        ),
        ActionSpec(
            "lock_class",
            tr("Lock current class"),
            "lock",
            "Ctrl+L",
            TOOL,
            tip=tr("No tool changes the pixels of a locked class"),
            checkable=True,
        ),
        ActionSpec("previous", tr("Previous image"), "arrow-left", "A", IMAGE),
        ActionSpec("next", tr("Next image"), "arrow-right", "D", IMAGE),
        ActionSpec(
            "next_suggested",
            tr("Next suggested image"),
            "",
            "N",
            IMAGE,
            tip=tr("Open the image from whose correction most would be learned"),
        ),
        ActionSpec(
            "next_spot",
            tr("Next doubtful spot"),
            "",
            ".",
            IMAGE,
            tip=tr("Look at the place of this image that the prediction is least sure about"),
        ),
        ActionSpec("previous_spot", tr("Previous doubtful spot"), "", ",", IMAGE),
        ActionSpec("status_done", tr("Mark as done"), "done", "Ctrl+D", IMAGE),
        ActionSpec("status_in_progress", tr("Mark as in progress"), "in-progress", "Ctrl+I", IMAGE),
        ActionSpec("status_skipped", tr("Skip image"), "skipped", "Ctrl+K", IMAGE),
        ActionSpec("status_new", tr("Mark as new"), "new", "Ctrl+Shift+D", IMAGE),
        *image_actions(),
        *model_actions(),
        ActionSpec("about", tr("About PSPNet Studio"), "", "", HELP),
        *(ActionSpec(f"class_{n}", tr("Class {number}").format(number=n), "", str(n % 10), "") for n in range(1, 11)),
        *version_actions(),
    )


def make_actions(parent: QObject) -> dict[str, QAction]:
    """One ``QAction`` a row, by id."""
    actions = {}
    for spec in action_table():
        action = QAction(spec.text, parent)
        action.setObjectName(spec.id)
        if spec.icon:
            action.setIcon(assets.icon(spec.icon))
        if spec.shortcut:
            action.setShortcuts(_sequences(spec))
        keys = QKeySequence(spec.shortcut).toString(QKeySequence.SequenceFormat.NativeText)
        tip = spec.tip or spec.text.rstrip("…")
        action.setToolTip(f"{tip} ({keys})" if keys else tip)
        action.setStatusTip(spec.tip)
        action.setCheckable(spec.checkable)
        if spec.context != WINDOW:
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        actions[spec.id] = action
    return actions


def _sequences(spec: ActionSpec) -> list[QKeySequence]:
    extra = {
        "redo": ["Ctrl+Y"],
        "zoom_in": ["Ctrl+="],
        "accept_unlabelled": ["Ctrl+Enter"],
        "accept_all": ["Ctrl+Shift+Enter"],
        "actual_size": ["Ctrl+0"],
    }
    return [QKeySequence(keys) for keys in (spec.shortcut, *extra.get(spec.id, []))]
