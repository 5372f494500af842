"""One chat history, message by message, from where LangChain keeps it into a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from threadloom.errors import SerializationError
from threadloom.migrate.carrying import ANOTHER, MARK, OF_ONE, Tick, one_line, outcome_of
from threadloom.migrate.conversations import HistorySource, HistorySummary, StoredMessage
from threadloom.migrate.rebuilding import digest, is_same, rebuild
from threadloom.migrate.reports import Outcome, Refused, ThreadReport, Unavailable
from threadloom.migrate.target import Target
from threadloom.migrate.transfer import refuse_content
from threadloom.migrate.walking import config_of
from threadloom.values import values_for

_BATCH = 200
"""Messages that are stored at once at most."""
_LONGEST = 200
"""Characters of a reason; what lies deep has a long name."""


class Standing(NamedTuple):
    """How much of a history the target has.

    Attributes:
        outcome: what bringing over the rest would be, or ``skipped``.
        stored: how many of its messages are there.
        mark: what the session says of the migration before.
    """

    outcome: Outcome
    stored: int = 0
    mark: dict[str, Any] = {}  # noqa: RUF012


class HistoryTransfer:
    """Brings histories over, one after another.

    Args:
        source: where they are.
        target: where they go.
        histories: those that may be asked for.
    """

    def __init__(
        self, source: HistorySource, target: Target, histories: Sequence[HistorySummary]
    ) -> None:
        self._source = source
        self._target = target
        self._otherwise = {history.id: history.at for history in histories}

    def thread(self, id: str, size: int, tick: Tick) -> ThreadReport:
        """Bring one history over, or what is missing of it.

        Whatever goes wrong with this history alone is in the report, not raised.
        """
        try:
            return self._history(id, size, tick)
        except OF_ONE as error:
            outcome, reason = outcome_of(error)
            return ThreadReport(id=id, outcome=outcome, bytes=size, reason=reason)

    def standing(self, id: str) -> tuple[Outcome, str]:
        """What bringing one history over would be, by what the target has of it, and why."""
        try:
            rows = self._rows(id)
            return self._look(id, rows, rebuild(rows).messages).outcome, ""
        except OF_ONE as error:
            return outcome_of(error)

    def _rows(self, id: str) -> list[StoredMessage]:
        with self._source.at_one_moment():
            return self._source.messages(id)

    def _history(self, id: str, size: int, tick: Tick) -> ThreadReport:
        rows = self._rows(id)
        messages, renamed = rebuild(rows)
        standing = self._look(id, rows, messages)
        if standing.outcome == "skipped":
            return ThreadReport(id=id, outcome="skipped", bytes=size)
        mark = {
            "source": self._source.kind,
            "file": self._source.name.rpartition("/")[2],
            "table": self._source.table,
            "complete": False,
            "update": standing.outcome == "updated",
            "digest": standing.mark.get("digest"),
            "messages": standing.mark.get("messages", 0),
        }
        times = _times(rows, self._otherwise[id])
        done = standing.stored
        _check(rows[done:], messages[done:])
        self._show(times[max(done - 1, 0)] if times else self._otherwise[id])
        self._begin(id, mark)
        for at, count in _batches(times[done:]):
            self._show(at)
            self._target.manager.memory(id).add_messages(messages[done : done + count])
            done += count
            tick(size * count // len(rows))
        done_mark = {**mark, "complete": True, "digest": digest(rows), "messages": len(rows)}
        self._target.manager.update_session(id, metadata={MARK: done_mark})
        notes = (f"messages that had the id of one before them got another: {renamed}",)
        return ThreadReport(
            id=id,
            outcome=standing.outcome,
            messages=len(rows) - standing.stored,
            bytes=size,
            notes=notes if renamed else (),
        )

    def _look(
        self, id: str, rows: Sequence[StoredMessage], messages: Sequence[BaseMessage]
    ) -> Standing:
        """See how much of a history is in the target.

        Raises:
            Refused: the target has something else under this id.
        """
        session = self._target.manager.get_session(id)
        mark = None if session is None else session.metadata.get(MARK)
        if session is None:
            return Standing("migrated")
        if not isinstance(mark, dict):
            refuse_content(self._target, session)
            return Standing("migrated")
        if (mark.get("source"), mark.get("table")) != (self._source.kind, self._source.table):
            names = (mark.get("source"), mark.get("file"), mark.get("table"))
            raise Refused(ANOTHER.format(" ".join(str(name) for name in names if name)))
        if mark.get("complete") and mark.get("digest") == digest(rows):
            return Standing("skipped")
        known = int(mark.get("messages") or 0)
        if known and mark.get("digest") != digest(rows[:known]):
            raise Refused(
                "messages that were brought over already were changed or removed in the source "
                "since; delete the session in the target to bring the history over anew"
            )
        stored = self._target.manager.memory(id).load()
        went_on = next(self._target.saver.list(config_of(id, None), limit=1), None) is not None
        same = all(map(is_same, stored, messages)) and known <= len(stored) <= len(messages)
        if went_on or not same:
            raise Refused(
                "the session went on or was changed in the target since; delete it there to bring "
                "the history over anew"
            )
        is_update = mark.get("complete") or mark.get("update")
        return Standing("updated" if is_update else "migrated", len(stored), mark)

    def _begin(self, id: str, mark: dict[str, Any]) -> None:
        manager = self._target.manager
        if manager.get_session(id) is None:
            manager.create_session(id=id, metadata={MARK: mark})
        else:
            manager.update_session(id, metadata={MARK: mark})

    def _show(self, at: datetime) -> None:
        if self._target.clock is not None:
            self._target.clock.show(at)


def _check(rows: Sequence[StoredMessage], messages: Sequence[BaseMessage]) -> None:
    """Make sure that all can be stored, before anything is."""
    values = values_for(None)
    for row, message in zip(rows, messages, strict=True):
        try:
            values.dumps(message, where=row.place)
        except SerializationError as error:
            said = one_line(error)
            if len(said) > _LONGEST:
                said = f"{said[: _LONGEST // 2]} … {said[-_LONGEST // 2 :]}"
            raise Unavailable(f"{row.place} cannot be stored: {said}") from error


def _times(rows: Sequence[StoredMessage], otherwise: datetime) -> list[datetime]:
    """The time of each message; one that has none has that of the one before it."""
    at = next((row.at for row in rows if row.at is not None), otherwise)
    times = []
    for row in rows:
        at = row.at or at
        times.append(at)
    return times


def _batches(times: Sequence[datetime]) -> Iterator[tuple[datetime, int]]:
    """How many messages one after another have the same time."""
    for at, same in groupby(times):
        left = len(list(same))
        while left > 0:
            yield at, min(left, _BATCH)
            left -= _BATCH


__all__ = ["HistoryTransfer", "Standing"]
