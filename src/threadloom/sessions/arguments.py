"""Arguments that several operations take."""

from __future__ import annotations

from datetime import timedelta

from threadloom.errors import InvalidKey


def duration(given: timedelta, what: str) -> int:
    """A positive duration in microseconds.

    Raises:
        InvalidKey: it is none.
    """
    if not isinstance(given, timedelta) or given <= timedelta(0):
        raise InvalidKey(f"{what} is a positive timedelta, got {given!r}")
    return given // timedelta(microseconds=1)
