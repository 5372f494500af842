"""Plans for the summary of a conversation, which stands beside its messages."""

from __future__ import annotations

from threadloom import index
from threadloom.errors import CorruptRecord, SerializationError
from threadloom.keys import SessionPaths, is_storable
from threadloom.ops import Get, Put
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.values import Values

SUMMARY = "summary"


def get_summary(values: Values, paths: SessionPaths) -> Plan[str | None]:
    """The stored summary, or None."""
    session, record = yield [
        Get(paths.sessions, paths.id, blob=False),
        Get(paths.memory, SUMMARY),
    ]
    if session is None or record is None:
        return None
    text = record.body().get("text") if record.blob is None else values.loads(record.blob)
    if not isinstance(text, str):
        raise CorruptRecord(f"session {paths.id!r}: its summary is damaged")
    return text


def set_summary(scope: Scope, values: Values, paths: SessionPaths, text: str) -> Plan[None]:
    """Store a summary in the place of the one before."""
    if not isinstance(text, str):
        raise SerializationError(f"a summary is text, got a {type(text).__qualname__}")
    plain = values.readable and is_storable(text)

    def attempt() -> Plan[None]:
        (session,) = yield [Get(paths.sessions, paths.id)]
        put = Put(
            paths.memory,
            SUMMARY,
            doc={"text": text} if plain else {},
            blob=None if plain else values.dumps(text, where="the summary"),
        )
        yield index.touch(paths, session, scope.now(), [put], implicit=scope.implicit)

    return retrying(attempt)
