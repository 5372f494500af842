"""Which LangChain messages show which events.

A text of the user or of an agent is one message, with the event's id. Calls of functions and
their results have to stand as models expect them: an `AIMessage` with all calls, and right behind
it one `ToolMessage` a call. Where events come in another order (agents in parallel, questions
to the user in between, results that are replaced), those that belong together become one group.

Events are looked at as they are stored (`records.record_of`), so nothing here needs ADK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from threadloom import Shown, blocks
from threadloom_google_adk import parts

Record = Mapping[str, Any]


def shows(records: Sequence[Any]) -> list[Shown]:
    """The messages that show events, group by group."""
    groups: list[Group] = []
    ends: list[int] = []
    for at in live(records):
        record = records[at]
        if not parts.is_shown(record):
            continue
        if groups and groups[-1].takes(record):
            groups[-1].add(record)
            ends[-1] = at + 1
        else:
            groups.append(Group(record))
            ends.append(at + 1)
    return [Shown(end, group.messages()) for end, group in zip(ends, groups, strict=True)]


def rewinds(record: Record) -> str | None:
    """The invocation from which on an event takes everything back (`Runner.rewind_async`)."""
    invocation: str | None = record["actions"].get("rewindBeforeInvocationId")
    return invocation or None


def first_of(invocation: str, records: Sequence[Record]) -> int | None:
    """Where the first event of an invocation is; None where there is none."""
    for at, record in enumerate(records):
        if record["invocationId"] == invocation:
            return at
    return None


def live(records: Sequence[Record]) -> list[int]:
    """The events that no later rewind of ADK's own takes back, without the rewinds."""
    kept: list[int] = []
    at = len(records) - 1
    while at >= 0:
        invocation = rewinds(records[at])
        if invocation is None:
            kept.append(at)
        else:
            first = first_of(invocation, records[:at])
            at = at if first is None else first
        at -= 1
    return kept[::-1]


class Group:
    """Events that are shown together.

    A group that begins with calls is open until each of them has a result. One that begins with
    results belongs to the calls right before it, which it answers completely.
    """

    def __init__(self, record: Record) -> None:
        self._said: list[BaseMessage] = []
        self._caller: AIMessage | None = None
        self._names: dict[str, str] = {}
        self._open: dict[str, str] = {}
        self._results: dict[str, ToolMessage] = {}
        self.add(record, first=True)

    def takes(self, record: Record) -> bool:
        """Whether the next event belongs to this group."""
        answered = [response.get("id") for response in parts.responses(record)]
        if answered:
            # The rule: calls, and one event with all their results, are a group each.
            plain = self._open.keys() == self._names.keys() and not self._said
            return not (self._open and plain and set(answered) == self._open.keys())
        return bool(self._open) and not parts.is_users(record)

    def add(self, record: Record, *, first: bool = False) -> None:
        """Put an event into this group."""
        responses, calls = parts.responses(record), parts.calls(record)
        content = parts.content(record)
        for number, response in enumerate(responses):
            alone = len(responses) == 1 and not content
            own = record["id"] if alone else f"{record['id']}/{number}"
            self._answer(response, own, follows_its_call=first)
        if calls:
            self._call(record, calls, content)
        elif content and parts.is_users(record):
            self._said.append(HumanMessage(content, id=record["id"]))
        elif content or not responses:
            self._said.append(_ai(record, content))

    def messages(self) -> list[BaseMessage]:
        """What shows this group."""
        caller = [] if self._caller is None else [self._caller]
        return [*caller, *self._results.values(), *self._said]

    def _call(self, record: Record, calls: list[Record], content: blocks.Content) -> None:
        tool_calls = []
        for number, call in enumerate(calls):
            id, name = call.get("id") or f"{record['id']}/{number}", call.get("name") or ""
            self._names[id] = self._open[id] = name
            tool_calls.append({"name": name, "args": call.get("args") or {}, "id": id})
        message = _ai(record, content, tool_calls=tool_calls)
        if self._caller is None:
            self._caller = message
        else:
            self._caller = _joined(self._caller, message)

    def _answer(self, response: Record, own: str, *, follows_its_call: bool) -> None:
        id = response.get("id") or self._call_of(response.get("name") or "") or own
        if follows_its_call or id in self._names or id in self._results:
            self._results[id] = parts.tool_message(response, id=own, call=id)
            self._open.pop(id, None)
        else:  # the call is long ago: models refuse a result in this place
            self._said.append(parts.late_result(response, id=own))

    def _call_of(self, name: str) -> str | None:
        """The open call that a result without an id answers."""
        fitting = [id for id, called in self._open.items() if called == name]
        return next(iter(fitting or self._open), None)


def _ai(record: Record, content: blocks.Content, **more: Any) -> AIMessage:
    return AIMessage(
        content,
        id=record["id"],
        name=record.get("author") or None,
        usage_metadata=parts.usage(record),
        response_metadata=parts.response_metadata(record),
        **more,
    )


def _joined(first: AIMessage, second: AIMessage) -> AIMessage:
    """Two messages with calls as one, with the id of the first."""
    return first.model_copy(
        update={
            "content": parts.joined(first.content, second.content),
            "tool_calls": [*first.tool_calls, *second.tool_calls],
            "usage_metadata": parts.add_usage(first.usage_metadata, second.usage_metadata),
        }
    )
