"""Which tool a result is of, where the framework's item does not say so.

Most frameworks' results name their call and not its tool. What shows items is given the last group
and what is new, so the call may lie before that: then the chat history has it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from threadloom.history.records import FIRST, LAST
from threadloom.history.storing import read_message
from threadloom.ops import Scan
from threadloom.plans import Plan
from threadloom.streams.site import Site

_PAGE = 32


def name_results(
    site: Site,
    pairs: Iterable[tuple[BaseMessage, BaseMessage | None]],
    rewritten: Container[str] = (),
) -> Plan[None]:
    """Give results of tools the names of their tools, on the messages themselves.

    Args:
        site: the stream.
        pairs: messages in order, each with the one in whose place it is put. Of a result that
            stands there already the name is known, or nobody knows it.
        rewritten: the keys of stored messages that the same write removes or replaces, whose
            calls are calls no more.
    """
    names: dict[str, str] = {}
    wanted: list[ToolMessage] = []
    for message, before in pairs:
        names |= _names(message)
        if not isinstance(message, ToolMessage) or message.name:
            continue
        if isinstance(before, ToolMessage) and before.tool_call_id == message.tool_call_id:
            message.name = names.get(message.tool_call_id) or before.name
        else:
            wanted.append(message)
    end = LAST
    while any(message.tool_call_id not in names for message in wanted):
        (records,) = yield [Scan(site.paths.memory, FIRST, end, reverse=True, limit=_PAGE)]
        for record in records:
            if record.body().get("type") == "ai" and record.key not in rewritten:
                names = _names(read_message(site.values, record)) | names
        if len(records) < _PAGE:
            break
        end = records[-1].key
    for message in wanted:
        message.name = names.get(message.tool_call_id)


def _names(message: BaseMessage) -> dict[str, str]:
    """The names of the tools that a message calls, by the ids of the calls."""
    if not isinstance(message, AIMessage):
        return {}
    calls = (*message.tool_calls, *message.invalid_tool_calls)
    return {call["id"]: call["name"] for call in calls if call["id"] and call["name"]}
