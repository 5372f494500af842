"""What brings things over, one after another: threads, or histories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from threadloom.errors import ThreadloomError
from threadloom.migrate.reports import Outcome, Refused, ThreadReport, Unavailable

MARK = "migrated_from"
"""Where a session's metadata say what was brought over, and whether that was all of it."""

HISTORIES = "langchain-"
"""How the kinds of sources begin that are chat histories."""

ANOTHER = (
    "the target has a session of this id that was brought over from elsewhere ({}). Migrate into "
    "another store, or for another tenant"
)
"""Why a session is refused that came from a source of another sort."""

Tick = Callable[[int], None]
"""Told how many bytes of the source are done with."""


class Part(Protocol):
    """One of the things that are brought over, as far as it is known without reading it whole."""

    @property
    def id(self) -> str:
        """What it is called, which is the session's id."""

    @property
    def bytes(self) -> int:
        """What it takes up in the source."""

    @property
    def counts(self) -> dict[str, int]:
        """What is in it, as fields of a `ThreadReport`."""


class Carrier(Protocol):
    """Brings parts of a source into a target."""

    def thread(self, id: str, size: int, tick: Tick) -> ThreadReport:
        """Bring one over, or what is missing of it.

        Whatever goes wrong with it alone is in the report, not raised.
        """

    def standing(self, id: str) -> tuple[Outcome, str]:
        """What bringing one over would be, by what the target has of it, and why."""


OF_ONE = (Refused, Unavailable, ThreadloomError, RecursionError)
"""What may go wrong with one part, while the others go on (see `outcome_of`)."""


def outcome_of(error: Exception) -> tuple[Outcome, str]:
    """What becomes of a part for an error of `OF_ONE`, and why.

    Raises:
        StoreUnavailable: the error is one, which concerns all parts.
    """
    if isinstance(error, Refused):
        return "refused", str(error)
    if isinstance(error, ConnectionError):
        raise error
    if isinstance(error, RecursionError):
        return "failed", "a value is nested too deeply"
    return "failed", one_line(error)


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


__all__ = [
    "ANOTHER",
    "HISTORIES",
    "MARK",
    "OF_ONE",
    "Carrier",
    "Part",
    "Tick",
    "one_line",
    "outcome_of",
]
