"""The command line: ``threadloom COMMAND STORE …``.

* `app` - all of it: `frame`, and the commands in `commands_look`, `commands_change` and
  `commands_keep`, whose `options` they share.
* `group` - what every command does about errors. `asking` - the question before something goes.
* `places` - what STORE means. `keys` - those of an encrypted one. `finding` - what ids mean.
* `output` - tables, plain lines, JSON, progress. What values and messages are in words is in
  `threadloom.words`, which notebooks use as well.
* `conversations`, `trees`, `differences` - how these look.
* `listing`, `looking`, `changing`, `keeping`, `moving`, `statistics`, `migrating`, `completing` -
  what the commands do.

It needs typer and rich, which come with ``pip install "threadloom[cli]"``.
"""

from __future__ import annotations

import importlib
import sys

_NEEDED = {"typer", "rich", "click"}


def main() -> None:
    """Run the command line; ends the process.

    The exit code is 0 if all is well, 1 if something was refused or failed, 2 if the command line
    makes no sense or something is not installed, 130 after Ctrl-C.
    """
    try:
        importlib.import_module("rich")
        from threadloom.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(
            f'threadloom: the command line needs {error.name}: pip install "threadloom[cli]"\n'
        )
        sys.exit(2)
    app()


__all__ = ["main"]
