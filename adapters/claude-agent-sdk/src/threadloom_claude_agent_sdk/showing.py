"""How the lines of a transcript are shown as LangChain messages.

A transcript is a list of JSON objects, which the SDK calls entries. Most of them are the CLI's own
notes. Those of the types ``user`` and ``assistant`` are the conversation; what the model says at
once is one entry for each block of its content, and all of them have the same ``message.id``. The
results of tools that ran side by side may stand between the calls. So an answer of the model, and
the results of what it called, are a *round*: one AI message, then one message for each result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from threadloom import Shown, blocks

Entry = Mapping[str, Any]


def shows(entries: Sequence[Any]) -> Iterator[Shown]:
    """Show entries, in order.

    The last round is one group, because entries that are still to come may belong to it; as soon
    as something else follows, each of its messages is a group of its own. Results come without
    the names of their tools, which their calls have.
    """
    round: _Round | None = None
    for at, entry in enumerate(entries):
        if not is_shown(entry):
            continue
        if entry["type"] == "assistant":
            if round is not None and round.goes_on_with(entry):
                round.said.append((at, entry))
                continue
            if round is not None:
                yield from round.parts()
            round = _Round([(at, entry)])
        elif round is not None and round.is_answered_by(entry):
            round.results.append((at, entry))
        else:
            if round is not None:
                yield from round.parts()
            round = None
            if messages := _told(entry):
                yield Shown(at + 1, messages)
    if round is not None:
        yield from round.whole()


def is_shown(entry: Any) -> bool:
    """Whether an entry is part of the conversation.

    Nothing of a subagent's is, nothing that only the model or only the screen sees, and no
    summary that stands for what was said before.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("message"), dict):
        return False
    if entry.get("isSidechain") or entry.get("teamName"):
        return False
    if entry.get("type") == "assistant":
        return not entry.get("isMeta")
    if entry.get("type") != "user":
        return False
    hidden = ("isMeta", "isCompactSummary", "isVisibleInTranscriptOnly")
    return not any(entry.get(mark) for mark in hidden) or bool(answers(entry))


def calls(entry: Entry) -> dict[str, str]:
    """The names of the tools that an entry calls, by the ids of the calls."""
    return {
        _text(block.get("id")): _text(block.get("name"))
        for block in _blocks(entry)
        if block.get("type") == "tool_use" and entry.get("type") == "assistant"
    }


def answers(entry: Entry) -> list[str]:
    """The ids of the calls whose results an entry has."""
    return [
        _text(block.get("tool_use_id"))
        for block in _blocks(entry)
        if block.get("type") == "tool_result" and entry.get("type") == "user"
    ]


def response_id(entry: Entry) -> str | None:
    """What the entries of one answer of the model have in common."""
    message = entry.get("message")
    id = message.get("id") if isinstance(message, dict) else None
    return id if entry.get("type") == "assistant" and isinstance(id, str) and id else None


@dataclass
class _Round:
    """An answer of the model, and the results of its calls.

    Attributes:
        said: the entries of the answer, with their places.
        results: the entries with results, with theirs.
    """

    said: list[tuple[int, Entry]]
    results: list[tuple[int, Entry]] = field(default_factory=list)

    def goes_on_with(self, entry: Entry) -> bool:
        id = response_id(entry)
        return id is not None and id == response_id(self.said[0][1])

    def is_answered_by(self, entry: Entry) -> bool:
        called = {id for _, own in self.said for id in calls(own)}
        return any(id in called for id in answers(entry))

    def whole(self) -> Iterator[Shown]:
        """All of it as one group."""
        last = max(at for at, _ in (*self.said, *self.results))
        if messages := [*self._answer(), *self._results()]:
            yield Shown(last + 1, messages)

    def parts(self) -> Iterator[Shown]:
        """Each message as a group, with results that came before the answer's end in its first."""
        end = self.said[-1][0]
        early = [message for at, message in self._each_result() if at < end]
        if messages := [*self._answer(), *early]:
            yield Shown(end + 1, messages)
        late: dict[int, list[BaseMessage]] = {}
        for at, message in self._each_result():
            if at > end:
                late.setdefault(at, []).append(message)
        for at, shown in late.items():
            yield Shown(at + 1, shown)

    def _results(self) -> list[BaseMessage]:
        return [message for _, message in self._each_result()]

    def _each_result(self) -> list[tuple[int, BaseMessage]]:
        return [(at, message) for at, entry in self.results for message in _told(entry)]

    def _answer(self) -> list[BaseMessage]:
        """The AI message; none where nothing was said that can be shown."""
        said = [block for _, entry in self.said for block in _blocks(entry)]
        content = [part for block in said for part in _part(block)]
        called = [_call(block) for block in said if block.get("type") == "tool_use"]
        if not content and not called:
            return []
        entry = self.said[0][1]
        message = AIMessage(
            blocks.content(content),
            id=_id(entry),
            tool_calls=called,
            usage_metadata=self._usage(),
        )
        message.response_metadata = {
            name: value
            for name, value in (
                ("id", response_id(entry)),
                ("model_name", entry["message"].get("model")),
                ("stop_reason", self.said[-1][1]["message"].get("stop_reason")),
            )
            if isinstance(value, str)
        }
        return [message]

    def _usage(self) -> Any:
        """Tokens as LangChain counts them; the last entry knows best, for the answer streams."""
        told = [entry["message"].get("usage") for _, entry in self.said]
        usage = next((u for u in reversed(told) if isinstance(u, dict)), None)
        if usage is None:
            return None
        created = _count(usage, "cache_creation_input_tokens")
        read = _count(usage, "cache_read_input_tokens")
        return blocks.usage(
            _count(usage, "input_tokens") + created + read,
            _count(usage, "output_tokens"),
            of_input={"cache_creation": created, "cache_read": read},
        )


