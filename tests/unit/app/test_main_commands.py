"""The commands that the program hands to the core."""

import argparse

from pspnet_core.cli import make_parser
from pspnet_studio.__main__ import CORE_COMMANDS


def test_every_command_of_the_core_can_be_called():
    (commands,) = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert tuple(commands.choices) == CORE_COMMANDS
