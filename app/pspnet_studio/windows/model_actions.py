"""The commands of the menu Model, and those of the list of versions."""

from __future__ import annotations

from pspnet_studio.messages import tr
from pspnet_studio.windows.action_spec import MODEL, VERSIONS, ActionSpec


def model_actions() -> tuple[ActionSpec, ...]:
    """Commands about the network, in menu order."""
    return (
        *_training_actions(),
        ActionSpec(
            "live_refine",
            tr("Live refine"),
            "",
            "Ctrl+Shift+L",
            MODEL,
            tip=tr("Let the overlay of the whole image follow each stroke"),
            checkable=True,
        ),
        ActionSpec(
            "suggest_images",
            tr("Suggest next images"),
            "",
            "",
            MODEL,
            tip=tr("Look at all images in the background to find those that are best corrected next"),
            checkable=True,
        ),
        ActionSpec("predict", tr("Predict this image again"), "", "F5", MODEL),
        ActionSpec(
            "predict_folder",
            tr("Predict folder…"),
            "",
            "",
            MODEL,
            tip=tr("Write class maps of all images of a folder, as the version in use predicts them"),
        ),
        ActionSpec("network", tr("Network…"), "", "", MODEL, tip=tr("Choose what a fine-tune starts with")),
        ActionSpec(
            "import_weights",
            tr("Import weights…"),
            "",
            "",
            MODEL,
            tip=tr("Take over a trained network of this or another program"),
        ),
        ActionSpec(
            "export_model",
            tr("Export model…"),
            "",
            "",
            MODEL,
            tip=tr("Write the version in use as an ONNX file for other programs"),
        ),
    )


def version_actions() -> tuple[ActionSpec, ...]:
    """Commands about the version whose row in the list of versions has the keyboard."""
    return (
        ActionSpec("version_use", tr("Use"), "check", tip=tr("Predict with this version (Enter)"), context=VERSIONS),
        ActionSpec(
            "version_compare",
            tr("Compare on this image"),
            "",
            "C",
            context=VERSIONS,
            tip=tr("Show what this version and the one in use predict for the open image, side by side"),
            checkable=True,
        ),
        ActionSpec(
            "version_details",
            tr("Details…"),
            "info",
            "Alt+Return",
            context=VERSIONS,
            tip=tr("How it was made, what it learned from, and its scores"),
        ),
        ActionSpec(
            "version_export",
            tr("Export…"),
            "export",
            "Ctrl+Shift+X",
            context=VERSIONS,
            tip=tr("Copy this version to a file that any project can import"),
        ),
        ActionSpec(
            "version_delete", tr("Delete…"), "", "Del", context=VERSIONS, tip=tr("Delete this version for good")
        ),
    )


def _training_actions() -> tuple[ActionSpec, ...]:
    return (
        ActionSpec(
            "fine_tune",
            tr("Fine-tune"),
            "fine-tune",
            "Ctrl+T",
            MODEL,
            tip=tr("Train on everything that is labelled, in the background"),
        ),
        ActionSpec(
            "pause_training",
            tr("Pause fine-tune"),
            "pause",
            "",
            MODEL,
            tip=tr("Let the fine-tune rest, or go on; what it learned so far stays"),
            checkable=True,
        ),
        ActionSpec("stop_training", tr("Stop fine-tune and keep"), "stop", "", MODEL),
        ActionSpec("cancel_training", tr("Cancel fine-tune"), "", "", MODEL),
        ActionSpec(
            "continuous_training",
            tr("Fine-tune by itself"),
            "",
            "",
            MODEL,
            tip=tr("Fine-tune quickly by itself after every few corrected images"),
            checkable=True,
        ),
        ActionSpec(
            "review",
            tr("Review against labels"),
            "review",
            "Ctrl+Shift+R",
            MODEL,
            tip=tr("See what the version confuses, where, and which labels look wrong"),
        ),
    )
