"""The wheel: built, installed away from the checkout, started from there."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return next(out.glob("*.whl"))


def test_only_our_two_packages_are_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        names = archive.namelist()
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pspnet_core", "pspnet_studio"}
    assert "pspnet_studio/resources/icons/brush.svg" in names
    assert "pspnet_studio/tour/command.py" in names
    assert "pspnet_core/class_sets.json" in names


def test_it_starts_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    target = next(home.glob("lib/python*/site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    # The new environment sees the dependencies of this one, but not its editable install of the checkout.
    dependencies = [p for p in site.getsitepackages() if Path(p).is_dir()]
    code = (
        f"import sys; sys.path += {dependencies!r}\n"
        "import pspnet_core, pspnet_studio\n"
        "from pspnet_studio import assets\n"
        "from pspnet_studio.bootstrap import bootstrap\n"
        "studio = bootstrap(['x', '-platform', 'offscreen'])\n"
        "assert not assets.icon('brush').pixmap(24, 24).isNull()\n"
        "assert assets.resource_path('icons', 'brush.svg').is_file()\n"
        "studio.runner.shutdown()\n"
        "print(pspnet_core.__file__, pspnet_studio.__file__, assets.resource_folder())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HOME": str(tmp_path)}
    python = home / "bin" / "python"
    result = subprocess.run(
        [str(python), "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    for path in result.stdout.split():
        assert path.startswith(str(home)), result.stdout
