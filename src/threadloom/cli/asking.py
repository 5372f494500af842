"""The question before anything is destroyed."""

from __future__ import annotations

import sys

import typer

from threadloom.cli.group import USAGE, Fault
from threadloom.cli.printable import visible


def ask(question: str, *, yes: bool) -> None:
    """Ask on the terminal, and go on only after a yes.

    Args:
        question: what is going to happen.
        yes: it was said already, by ``--yes``.

    Raises:
        Fault: the answer is no, or nobody is there to give one.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Fault(f"{question} Nobody is here to be asked: add --yes if it is so", code=USAGE)
    if not typer.confirm(visible(question), default=False, err=True):
        raise Fault("nothing was changed")


__all__ = ["ask"]
