"""What a write changes in a chat history: its operations, and the counts of the session."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import BaseMessage

from threadloom.checkpoint.cache import Cache
from threadloom.checkpoint.head_messages import head_ids
from threadloom.keys import SessionPaths
from threadloom.messages import token_total, tokens_of
from threadloom.ops import Op, Record
from threadloom.plans import Plan
from threadloom.values import Values


def graph_ids(
    cache: Cache,
    values: Values,
    paths: SessionPaths,
    session: Record | None,
    given: Sequence[BaseMessage],
) -> Plan[Collection[str]]:
    """Ids of the graph's messages, where some of the given messages might be among them."""
    if session is None or not given or not session.body().get("graph_messages"):
        return ()
    return (yield from head_ids(cache, values, paths))


@dataclass
class Change:
    """What a write does to the history and to the session's counts."""

    ops: list[Op] = field(default_factory=list)
    messages: int = 0
    tokens: int = 0
    shared_messages: int = 0
    shared_tokens: int = 0

    def add(self, message: BaseMessage, *, shared: bool, sign: int = 1) -> None:
        self.messages += sign
        self.tokens += sign * tokens_of(message)
        if shared:
            self.shared_messages += sign
            self.shared_tokens += sign * tokens_of(message)

    def remove(self, message: BaseMessage, *, shared: bool) -> None:
        self.add(message, shared=shared, sign=-1)

    def replace(self, before: BaseMessage, after: BaseMessage, *, shared: bool) -> None:
        grown = token_total([after]) - token_total([before])
        self.tokens += grown
        if shared:
            self.shared_tokens += grown

    def increments(self) -> dict[str, int]:
        counts = {
            "history_messages": self.messages,
            "history_tokens": self.tokens,
            "shared_messages": self.shared_messages,
            "shared_tokens": self.shared_tokens,
        }
        return {name: number for name, number in counts.items() if number}
