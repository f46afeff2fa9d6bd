"""The commands that the program hands to the core."""

import argparse
import os
import subprocess
import sys

import pytest

from pspnet_core.cli import make_parser
from pspnet_studio.__main__ import CORE_COMMANDS


def test_every_command_of_the_core_can_be_called():
    (commands,) = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert tuple(commands.choices) == CORE_COMMANDS


_LOOK = """
import os, sys
import pspnet_studio.__main__ as program

def no_display():
    assert "numpy" not in sys.modules
    return "no display: " + os.environ["OPENBLAS_NUM_THREADS"]

program.display_problem = no_display
program.main(sys.argv[1:])
print(os.environ.get("OPENBLAS_NUM_THREADS", "unset"), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "given", "expected"),
    [
        ([], None, "1"),
        (["tour"], None, "1"),
        ([], "3", "3"),
        (["export", "--help"], None, "unset"),
    ],
)
def test_numpy_has_one_thread_in_the_window_and_the_tour_alone(arguments, given, expected):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if given is not None:
        environment["OPENBLAS_NUM_THREADS"] = given
    run = subprocess.run(
        [sys.executable, "-c", _LOOK, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    lines = run.stderr.split("\n")[:-1]
    assert lines == ([expected] if "export" in arguments else [f"no display: {expected}", expected])
