"""The command line: ``threadloom COMMAND STORE …``.

* `app` - the commands and their options.
* `group` - what every command does about errors.
* `places` - what STORE means.
* `output` - tables, plain lines, JSON, progress.
* `listing`, `statistics`, `migrating` - what the commands do.

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
