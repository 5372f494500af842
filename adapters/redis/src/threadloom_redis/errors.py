"""Redis's errors as Threadloom's, and which of them may pass."""

from __future__ import annotations

import asyncio
import re

from redis import exceptions as theirs

from threadloom.errors import CorruptRecord, SchemaTooNew, StoreUnavailable, ThreadloomError

_REFUSED = (theirs.AuthenticationError, theirs.AuthorizationError, theirs.NoPermissionError)
_PASSING = ("LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "READONLY", "MOVED", "ASK", "BUSY")
_MEANINGS = {
    "OOM": "Redis has reached its maxmemory; nothing was written",
    "LOADING": "Redis is still loading its data",
    "READONLY": "this is a replica, which cannot be written (a failover is under way, or the URL "
    "names a replica)",
    "MOVED": "this is a node of a Redis Cluster: open it as redis+cluster://",
    "ASK": "this is a node of a Redis Cluster: open it as redis+cluster://",
    "CLUSTERDOWN": "the Redis Cluster is down: not all slots are served",
    "MASTERDOWN": "the replica has lost its primary",
    "MISCONF": "Redis cannot save to disk and takes no writes; nothing was written",
    "NOREPLICAS": "Redis has fewer replicas than it demands for writes; nothing was written",
    "BUSY": "a script keeps Redis busy",
    "NOPERM": "Redis does not allow this user what a store needs",
    "NOAUTH": "Redis wants a password",
    "WRONGPASS": "Redis refuses the user or the password",
    "CROSSSLOT": "keys of one script lie in different slots",
    "WRONGTYPE": "a key of this prefix belongs to something else",
}
_BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    (theirs.BusyLoadingError, "LOADING"),
    (theirs.ReadOnlyError, "READONLY"),
    (theirs.OutOfMemoryError, "OOM"),
    (theirs.MovedError, "MOVED"),
    (theirs.AskError, "ASK"),
    (theirs.TryAgainError, "TRYAGAIN"),
    (theirs.ClusterDownError, "CLUSTERDOWN"),
    (theirs.MasterDownError, "MASTERDOWN"),
    (theirs.NoPermissionError, "NOPERM"),
)


_FORMAT = re.compile(r"\bFORMAT (\S+)")
"""What scripts say of a partition whose header is of another format than theirs."""


_IN_SCRIPT = re.compile(r"^Error running script \(call to \w+\): (@\w+: ?\d+: )*-?")
"""What Redis before 7 puts in front of what a command in a script said."""


def too_new(what: str, format: str) -> SchemaTooNew:
    """What is raised where something has a format that is not known here."""
    return SchemaTooNew(
        f"{what} has format {format:.20}, this version of threadloom-redis knows up to 1. Install "
        "a newer one: pip install --upgrade threadloom-redis"
    )


def kind(error: BaseException) -> str:
    """The first word of what Redis said, such as ``OOM``; empty where it said nothing."""
    for one, word in _BY_CLASS:
        if isinstance(error, one):
            return word
    if isinstance(error, theirs.ResponseError):
        text = _IN_SCRIPT.sub("", str(error))
        if "unauthenticated" in text:  # what it says to long commands before it says NOAUTH
            return "NOAUTH"
        return next((word for word in _MEANINGS if text.startswith(word)), "ERR")
    return ""


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, (*_REFUSED, ThreadloomError)):
        return False
    word = kind(error)
    if word:
        return word in _PASSING
    return isinstance(
        error,
        (
            *(theirs.ConnectionError, theirs.TimeoutError, theirs.InvalidResponse),
            *(theirs.RedisClusterException, theirs.ClusterError),
            *(OSError, asyncio.TimeoutError),
        ),
    )


def never_arrived(error: BaseException) -> bool:
    """Whether Redis surely did nothing of what was asked: it answered, or was not reached."""
    if kind(error) or isinstance(error, (*_REFUSED, theirs.RedisClusterException)):
        return True
    return "connecting to" in str(error) or isinstance(error, ConnectionRefusedError)


def translated(error: BaseException, place: str, *, unknown: bool = False) -> ThreadloomError:
    """An error of Threadloom's for one of redis-py's, which is to be its cause.

    Args:
        error: what redis-py raised.
        place: where Redis is, without a password.
        unknown: whether a write may have happened all the same.
    """
    if isinstance(error, ThreadloomError):
        return error
    word = kind(error)
    text = str(error)
    if found := _FORMAT.search(text):
        return too_new(place, found[1])
    if "DAMAGED" in text:
        return CorruptRecord(f"{place}: a record is damaged: {text[text.index('DAMAGED') :]:.120}")
    if isinstance(error, _REFUSED) and word != "NOPERM":
        return StoreUnavailable(f"{place}: Redis refuses the user or the password")
    if word in _MEANINGS:
        return StoreUnavailable(f"{place}: {_MEANINGS[word]}")
    if word:
        return StoreUnavailable(f"{place}: {text:.300}")
    ending = "; whether it was written is not known" if unknown else ""
    what = text or type(error).__name__
    return StoreUnavailable(f"{place} cannot be reached: {what:.300}{ending}")
