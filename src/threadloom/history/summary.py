"""Plans for the summary of a conversation, which stands beside its messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from threadloom import index
from threadloom.errors import CorruptRecord, SerializationError
from threadloom.keys import SessionPaths, is_storable
from threadloom.ops import Expect, Get, Put, Record
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.values import Values

SUMMARY = "summary"


class Summary(NamedTuple):
    """A stored summary.

    Attributes:
        text: the summary.
        covers: the key of the last message that it covers; None where nobody said.
        version: of its record.
    """

    text: str
    covers: str | None
    version: int


def outlives(summary: Record, removed: Iterable[str]) -> bool:
    """Whether a summary surely tells of none of the messages that go, by their keys."""
    covers = summary.body().get("covers")
    return covers is not None and all(key > covers for key in removed)


def read_summary(values: Values, paths: SessionPaths) -> Plan[Summary | None]:
    """The stored summary, or None."""
    session, record = yield [
        Get(paths.sessions, paths.id, blob=False),
        Get(paths.memory, SUMMARY),
    ]
    if session is None or record is None:
        return None
    doc = record.body()
    text = doc.get("text") if record.blob is None else values.loads(record.blob)
    if not isinstance(text, str):
        raise CorruptRecord(f"session {paths.id!r}: its summary is damaged")
    return Summary(text, doc.get("covers"), record.version)


def get_summary(values: Values, paths: SessionPaths) -> Plan[str | None]:
    """The text of the stored summary, or None."""
    found = yield from read_summary(values, paths)
    return None if found is None else found.text


def set_summary(
    scope: Scope,
    values: Values,
    paths: SessionPaths,
    text: str,
    *,
    covers: str | None = None,
    instead_of: Expect = None,
) -> Plan[None]:
    """Store a summary in the place of the one before.

    Args:
        scope: the tenant's scope.
        values: how values are stored.
        paths: the session's places.
        text: the summary.
        covers: the key of the last message that it covers.
        instead_of: what must be true of the stored one.

    Raises:
        ExpectationFailed: the stored one is another.
    """
    if not isinstance(text, str):
        raise SerializationError(f"a summary is text, got a {type(text).__qualname__}")
    plain = values.readable and is_storable(text)
    doc: dict[str, Any] = {"text": text} if plain else {}
    put = Put(
        paths.memory,
        SUMMARY,
        doc=doc if covers is None else {**doc, "covers": covers},
        blob=None if plain else values.dumps(text, where="the summary"),
        expect=instead_of,
    )

    def attempt() -> Plan[None]:
        session, remains = yield [Get(paths.sessions, paths.id), index.remains(paths)]
        fields = index.after(remains) if session is None else {}
        yield index.touch(paths, session, scope.now(), [put], implicit=scope.implicit, set=fields)

    return attempt() if instead_of is not None else retrying(attempt)
