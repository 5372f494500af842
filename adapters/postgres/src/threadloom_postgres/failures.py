"""What goes wrong between here and the server, as Threadloom's errors."""

from __future__ import annotations

import psycopg
from psycopg import errors

from threadloom.errors import (
    CorruptRecord,
    StoreUnavailable,
    ThreadloomError,
    UnsupportedByStore,
)

_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)
_DAMAGE = ("XX001", "XX002")
MISSING = (errors.UndefinedTable, errors.UndefinedFunction, errors.InvalidSchemaName)
"""What is said of a schema that is not there, or not in this format."""


def is_transient(error: psycopg.Error) -> bool:
    """Whether a batch that failed so has changed nothing, and is to be tried again."""
    return isinstance(error, _AGAIN)


def translated(error: psycopg.Error, place: str) -> ThreadloomError:
    """A driver's error as one of ours; the driver's belongs into its cause."""
    said = (error.diag.message_primary or str(error).splitlines()[0]) if str(error) else repr(error)
    if error.sqlstate in _DAMAGE:
        return CorruptRecord(f"{place} is damaged: {said}")
    if isinstance(error, errors.InsufficientPrivilege):
        return StoreUnavailable(
            f"{place} does not let this role do that: {said}. Let its owner run: "
            "python -m threadloom_postgres grants --schema SCHEMA --role ROLE | psql …"
        )
    if isinstance(error, errors.LockNotAvailable):
        return StoreUnavailable(
            f"{place}: others held what this batch needs for too long; nothing was written"
        )
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreUnavailable(f"{place} takes no writes: {said}")
    if isinstance(error, (errors.FeatureNotSupported, errors.ProgramLimitExceeded)):
        return UnsupportedByStore(f"{place}: {said}")
    return StoreUnavailable(f"{place}: {said}")


def unreachable(place: str, error: BaseException | None = None) -> StoreUnavailable:
    """No connection could be had; nothing was sent."""
    said = "" if error is None or not str(error) else f": {_plain(error)}"
    return StoreUnavailable(f"{place} cannot be reached{said}")


def unanswered(place: str, seconds: float | None, *, writes: bool) -> StoreUnavailable:
    """A statement was sent, and its answer never came.

    Args:
        place: which store.
        seconds: how long it was waited for; None where the connection broke.
        writes: whether the statement would have changed something.
    """
    why = "the connection broke" if seconds is None else f"no answer came in {seconds:g} seconds"
    what = "the write may have been done, or not" if writes else "nothing was read"
    return StoreUnavailable(f"{place}: {why}; {what}")


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
