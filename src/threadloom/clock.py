"""Time, injected: microseconds since the epoch inside, aware UTC datetimes outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Anything that returns the current time as an aware datetime."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exactly."""
    if moment.tzinfo is None:
        raise ValueError(f"a time needs a time zone, got the naive {moment!r}")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment} is outside of the years 1 to 9999 in UTC") from error
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of microseconds since the epoch, exactly."""
    return _EPOCH + timedelta(microseconds=micros)


def now_micros(clock: Clock | None) -> int:
    """The current time of `clock`, or of the system where it is None, in microseconds."""
    if clock is None:
        return time.time_ns() // 1000
    return to_micros(clock())
