"""The plan that searches sessions by the words of their names and messages."""

from __future__ import annotations

from typing import NamedTuple, cast

from threadloom import index
from threadloom.errors import InvalidKey
from threadloom.filters import matches
from threadloom.keys import CHECKPOINTS, MEMORY, SESSIONS, session_of
from threadloom.models import SessionMatch, SessionMatches, SessionQuery
from threadloom.ops import Get, Hit, Match, Record
from threadloom.plans import Plan
from threadloom.scope import Scope
from threadloom.sessions.plans import Filters, listing, store_filter
from threadloom.text import snippet, tokens

_PAGE = 4
"""Hits that are looked at first, for each session that is wanted: many have several."""
_LEAST = 50
_MOST = 1_000_000


class _Found(NamedTuple):
    score: float
    text: str


def search(scope: Scope, query: SessionQuery | str) -> Plan[SessionMatches]:
    """Sessions whose name or messages hold any of some words, best first.

    Raises:
        InvalidKey: a filter makes no sense.
    """
    if isinstance(query, str):
        query = SessionQuery(text=query)
    if not isinstance(query, SessionQuery):
        raise InvalidKey(f"search for a text or a SessionQuery, not a {type(query).__qualname__}")
    filters = cast(Filters, {name: getattr(query, name) for name in Filters.__annotations__})
    if query.limit <= 0:
        return SessionMatches()
    if not query.text.strip():
        page = yield from listing(
            scope,
            order_by="updated_at",
            descending=None,
            limit=query.limit,
            after=None,
            filters=filters,
        )
        return SessionMatches(SessionMatch(session=info) for info in page)
    if not tokens(query.text):
        return SessionMatches()
    wanted = store_filter(filters)
    asked = max(_LEAST, _PAGE * query.limit)
    checked: dict[str, Record | None] = {}
    while True:
        pages = yield [
            Match((*scope.root, label), query.text, asked)
            for label in (SESSIONS, MEMORY, CHECKPOINTS)
        ]
        best = _best(pages)
        new = [id for id in best if id not in checked]
        records = yield [Get((*scope.root, SESSIONS), id, blob=False) for id in new]
        checked.update(zip(new, records, strict=True))
        passing = [
            (id, record)
            for id in best
            if (record := checked[id]) is not None and matches(record.doc, wanted)
        ]
        order = sorted(passing, key=lambda item: _rank(best[item[0]], *item))
        # What has not been seen fits no better than the worst hit of a page that goes on.
        unseen = max((page[-1].score for page in pages if len(page) >= asked), default=None)
        if unseen is None or asked >= _MOST:
            break
        if len(order) >= query.limit and best[order[query.limit - 1][0]].score >= unseen:
            break
        asked *= 4
    return SessionMatches(
        SessionMatch(
            session=index.info(record),
            score=best[id].score,
            snippet=snippet(best[id].text, query.text),
        )
        for id, record in order[: query.limit]
    )


def _rank(found: _Found, id: str, record: Record) -> tuple[float, int, str]:
    return -found.score, -int(record.body()["updated_at"]), id


def _best(pages: list[list[Hit]]) -> dict[str, _Found]:
    """The best hit of each session."""
    found: dict[str, _Found] = {}
    for hit in (hit for page in pages for hit in page):
        owner = session_of(hit.record.namespace)
        id = hit.record.key if owner is None else owner[1]
        known = found.get(id)
        if known is None or hit.score > known.score:
            found[id] = _Found(hit.score, hit.record.text or "")
    return found
