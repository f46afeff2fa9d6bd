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


_THREADS = ("Thread", "ThreadPoolExecutor", "QThread", "QThreadPool", "ProcessPoolExecutor", "start_new_thread")


def _starts_threads(node: ast.AST) -> bool:
    """``threading.Thread`` by attribute, or ``from threading import Thread`` by name."""
    if isinstance(node, ast.Attribute):
        return node.attr in _THREADS
    return isinstance(node, ast.ImportFrom) and any(alias.name in _THREADS for alias in node.names)


def test_threads_are_started_in_one_place() -> None:
    found = {str(path) for path, tree in _trees() for node in ast.walk(tree) if _starts_threads(node)}
    assert found == {"app/pspnet_studio/jobs/runner.py"}


def _catches_everything(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    names = [getattr(kind, "attr", getattr(kind, "id", "")) for kind in kinds]
    return node.type is None or any(name in ("Exception", "BaseException") for name in names)


def test_everything_is_caught_only_where_it_may_be() -> None:
    allowed = {"app/pspnet_studio/jobs/runner.py", "pspnet_core/cli.py"}
    found = {str(path) for path, tree in _trees() for node in ast.walk(tree) if _catches_everything(node)}
    assert found <= allowed


_WRITERS_ALLOWED = (
    "pspnet_core/atomic.py",
    "pspnet_core/download.py",  # what has come is kept beside the target until it is complete and checked
    "pspnet_core/project/journal_file.py",  # is appended to and cut back to its last whole record
    "app/pspnet_studio/log_file.py",  # a log is appended to
    "app/pspnet_studio/tour/",  # pictures of the tour: made again with each run, read by no program
)


def _names_of_atomic(tree: ast.Module) -> set[str]:
    """Names under which a module has the atomic writers."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("pspnet_core.atomic", "pspnet_core")
        for alias in node.names
        if node.module == "pspnet_core.atomic" or alias.name == "atomic"
    }


def _file_handles(tree: ast.Module) -> set[str]:
    """Names that ``with atomic_writer(...) as name`` binds: writing to them is the atomic way."""
    return {
        item.optional_vars.id
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name) and "atomic_writer" in ast.unparse(item.context_expr)
    } | {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) in ("io.BytesIO", "BytesIO")
        for target in node.targets
        if isinstance(target, ast.Name)
    }  # fmt: skip


def _writes_a_file(node: ast.AST, handles: set[str], atomic_names: set[str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    first = ast.unparse(node.args[0]) if node.args else ""
    if owner in atomic_names or (not owner and name in atomic_names):
        return False
    if name in ("write_text", "touch", "write_bytes", "imwrite"):
        return True
    if name == "open":
        place = 0 if owner and owner not in ("io", "os", "gzip", "Image") else 1
        modes = [*node.args[place : place + 1], *(k.value for k in node.keywords if k.arg == "mode")]
        return any(isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wax+") for mode in modes)
    if name in ("save", "savez", "savez_compressed", "save_file", "tofile") and node.args:
        return (bool(owner) or name != "save") and first not in handles and not _is_a_method_of_ours(owner)
    return False


def _is_a_method_of_ours(owner: str) -> bool:
    return owner.split(".")[-1] in ("project", "_project", "self", "versions", "store")


def test_files_are_written_atomically() -> None:
    """Only the atomic writer opens a file for writing, and only what it opened is given to a function that saves."""
    found = []
    for path, tree in _trees():
        handles, names = _file_handles(tree), _names_of_atomic(tree)
        found += [f"{path}:{node.lineno}" for node in ast.walk(tree) if _writes_a_file(node, handles, names)]
    assert [place for place in found if not place.startswith(_WRITERS_ALLOWED)] == []


_LINES = {"file": 400, "class": 300, "function": 50}
# What is longer, and how long it may be: these numbers only shrink, and no line is added.
_LONGER = {
    "pspnet_core/imaging/flood.py connected_tiles": 55,
    "pspnet_core/imaging/select.py magic_wand": 52,
    "pspnet_core/imaging/snap.py snap_path": 55,
    "pspnet_core/inference/live_solver.py fit_logistic": 54,
    "pspnet_core/project/project.py Project": 330,
    "pspnet_core/training/evaluation.py evaluate_images": 51,
    "app/pspnet_studio/model/document.py Document": 335,
    "app/pspnet_studio/model/predictions.py Predictions": 306,
    "app/pspnet_studio/model/queue.py Queue": 304,
    "app/pspnet_studio/model/session.py": 420,
    "app/pspnet_studio/model/session.py Session": 387,
    "app/pspnet_studio/model/tool_specs.py _selection_tools": 70,
    "app/pspnet_studio/model/tool_specs.py tool_specs": 52,
    "app/pspnet_studio/windows/actions.py action_table": 230,
    "app/pspnet_studio/windows/annotation_import_flow.py _write": 54,
    "app/pspnet_studio/windows/commands.py Commands": 314,
    "app/pspnet_studio/windows/commands.py __init__": 54,
    "app/pspnet_studio/windows/commands.py _functions": 61,
    "app/pspnet_studio/windows/commands.py update_enabled": 59,
    "app/pspnet_studio/windows/import_flow.py words_of": 51,
}


def _lengths(path: str, tree: ast.Module, num_lines: int) -> Iterator[tuple[str, str, int]]:
    """(kind, place, lines) of a file and of all that is defined in it."""
    yield "file", path, num_lines
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            yield kind, f"{path} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_classes_and_functions_are_short() -> None:
    found = []
    for path, tree in _trees():
        num_lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for kind, place, length in _lengths(path.as_posix(), tree, num_lines):
            if length > _LONGER.get(place, _LINES[kind]):
                found.append(f"{place}: {length} lines")
    assert found == []


def test_the_lanes_are_told_by_name() -> None:
    from pspnet_studio.jobs.runner import Lane

    house = " ".join((ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").split())
    words = (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
    entry = next(line for line in words.splitlines() if line.startswith("| lane |"))
    assert [lane.value for lane in Lane if f"the {lane.value} lane" not in house.lower()] == []
    assert [lane.value for lane in Lane if lane.value not in entry] == []


def test_core_never_prints() -> None:
    for path, tree in _trees():
        if path.parts[0] != "pspnet_core" or path.name.startswith("cli"):
            continue
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print"]
        assert not calls, path


_SHOWN_BY = {
    "QLabel", "QPushButton", "QToolButton", "QAction", "QDockWidget", "QGroupBox", "QCheckBox", "QRadioButton",
    "setText", "setToolTip", "setPlaceholderText", "setWindowTitle", "setInformativeText", "showMessage",
    "setAccessibleName", "setTitle", "addRow", "setStatusTip", "addItem", "addAction", "addMenu", "addButton",
    "Notice", "show_hint", "show_message", "insertItem", "setSuffix", "setPrefix", "setLabelText", "addTab",
    "QProgressDialog", "PspnetError",
}  # fmt: skip
_RUN_BY = {"submit", "call"}


def _texts(name: str, arguments: list[ast.expr]) -> list[ast.expr]:
    """The arguments that are shown: behind the text of a row of a list comes what the program knows it by."""
    if name not in ("addItem", "insertItem"):
        return arguments
    places = [n for n, a in enumerate(arguments) if isinstance(a, ast.Constant | ast.JoinedStr | ast.Call)]
    texts = [arguments[n] for n in places if "icon" not in ast.unparse(arguments[n])]
    return [a for a in texts if not (isinstance(a, ast.Constant) and not isinstance(a.value, str))][:1]


def _untranslated(node: ast.AST) -> Iterator[str]:
    """Literal words (also inside of f-strings) that a call shows to a person."""
    if not isinstance(node, ast.Call):
        return
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    shown: list[ast.expr] = []
    if name in _SHOWN_BY:
        shown += [
            *_texts(name, node.args),
            *(k.value for k in node.keywords if k.arg in ("text", "title", "detail", "remedy")),
        ]
    if name in _RUN_BY:
        shown += [keyword.value for keyword in node.keywords if keyword.arg == "name"]
    for argument in shown:
        parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
        for part in parts:
            text = part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
            if sum(c.isalpha() for c in text) >= 2 and text.strip(" —") != "PSPNet Studio":
                yield text


def test_every_text_that_is_shown_is_translated() -> None:
    found = []
    for path, tree in _trees():
        if path.parts[0] != "app":
            continue
        for node in ast.walk(tree):
            found += [f"{path}:{node.lineno}: {text!r}" for text in _untranslated(node)]  # type: ignore[attr-defined]
    assert found == []


_BAD = """
from threading import Thread
try: pass
except (Exception, ValueError): pass
path.write_bytes(b"")
Path("x").open("w")
path.open(mode="ab")
open("x", "wb")
image.save(path)
np.save("x.npy", array)
QImage(1, 1).save("x.png")
box.addItem("Words here")
menu.addAction(icon, "Words here")
Notice("Words here")
canvas.show_hint("Words here")
runner.submit(lane, job, name="words here", priority=1)
runner.call(lane, job, name=f"words {here}", priority=1)
"""


def test_the_rules_find_what_they_are_for() -> None:
    nodes = list(ast.walk(ast.parse(_BAD)))
    assert sum(_starts_threads(node) for node in nodes) == 1
    assert sum(_catches_everything(node) for node in nodes) == 1
    assert sum(_writes_a_file(node, set(), set()) for node in nodes) == 7
    assert sum(len(list(_untranslated(node))) for node in nodes) == 6


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