def _told(entry: Entry) -> list[BaseMessage]:
    """The messages of a user's entry: the results in it, and what the user says."""
    told = _blocks(entry)
    messages: list[BaseMessage] = []
    for block in told:
        if block.get("type") == "tool_result":
            messages.append(
                ToolMessage(
                    blocks.content(_parts(block.get("content"))),
                    tool_call_id=_text(block.get("tool_use_id")),
                    status="error" if block.get("is_error") is True else "success",
                    id=_id(entry, len(messages)),
                )
            )
    said = [block for block in told if block.get("type") != "tool_result"]
    content = [part for block in said for part in _part(block)]
    if content and not (messages and entry.get("isMeta")):
        messages.append(HumanMessage(blocks.content(content), id=_id(entry, len(messages))))
    return messages


def _blocks(entry: Entry) -> list[blocks.Block]:
    message = entry.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return _as_blocks(content)


def _as_blocks(content: Any) -> list[blocks.Block]:
    if isinstance(content, str):
        return [blocks.text(content)] if content else []
    if not isinstance(content, list):
        return []
    return [block for block in content if isinstance(block, dict)]


def _parts(content: Any) -> list[blocks.Block]:
    return [part for block in _as_blocks(content) for part in _part(block)]


def _part(block: blocks.Block) -> list[blocks.Block]:
    """A block as LangChain has it; nothing for calls, and for thoughts that have no text."""
    kind = block.get("type")
    if kind == "text":
        text = _text(block.get("text"))
        return [blocks.text(text)] if text else []
    if kind == "thinking":
        thought = _text(block.get("thinking"))
        return [{"type": "reasoning", "reasoning": thought}] if thought else []
    if kind in ("tool_use", "redacted_thinking"):
        return []
    source = block.get("source")
    if kind in ("image", "document") and isinstance(source, dict):
        shown: blocks.Kind = "image" if kind == "image" else "file"
        data = source.get("data")
        if source.get("type") == "base64" and isinstance(data, str):
            return [blocks.media(_text(source.get("media_type")), kind=shown, base64=data)]
        if source.get("type") == "text" and isinstance(data, str):
            return [{"type": "text-plain", "text": data, "mime_type": "text/plain"}]
        if source.get("type") == "url" and isinstance(source.get("url"), str):
            return [blocks.media(kind=shown, url=source["url"])]
    return [{"type": "non_standard", "value": block}]


def _call(block: blocks.Block) -> Any:
    given = block.get("input")
    return {
        "type": "tool_call",
        "id": _text(block.get("id")),
        "name": _text(block.get("name")),
        "args": given if isinstance(given, dict) else {"input": given},
    }


def _id(entry: Entry, number: int = 0) -> str | None:
    """The entry's id, for the first message that shows it; None where it has none."""
    uuid = entry.get("uuid")
    if not isinstance(uuid, str) or not uuid:
        return None
    return f"{uuid}/{number}" if number else uuid


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0
