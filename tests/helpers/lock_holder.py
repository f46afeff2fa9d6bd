"""A second process with a project open: ``python -m tests.helpers.lock_holder ROOT KEY`` and commands on stdin.

It answers each line: ``acquire``, ``beat``, ``release`` and ``save N`` (a mask of class N, through the project).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pspnet_core.errors import PspnetError
from pspnet_core.imaging.read import read_info
from pspnet_core.project.project import Project


def main(root: Path, key: str) -> None:
    project = Project.open(root)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        try:
            print(_answer(project, key, command, argument), flush=True)
        except PspnetError as error:
            print(f"{type(error).__name__}: {error.title}", flush=True)


def _answer(project: Project, key: str, command: str, argument: str) -> str:
    if command == "acquire":
        holder = project.locks.acquire(key)
        return "mine" if holder is None else f"held by {holder}"
    if command == "beat":
        return f"lost {project.locks.beat()}"
    if command == "release":
        project.locks.release(key)
        return "released"
    item = project.item(key)
    info = read_info(item.image_path)
    class_map = np.full((info.height, info.width), int(argument), np.uint8)
    project.save_annotation(item, class_map, np.full_like(class_map, 2))
    return "saved"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
