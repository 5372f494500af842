"""How sessions, lists of them and what searches find look in a notebook."""

from __future__ import annotations

from collections.abc import Iterator

from threadloom import SessionInfo
from threadloom.display.markup import (
    STATUS_HUES,
    Column,
    Html,
    facts,
    joined,
    pill,
    safe,
    table,
    tag,
)
from threadloom.models import Session, SessionMatches, SessionPage
from threadloom.words.amounts import contents
from threadloom.words.values import in_a_line

_MOST = 100
"""Rows that are shown; who wants more of them asks pandas."""
_LABELS = 30
"""Tags that are shown."""
_LONGEST = 60
"""Characters of an id that are shown."""

_COLUMNS = (
    Column("id"),
    Column("name"),
    Column("owner"),
    Column("tags"),
    Column("status"),
    Column("messages", right=True),
    Column("turns", right=True),
    Column("updated"),
)
_MATCHES = (Column("id"), Column("name"), Column("score", right=True), Column("found"))


def card(info: SessionInfo) -> Html:
    """One session."""
    title = tag("b", info.name or info.id, style="font-size:15px")
    marks = [status(info), *(pill(label, "blue") for label in info.tags[:_LABELS])]
    return Html(tag("div", joined([title, *marks])) + facts(_facts(info)))


def _facts(info: SessionInfo) -> Iterator[tuple[str, object]]:
    yield "id", tag("code", info.id)
    yield "owner", info.owner
    yield "agent", info.agent_name
    yield "framework", info.framework
    yield "content", ", ".join(contents(info))
    yield "created", info.created_at
    yield "updated", info.updated_at
    yield "expires", info.expires_at
    if info.turn_id is not None:
        yield "turn", tag("code", info.turn_id)
        yield "turn since", info.turn_started_at
    if info.origin is not None and info.origin.session_id:
        yield "forked from", tag("code", info.origin.session_id)
    context = {key: item for key, item in info.context.model_dump().items() if item is not None}
    yield "context", in_a_line(context) if context else None
    yield "metadata", in_a_line(info.metadata) if info.metadata else None


def status(info: SessionInfo) -> Html:
    """How a session stands."""
    return pill(info.status, STATUS_HUES.get(info.status, "grey"))


def listing(page: SessionPage) -> Html:
    """Sessions as a table."""
    if not page:
        return tag("div", "No sessions", css="dim")
    found = table(_COLUMNS, map(_row, page[:_MOST]), more=len(page) - _MOST)
    if page.cursor is None:
        return found
    return Html(found + tag("div", "The listing goes on: after=page.cursor", css="dim"))


def _row(info: SessionInfo) -> tuple[object, ...]:
    return (
        _id(info),
        info.name,
        info.owner,
        info.tags[:_LABELS],
        status(info),
        info.message_count,
        info.turn_count,
        info.updated_at,
    )


def _id(info: SessionInfo) -> Html:
    short = info.id if len(info.id) <= _LONGEST else f"{info.id[:_LONGEST]}…"
    return tag("code", short, title=info.id)


def matches(found: SessionMatches) -> Html:
    """What a search found."""
    if not found:
        return tag("div", "Nothing found", css="dim")
    rows = (
        (_id(match.session), match.session.name, f"{match.score:.2f}", safe(match.snippet))
        for match in found[:_MOST]
    )
    return table(_MATCHES, rows, more=len(found) - _MOST)


def state(session: Session) -> Html:
    """What the agent of a session keeps."""
    if session.state is None:
        return Html("")
    return facts([("state", tag("code", in_a_line(session.state)))])


__all__ = ["card", "listing", "matches", "state", "status"]
