"""What a model is to see of a chat history: its end, and a summary of what came before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from langchain_core.messages import (
    BaseMessage,
    HumanMessage,
    SystemMessage,
    get_buffer_string,
)
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable

from threadloom.errors import InvalidKey, SerializationError
from threadloom.history.records import FIRST, LAST, Entry, read_entries
from threadloom.history.storing import read_message
from threadloom.history.summary import Summary, read_summary, set_summary
from threadloom.history.trimming import Counter, Trimmed, last, safe_starts, within
from threadloom.keys import SessionPaths
from threadloom.messages import text_of
from threadloom.ops import ABSENT, ExpectationFailed, Get, Scan
from threadloom.plans import Plan, arun, run
from threadloom.scope import Scope
from threadloom.store import Store
from threadloom.values import Values

Load = Callable[[int | None, str | None], Plan[list[tuple[BaseMessage, int]]]]

_SHOWN: Final = 20
"""Messages that are shown beside a summary where nobody says how many."""
_MORE: Final = 16
"""Messages that are read beside those of a window: it may have to begin further back."""
_TRIES: Final = 5
_INSTRUCTION: Final = (
    "You keep the summary of a conversation between a user and an assistant. Write a new summary "
    "that holds what the old one says and what the new messages add: facts, decisions, names, "
    "numbers, open questions. Write plain text, no more than a few paragraphs, and nothing else."
)
_HEADING: Final = "Summary of the conversation so far:\n"


class Seen(NamedTuple):
    """A history that is looked at.

    Attributes:
        store, scope, values, paths: where it is.
        load: reads its end.
        is_whole: whether that costs as much as all of it, as where it is a graph's.
    """

    store: Store
    scope: Scope
    values: Values
    paths: SessionPaths
    load: Load
    is_whole: bool = False


class View(NamedTuple):
    """How a history is looked at; see `Memory`."""

    window: int | None
    max_tokens: int | None
    counter: Counter
    model: Runnable[Any, Any] | None

    @classmethod
    def of(
        cls,
        *,
        window: int | None,
        max_tokens: int | None,
        token_counter: Counter | None,
        summarize_with: Runnable[Any, Any] | None,
    ) -> View | None:
        """A view, or None where nothing is asked for.

        Raises:
            InvalidKey: the options make no sense together.
        """
        for name, number in (("window", window), ("max_tokens", max_tokens)):
            if number is not None and (
                isinstance(number, bool) or not isinstance(number, int) or number < 1
            ):
                raise InvalidKey(f"{name} is a number of 1 or more, got {number!r}")
        if window is not None and max_tokens is not None:
            raise InvalidKey("a view has a window or max_tokens, not both")
        if window is None and max_tokens is None:
            if summarize_with is None:
                return None
            window = _SHOWN
        return cls(window, max_tokens, token_counter or count_tokens_approximately, summarize_with)

    def read(self, seen: Seen) -> list[BaseMessage]:
        """What a model is to see."""
        if self.model is None:
            return run(self._end(seen), seen.store)
        for _ in range(_TRIES):
            found = run(self._summed(seen), seen.store)
            if isinstance(found, list):
                return found
            text = _text(self.model.invoke(found.prompt()))
            run(_store(seen, found, text), seen.store)
        return run(self._end(seen), seen.store)

    async def aread(self, seen: Seen) -> list[BaseMessage]:
        """`read`, from an event loop."""
        if self.model is None:
            return await arun(self._end(seen), seen.store)
        for _ in range(_TRIES):
            found = await arun(self._summed(seen), seen.store)
            if isinstance(found, list):
                return found
            text = _text(await self.model.ainvoke(found.prompt()))
            await arun(_store(seen, found, text), seen.store)
        return await arun(self._end(seen), seen.store)

    def _cut(self, messages: Sequence[BaseMessage]) -> Trimmed:
        if self.window is not None:
            return last(messages, self.window)
        assert self.max_tokens is not None
        return within(messages, self.max_tokens, self.counter)

    def _end(self, seen: Seen) -> Plan[list[BaseMessage]]:
        """The end of a history; a window costs what it shows, however long the history is."""
        if self.window is None or seen.is_whole:
            pairs = yield from seen.load(None, None)
            return self._cut([message for message, _ in pairs]).shown
        size = self.window + _MORE
        while True:
            pairs = yield from seen.load(size, None)
            messages = [message for message, _ in pairs]
            if len(messages) < size:
                return self._cut(messages).shown
            starts = [at for at in safe_starts(messages) if at <= size - self.window]
            if _begins_whole(messages[max(starts, default=0) :]):
                first = yield from _first(seen)
                return [*first, *messages[max(starts) :]]
            size *= 4

    def _summed(self, seen: Seen) -> Plan[list[BaseMessage] | _Needed]:
        """What a model is to see, or what has to be summed up first."""
        summary = yield from read_summary(seen.values, seen.paths)
        pairs = yield from seen.load(None, None)
        entries = yield from read_entries(seen.paths)
        messages = [message for message, _ in pairs]
        covered = 0
        if summary is not None and summary.covers is not None:
            covered = sum(1 for entry in entries if entry.record.key <= summary.covers)
        system = messages[:1] if messages and isinstance(messages[0], SystemMessage) else []
        open_ = messages[max(covered, len(system)) :]
        cut = self._cut(open_)
        if cut.left_out and len(cut.left_out) >= len(cut.rest):
            end = max(covered, len(system)) + len(cut.left_out)
            if end <= len(entries):
                return _Needed(summary, cut.left_out, entries[end - 1])
        shown = list(open_)
        if summary is not None:
            shown = [SystemMessage(_HEADING + summary.text), *shown]
        return [*system, *shown]


class _Needed(NamedTuple):
    """Messages that have to be summed up."""

    summary: Summary | None
    messages: list[BaseMessage]
    end: Entry

    def prompt(self) -> list[BaseMessage]:
        before = "" if self.summary is None else f"The old summary:\n{self.summary.text}\n\n"
        new = get_buffer_string(self.messages)
        return [
            SystemMessage(_INSTRUCTION),
            HumanMessage(f"{before}The new messages:\n{new}\n\nThe new summary:"),
        ]


def _store(seen: Seen, needed: _Needed, text: str) -> Plan[None]:
    """Store a summary, unless somebody else was faster: then theirs stays."""
    try:
        yield from set_summary(
            seen.scope,
            seen.values,
            seen.paths,
            text,
            covers=needed.end.record.key,
            instead_of=ABSENT if needed.summary is None else needed.summary.version,
        )
    except ExpectationFailed:
        return


def _first(seen: Seen) -> Plan[list[BaseMessage]]:
    """The system message at the beginning of a history, if there is one."""
    records = yield [
        Get(seen.paths.sessions, seen.paths.id, blob=False),
        Scan(seen.paths.memory, FIRST, LAST, limit=1),
    ]
    if records[0] is None or not records[1]:
        return []
    message = read_message(seen.values, records[1][0])
    return [message] if isinstance(message, SystemMessage) else []


def _begins_whole(messages: Sequence[BaseMessage]) -> bool:
    """Whether no result of a tool is there whose call may stand further back."""
    return not _orphans(messages)


def _orphans(messages: Sequence[BaseMessage]) -> set[str]:
    calls: set[str] = set()
    orphans: set[str] = set()
    for message in messages:
        calls |= {call["id"] or "" for call in getattr(message, "tool_calls", ())}
        id = getattr(message, "tool_call_id", None)
        if id is not None and id not in calls:
            orphans.add(id)
    return orphans


def _text(answer: Any) -> str:
    """The text of a model's answer.

    Raises:
        SerializationError: it has none.
    """
    text = answer if isinstance(answer, str) else None
    if isinstance(answer, BaseMessage):
        text = text_of(answer)
    if text is None or not text.strip():
        raise SerializationError(f"the model that sums up answered without text: {answer!r:.80}")
    return text.strip()
