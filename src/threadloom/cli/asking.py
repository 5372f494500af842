"""The question before anything is destroyed."""

from __future__ import annotations

import sys

from threadloom.cli.group import USAGE, Fault
from threadloom.words.printable import visible


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
    # All on stderr: standard output may be a file.
    sys.stderr.write(f"{visible(question)} [y/N]: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise Fault("nothing was changed")


__all__ = ["ask"]
