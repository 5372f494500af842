"""`FrozenClock`: time that moves when it is told to."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from threadloom.clock import to_micros

START = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
"""What a `FrozenClock` shows unless it is told otherwise."""


class FrozenClock:
    """A clock that stands still: pass it as `clock=` of a store or a manager.

    Any thread may read and move it.

    Args:
        start: the time that it shows first, aware.
    """

    def __init__(self, start: datetime = START) -> None:
        self._lock = threading.Lock()
        self._now = _aware(start)

    def __call__(self) -> datetime:
        """The time, as an aware UTC datetime."""
        with self._lock:
            return self._now

    @property
    def micros(self) -> int:
        """The time in microseconds since the epoch, as records have it."""
        return to_micros(self())

    def advance(self, by: timedelta | float) -> datetime:
        """Move on by a duration, or by seconds; negative ones move back. Returns the time."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        with self._lock:
            self._now += step
            return self._now

    def set(self, moment: datetime) -> None:
        """Show another time, earlier or later.

        Raises:
            ValueError: `moment` has no time zone.
        """
        aware = _aware(moment)
        with self._lock:
            self._now = aware

    def __repr__(self) -> str:
        return f"FrozenClock({self().isoformat()})"


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"a time needs a time zone, got the naive {moment!r}")
    return moment.astimezone(UTC)
