"""Views of a conversation: its end, cut where a model can begin to read.

A result of a tool means nothing without the call that asked for it, and providers refuse it. So
a view begins where every result in it has its call in it, too. A system message at the beginning
of the conversation stays at the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

Counter = Callable[[Sequence[BaseMessage]], int]
"""Counts the tokens of messages."""


class Trimmed(NamedTuple):
    """A conversation, cut.

    Attributes:
        system: the system message at its beginning, if there is one.
        left_out: what comes between it and the rest.
        rest: the end.
    """

    system: list[BaseMessage]
    left_out: list[BaseMessage]
    rest: list[BaseMessage]

    @property
    def shown(self) -> list[BaseMessage]:
        """What a model is to see."""
        return [*self.system, *self.rest]


def last(messages: Sequence[BaseMessage], count: int) -> Trimmed:
    """The last messages, and as many before them as it takes to begin safely."""
    system, rest = _apart(messages)
    wanted = max(0, len(rest) - count)
    start = max((at for at in safe_starts(rest) if at <= wanted), default=0)
    return Trimmed(system, rest[:start], rest[start:])


def within(messages: Sequence[BaseMessage], tokens: int, counter: Counter) -> Trimmed:
    """As many of the last messages as fit, with the system message, into so many tokens.

    The least that can stand alone is there in any case.
    """
    system, rest = _apart(messages)
    starts = sorted((at for at in safe_starts(rest) if at < len(rest)), reverse=True)

    def fits(number: int) -> bool:
        return counter([*system, *rest[starts[number] :]]) <= tokens

    # From the end in steps that double, and then in between: of a long history little is counted.
    good, step = 0, 1
    while good + step < len(starts) and fits(good + step):
        good += step
        step *= 2
    bad = min(good + step, len(starts))
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    chosen = starts[good] if starts else 0
    return Trimmed(system, rest[:chosen], rest[chosen:])


def safe_starts(messages: Sequence[BaseMessage]) -> list[int]:
    """Where a view may begin: each result of a tool behind it comes with its call."""
    known = {id for message in messages for id in _calls(message)}
    open_: set[str] = set()
    found = [len(messages)]
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, ToolMessage) and message.tool_call_id in known:
            open_.add(message.tool_call_id)
        open_ -= _calls(message)
        if not open_:
            found.append(at)
    return sorted(found)


def _calls(message: BaseMessage) -> set[str]:
    """The ids of the calls that a message makes."""
    if not isinstance(message, AIMessage):
        return set()
    return {call["id"] for call in message.tool_calls if call.get("id")}  # type: ignore[misc]


def _apart(messages: Sequence[BaseMessage]) -> tuple[list[BaseMessage], list[BaseMessage]]:
    whole = list(messages)
    if whole and isinstance(whole[0], SystemMessage):
        return whole[:1], whole[1:]
    return [], whole
