"""One thread, checkpoint by checkpoint, from LangGraph's database into a session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from threadloom.migrate.base import Outline, Source
from threadloom.migrate.carrying import ANOTHER, HISTORIES, MARK, OF_ONE, Tick, outcome_of
from threadloom.migrate.decoding import Decoder
from threadloom.migrate.reports import Outcome, Refused, ThreadReport
from threadloom.migrate.target import Target
from threadloom.migrate.walking import State, Walk, config_of
from threadloom.models import SessionInfo


class Progress(NamedTuple):
    """How much of a thread the target has.

    Attributes:
        outcome: what bringing over the rest would be, or ``skipped``.
        stored: the checkpoints that are there, by namespace.
        whole_order: whether those are the first ones of each namespace's order.
        replay: whether pending writes of those may have changed since.
    """

    outcome: Outcome
    stored: Mapping[str, frozenset[str]]
    whole_order: bool = True
    replay: bool = False


def look(target: Target, thread: str, outline: Outline) -> Progress:
    """See how much of a thread is in the target.

    Raises:
        Refused: the target has something else under this id.
    """
    session = target.manager.get_session(thread)
    mark = None if session is None else session.metadata.get(MARK)
    if session is None:
        return Progress("migrated", {})
    if not isinstance(mark, dict):
        refuse_content(target, session)
        return Progress("migrated", {})
    if str(mark.get("source")).startswith(HISTORIES):
        raise Refused(ANOTHER.format(mark["source"]))
    if mark.get("complete") and mark.get("digest") == outline.digest:
        return Progress("skipped", {})
    stored: dict[str, frozenset[str]] = {}
    for ns, order in outline.orders.items():
        head = target.saver.get_tuple(config_of(thread, ns))
        if head is None:
            continue
        id = head.checkpoint["id"]
        if id not in order.parents:
            raise Refused(
                f"the session went on in the target (checkpoint {id} is not in the source); delete "
                "it there to bring the thread over anew"
            )
        stored[ns] = frozenset(order.ids[: order.ids.index(id) + 1])
    outcome: Outcome = "updated" if mark.get("complete") or mark.get("update") else "migrated"
    count = sum(map(len, stored.values()))
    if mark.get("digest") == outline.digest or (
        mark.get("complete") and mark.get("checkpoints") == count
    ):
        return Progress(outcome, stored, replay=mark.get("digest") != outline.digest)
    exact = {
        ns: frozenset(id for id in order.ids if target.saver.get_tuple(config_of(thread, ns, id)))
        for ns, order in outline.orders.items()
    }
    return Progress(outcome, exact, whole_order=False, replay=True)


def refuse_content(target: Target, session: SessionInfo) -> None:
    """Refuse a session that no migration has begun, unless there is nothing in it.

    Raises:
        Refused: there is.
    """
    newest = next(target.saver.list(config_of(session.id, None), limit=1), None)
    if newest is not None or session.message_count or session.turn_count:
        raise Refused(
            "the target has a session of this id with other content. Delete or fork it there, or "
            "migrate into another store"
        )


class Transfer:
    """Brings threads over, one after another.

    Args:
        source: where they are.
        target: where they go.
        decoder: builds their values.
    """

    def __init__(self, source: Source, target: Target, decoder: Decoder) -> None:
        self._source = source
        self._target = target
        self._decoder = decoder

    def thread(self, id: str, size: int, tick: Tick) -> ThreadReport:
        """Bring one thread over, or what is missing of it.

        Whatever goes wrong with this thread alone is in the report, not raised.
        """
        try:
            with self._source.at_one_moment():
                return self._thread(id, size, tick)
        except OF_ONE as error:
            outcome, reason = outcome_of(error)
            return ThreadReport(id=id, outcome=outcome, bytes=size, reason=reason)

    def standing(self, id: str) -> tuple[Outcome, str]:
        """What bringing one thread over would be, by what the target has of it, and why."""
        try:
            with self._source.at_one_moment():
                outline = self._source.outline(id)
            return look(self._target, id, outline).outcome, ""
        except OF_ONE as error:
            return outcome_of(error)

    def _thread(self, id: str, size: int, tick: Tick) -> ThreadReport:
        outline = self._source.outline(id)
        progress = look(self._target, id, outline)
        if progress.outcome == "skipped":
            return ThreadReport(id=id, outcome="skipped", bytes=size)
        mark: dict[str, Any] = {
            "source": self._source.kind,
            "file": self._source.name.rpartition("/")[2],
            "complete": False,
            "update": progress.outcome == "updated",
            "digest": outline.digest if progress.whole_order else None,
        }
        walks = [
            Walk(self._source, self._target, self._decoder, id, ns, order)
            for ns, order in outline.orders.items()
        ]
        begun = False
        checkpoints = writes = 0
        for walk in walks:
            stored = progress.stored.get(walk.ns, frozenset())
            newest = max((at for at, one in enumerate(walk.order.ids) if one in stored), default=-1)
            for at, one in enumerate(walk.order.ids):
                state = walk.read(one)
                values = None if one in stored else walk.build(state)
                if not begun:
                    self._begin(id, state, mark)
                    begun = True
                if values is not None:
                    walk.put(one, state, values)
                    checkpoints += 1
                if one not in stored or progress.replay or at == newest:
                    writes += walk.put_writes(one)
                tick(outline.sizes[walk.ns, one])
        done = {
            **mark,
            "complete": True,
            "digest": outline.digest,
            "checkpoints": outline.checkpoints,
            "writes": outline.writes,
        }
        self._target.manager.update_session(id, metadata={MARK: done})
        return ThreadReport(
            id=id,
            outcome=progress.outcome,
            checkpoints=checkpoints,
            writes=writes,
            bytes=size,
            notes=tuple(_notes(outline)),
        )

    def _begin(self, id: str, first: State, mark: dict[str, Any]) -> None:
        manager = self._target.manager
        if manager.get_session(id) is None:
            owner = first.metadata.get("user_id")
            manager.create_session(
                id=id,
                owner=owner if isinstance(owner, str) and owner else None,
                metadata={MARK: mark},
            )
        else:
            manager.update_session(id, metadata={MARK: mark})


def _notes(outline: Outline) -> Iterator[str]:
    cut = sum(order.cut for order in outline.orders.values())
    if cut:
        yield f"links to checkpoints that are gone were cut, history ends there: {cut}"
    if outline.loose:
        yield f"pending writes of checkpoints that never came were left out: {outline.loose}"
    for ns, order in outline.orders.items():
        if not order.by_id:
            where = f" of {ns}" if ns else ""
            yield (
                f"a clock was set back: LangGraph orders the checkpoints{where} by id, Threadloom "
                f"by descent, so that the newest is {order.ids[-1]}"
            )


__all__ = ["Transfer", "look", "refuse_content"]
