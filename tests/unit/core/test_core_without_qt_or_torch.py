"""The core runs without a screen, and the window must not wait for torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = (
    "pspnet_core",
    "pspnet_core.types",
    "pspnet_core.classes",
    "pspnet_core.atomic",
    "pspnet_core.imaging.planes",
    "pspnet_core.imaging.patch",
    "pspnet_core.imaging.strokes",
    "pspnet_core.imaging.read",
    "pspnet_core.imaging.source",
    "pspnet_core.imaging.class_maps",
    "pspnet_core.project.project",
    "pspnet_core.project.dataset",
    "pspnet_core.export.masks",
    "pspnet_core.sample",
    "pspnet_core.boundary",
    "pspnet_core.class_sets",
    "pspnet_core.download",
    "pspnet_core.pretrained",
    "pspnet_core.training.start",
    "pspnet_core.cli",
    "pspnet_core.cli_doctor",
)

CODE = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("PySide6", "shiboken6", "pyqtgraph", "pspnet_studio"):
            raise ImportError(f"{name} must not be imported by the core")

sys.meta_path.insert(0, Blocked())
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted({"torch", "torchvision", "cv2", "skimage", "tifffile", "PySide6"} & set(sys.modules)))
"""


def imported_by(*modules: str) -> str:
    done = subprocess.run([sys.executable, "-c", CODE, *modules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_light_modules_load_nothing_heavy_and_no_qt() -> None:
    assert imported_by(*LIGHT) == ""


def test_work_on_a_project_needs_neither_torch_nor_qt(tmp_path) -> None:
    """Open, read, paint, save, export: what the window does before torch has arrived."""
    from tests.helpers.tiny_files import put_image

    put_image(tmp_path / "photos" / "a.jpg")
    script = CODE + (
        "import numpy as np; from pathlib import Path\n"
        "from pspnet_core.project.project import Project\n"
        "from pspnet_core.imaging.read import read_image\n"
        "from pspnet_core.imaging.strokes import brush_segment\n"
        "from pspnet_core.export.masks import export_masks\n"
        f"root = Path({str(tmp_path)!r}); project = Project.open(root / 'photos'); item = project.items[0]\n"
        "image = read_image(item.image_path); h, w = image.shape[:2]\n"
        "annotation = project.load_annotation(item, w, h)\n"
        "rect, mask = brush_segment((2, 2), (8, 4), 3, (h, w))\n"
        "annotation.class_map[rect.slices][mask] = 0; annotation.provenance[rect.slices][mask] = 2\n"
        "project.set_classes(project.classes.add('thing'))\n"
        "project.save_annotation(item, annotation.class_map, annotation.provenance); project.save()\n"
        "print(list(export_masks(project, root / 'out'))[-1].num_written)\n"
        "print(*sorted({'torch', 'cv2', 'skimage', 'PySide6'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1"]


@pytest.mark.parametrize("module", ["pspnet_core.sample_scene", "pspnet_core.sample_trees", "pspnet_core.sample_paint"])
def test_the_painter_loads_opencv_only_when_it_paints(module) -> None:
    assert imported_by(module) == ""
