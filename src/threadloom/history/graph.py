"""`GraphChatMessageHistory`: a chat history that is a graph's channel of messages."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage
from langgraph.graph.message import add_messages

from threadloom.checkpoint import life
from threadloom.checkpoint.adding import Edit, change_messages
from threadloom.checkpoint.cache import cache_of
from threadloom.checkpoint.head_messages import head_messages, timed
from threadloom.history import plans, storing
from threadloom.history.chat import StoreChatMessageHistory
from threadloom.history.viewing import Seen
from threadloom.messages import MESSAGES
from threadloom.ops import Get
from threadloom.plans import Plan


class GraphChatMessageHistory(StoreChatMessageHistory):
    """The messages of a session's graph, as a chat history.

    Reading gives the channel at the graph's head; adding puts a checkpoint on top of it, by the
    rules of LangGraph's `add_messages`: ids are kept or given, and a message whose id is there
    already replaces it where it stands. So a chain goes on with a graph's conversation, and the
    graph goes on after it. While the graph waits in the middle of a run, adding raises
    `SessionConflict`.
    """

    _channel = MESSAGES

    def _seen(self) -> Seen:
        return super()._seen()._replace(is_whole=True)

    def _load(self, limit: int | None, before: str | None) -> Plan[list[tuple[BaseMessage, int]]]:
        return self._loaded(limit, before)

    def _loaded(self, limit: int | None, before: str | None) -> Plan[list[tuple[BaseMessage, int]]]:
        if limit is not None and limit <= 0:
            return []
        (session,) = yield [Get(self._paths.sessions, self._paths.id, blob=False)]
        if session is None:
            return []  # also where it expired and its checkpoints are still there
        messages, growth = yield from head_messages(self._values, self._paths, self._channel)
        found = [(message, at) for at, message in timed(messages, growth)]
        if before is not None:
            places = [at for at, (message, _) in enumerate(found) if message.id == before]
            found = found[: places[0]] if places else []
        return found if limit is None else found[-limit:]

    def _append(self, messages: Sequence[BaseMessage]) -> Plan[None]:
        added = storing.only_messages(messages)
        return self._appended(added)

    def _appended(self, added: list[BaseMessage]) -> Plan[None]:
        if added:
            yield from self._change(lambda before: add_messages(before, added))  # type: ignore[arg-type, return-value]

    def _update_last(self, message: BaseMessage) -> Plan[bool]:
        (given,) = storing.only_messages([message])
        return self._updated_last(given)

    def _updated_last(self, given: BaseMessage) -> Plan[bool]:
        new = given

        def edit(before: list[BaseMessage]) -> list[BaseMessage]:
            nonlocal new
            if not before:
                return before
            *others, last = before
            new = given if given.id else given.model_copy(update={"id": last.id})
            if any(message.id == new.id for message in others):
                raise storing.stands_elsewhere(new)
            return [*others, new]

        before = yield from self._change(edit)
        if before:
            given.id = new.id
        return bool(before)

    def _remove_last(self) -> Plan[bool]:
        return self._had_some(lambda before: before[:-1])

    def _had_some(self, edit: Edit) -> Plan[bool]:
        before = yield from self._change(edit)
        return bool(before)

    def _clear(self, *, summary: bool) -> Plan[int]:
        if summary:
            yield from plans.clear_summary(self._scope, self._paths)
        before = yield from self._change(lambda before: [])
        return len(before)

    def _change(self, edit: Edit) -> Plan[list[BaseMessage]]:
        return change_messages(
            self._scope,
            cache_of(self._store),
            self._values,
            self._paths,
            self._channel,
            edit,
            life.Patience(life.puts_under_way(self._store), blocked=None),
        )
