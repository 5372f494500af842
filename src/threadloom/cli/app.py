"""The whole command line: the frame with its commands."""

from __future__ import annotations

from threadloom.cli.frame import app

# Each registers its commands, in the order of the help.
from threadloom.cli import commands_look, commands_change, commands_keep  # isort: skip

COMMANDS = (commands_look, commands_change, commands_keep)

__all__ = ["COMMANDS", "app"]
