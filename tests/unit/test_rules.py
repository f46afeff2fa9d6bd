"""The rules of the house (docs/ARCHITECTURE.md), checked."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*ROOT.glob("pspnet_core/**/*.py"), *ROOT.glob("app/pspnet_studio/**/*.py")])


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def test_the_window_is_made_without_torch() -> None:
    code = (
        "import sys\n"
        "from pspnet_studio.bootstrap import bootstrap\n"
        "studio = bootstrap(['x', '-platform', 'offscreen'])\n"
        "heavy = {'torch', 'torchvision', 'cv2', 'skimage', 'tifffile', 'pyqtgraph', 'scipy'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
        "studio.runner.shutdown()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == "[]", result.stderr


def test_threads_are_started_in_one_place() -> None:
    found = [
        str(path)
        for path, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("Thread", "ThreadPoolExecutor", "QThread", "QThreadPool")
    ]
    assert set(found) == {"app/pspnet_studio/jobs/runner.py"}


def test_everything_is_caught_only_where_it_may_be() -> None:
    allowed = {"app/pspnet_studio/jobs/runner.py", "pspnet_core/cli.py"}
    found = {
        str(path)
        for path, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
    }
    assert found <= allowed


def test_files_are_written_atomically() -> None:
    """No ``open(..., "w")`` and no ``write_text``/``write_bytes`` of pathlib outside of the atomic writer."""
    found = []
    for path, tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("write_text", "touch"):
                found.append(f"{path}:{node.lineno}")
            mode = next((a.value for a in node.args[1:2] if isinstance(a, ast.Constant)), "")
            if isinstance(node.func, ast.Name) and node.func.id == "open" and any(c in str(mode) for c in "wax+"):
                found.append(f"{path}:{node.lineno}")
    assert [place for place in found if not place.startswith("pspnet_core/atomic.py")] == []


def test_core_never_prints() -> None:
    for path, tree in _trees():
        if path.parts[0] != "pspnet_core" or path.name.startswith("cli"):
            continue
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print"]
        assert not calls, path


_SHOWN_BY = {
    "QLabel", "QPushButton", "QToolButton", "QAction", "QDockWidget", "QGroupBox", "QCheckBox", "QRadioButton",
    "setText", "setToolTip", "setPlaceholderText", "setWindowTitle", "setInformativeText", "showMessage",
    "setAccessibleName", "setTitle", "addRow", "setStatusTip",
}  # fmt: skip


def test_every_text_that_is_shown_is_translated() -> None:
    found = []
    for path, tree in _trees():
        if path.parts[0] != "app":
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name not in _SHOWN_BY:
                continue
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    text = argument.value
                    if sum(c.isalpha() for c in text) >= 2 and text != "PSPNet Studio":
                        found.append(f"{path}:{node.lineno}: {text!r}")
    assert found == []


def test_no_two_commands_share_a_shortcut() -> None:
    from pspnet_studio.windows.actions import _sequences, action_table

    seen: dict[tuple[str, str], str] = {}
    for spec in action_table():
        if not spec.shortcut:
            continue
        for sequence in _sequences(spec):
            keys = (spec.context, sequence.toString())
            assert keys not in seen, f"{spec.id} and {seen[keys]} share {keys}"
            seen[keys] = spec.id


def test_the_words_of_every_command_are_set() -> None:
    from pspnet_studio.windows.actions import MENUS, action_table

    ids = [spec.id for spec in action_table()]
    assert len(set(ids)) == len(ids)
    for spec in action_table():
        assert spec.text
        assert spec.menu in (*MENUS, "")


@pytest.mark.parametrize("folder", ["app", "resources", "packaging"])
def test_folders_that_must_not_be_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()
