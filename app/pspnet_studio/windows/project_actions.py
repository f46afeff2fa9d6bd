"""The commands about what lies in the project's folder."""

from __future__ import annotations

from pspnet_studio.messages import tr
from pspnet_studio.windows.action_spec import FILE, IMAGE, ActionSpec


def file_actions() -> tuple[ActionSpec, ...]:
    """Those of the menu File."""
    return (
        ActionSpec(
            "restore",
            tr("Restore a backup…"),
            "",
            "",
            FILE,
            tip=tr("Go back to an earlier version of this mask or of the project file"),
        ),
    )


def image_actions() -> tuple[ActionSpec, ...]:
    """Those of the menu Image."""
    return (
        ActionSpec(
            "take_over",
            tr("Take over the lock"),
            "",
            "",
            IMAGE,
            tip=tr("Change this image here although another window, which was not heard of for a while, has locked it"),
        ),
    )
