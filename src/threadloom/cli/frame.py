"""The frame of the command line: its name, its version, its help."""

from __future__ import annotations

from typing import Annotated

import typer

from threadloom._version import __version__
from threadloom.cli.group import USAGE, Commands

app = typer.Typer(
    name="threadloom",
    cls=Commands,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"threadloom {__version__}")
        raise typer.Exit


@app.callback()
def threadloom(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Sessions of LangGraph and LangChain applications.

    What goes into a pipe is separated by tabs and has no headings. The exit code is 0 if all is
    well, 1 if something was refused or failed, 2 if the command line makes no sense, 130 after
    Ctrl-C.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


__all__ = ["app"]
