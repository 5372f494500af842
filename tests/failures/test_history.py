"""History: appends, streamed chunks, prepended histories, errors, trimming, summaries."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from threadloom import (
    CorruptRecord,
    SessionManager,
    StoreClosed,
    StoreUnavailable,
    UntrustedType,
    open_store,
)
from threadloom.history.trimming import last, safe_starts, within
from threadloom.ops import WRITES, ListNamespaces, Put, Scan
from threadloom.store import Store
from threadloom.testing import FaultyStore

from .helpers import Door, Program, chat_graph, config, texts

# Each append rewrites the conversation


class Weighed(FaultyStore):
    """Knows how much was asked for, read and written."""

    read = 0
    written = 0

    def execute(self, ops: Any, /) -> Any:
        return self._weigh(ops, super().execute(ops))

    async def aexecute(self, ops: Any, /) -> Any:
        return self._weigh(ops, await super().aexecute(ops))

    def _weigh(self, ops: Any, results: list[Any]) -> list[Any]:
        self.written += sum(len(repr(op)) for op in ops if isinstance(op, WRITES))
        self.read += sum(len(repr(result)) for result in results)
        return results

    def cost(self, action: Callable[[], Any]) -> tuple[int, int, int, int]:
        before = (self.batches, self.ops, self.written, self.read)
        action()
        after = (self.batches, self.ops, self.written, self.read)
        return tuple(now - then for now, then in zip(after, before, strict=True))  # type: ignore[return-value]


@pytest.mark.operation("memory.append", "memory.add_messages", "memory.update_last")
@pytest.mark.parametrize("source", ["history", "graph"])
def test_an_append_costs_the_same_however_long_the_history_is(
    do: Door, store: Store, source: Any
) -> None:
    weighed = Weighed(store)
    history = SessionManager(weighed).memory("s", source=source)
    do(history, "add_messages", [HumanMessage("the beginning"), AIMessage("of it")])
    costs = []
    for size in (1, 50, 400):
        do(history, "add_messages", [HumanMessage(f"{n} " * 100) for n in range(size)])
        appended = weighed.cost(
            lambda: do(history, "add_messages", [HumanMessage("q"), AIMessage("a")])
        )
        replaced = weighed.cost(lambda: do(history, "update_last", AIMessage("b")))
        costs.append((*appended[:2], *replaced[:2]))
        assert max(*appended[2:], *replaced[2:]) < 5_000  # a conversation of 130,000 at the end
    assert len(set(costs)) == 1
    if source == "history":
        assert costs[0][0] <= 2
        assert costs[0][1] <= 12


# Streamed chunks of unknown type


class ProviderChunk(AIMessageChunk):
    """A chunk of a provider's own."""

    fingerprint: str = ""


@pytest.mark.operation("memory.update_last")
@pytest.mark.parametrize("source", ["history", "graph"])
def test_streamed_chunks_are_of_no_unknown_type(do: Door, url: str, source: Any) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("a streamed answer")]))
    with open_store(url) as store:
        sessions = SessionManager(store)
        history = sessions.memory("s", source=source)
        do(history, "add_messages", [HumanMessage("q")])
        whole: AIMessageChunk | None = None
        for chunk in do(model, "stream", "q"):
            assert isinstance(chunk, AIMessageChunk)
            if whole is None:
                whole = chunk
                do(history, "add_messages", [whole])
            else:
                whole = whole + chunk
                assert do(history, "update_last", whole) is True
            assert texts(do.history(history)) == ["q", whole.text]
        assert do(sessions, "get_session", "s").message_count == 2
        do(history, "add_messages", [ProviderChunk("own", id="p", fingerprint="f")])
        # Memory does not outlive its store, but everything above it begins anew.
        with nullcontext(store) if url == "memory://" else open_store(url) as later:
            again = SessionManager(later)
            for found in (
                do.history(again.memory("s", source=source)),
                do(again, "messages", "s"),
            ):
                assert texts(found) == ["q", "a streamed answer", "own"]
                if source == "history":  # LangGraph makes messages of chunks
                    assert found[1] == whole
                    assert type(found[2]) is ProviderChunk
                    assert found[2].fingerprint == "f"


# Prepended history stored twice


def chain_of(model: Any, history: Callable[[str], Any]) -> Any:
    """A chain that gets the history in front of its input."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RunnableWithMessageHistory(model, history)


VIEWS: dict[str, dict[str, Any]] = {
    "history": {},
    "window": {"window": 3},
    "max_tokens": {"max_tokens": 20},
    "summary": {"window": 2, "summarize_with": FakeListChatModel(responses=["sum"])},
    "graph": {"source": "graph"},
    "graph window": {"source": "graph", "window": 3},
}


@pytest.mark.operation("memory", "memory.add_messages")
@pytest.mark.parametrize("view", VIEWS)
def test_a_history_that_a_chain_prepends_is_stored_once(
    do: Door, sessions: SessionManager, view: str
) -> None:
    given: list[list[str]] = []

    def answer(messages: Any) -> AIMessage:
        given.append(texts(messages))
        return AIMessage(f"re: {messages[-1].text}")

    chain = chain_of(RunnableLambda(answer), lambda id: sessions.memory(id, **VIEWS[view]))
    wanted: list[str] = []
    for number in range(6):
        do(chain, "invoke", [HumanMessage(f"q{number}")], {"configurable": {"session_id": "s"}})
        wanted += [f"q{number}", f"re: q{number}"]
        assert texts(do(sessions, "messages", "s")) == wanted
        assert given[-1][-1] == f"q{number}"
    if view in ("history", "graph"):
        assert given[-1] == wanted[:-1]
    else:
        assert 1 < len(given[-1]) < len(wanted) - 1


@pytest.mark.operation("memory.add_messages")
def test_a_conversation_that_comes_back_whole_is_stored_once(do: Door, url: str) -> None:
    with open_store(url) as store:
        for number in range(3):
            with nullcontext(store) if url == "memory://" else open_store(url) as opened:
                sessions = SessionManager(opened)
                before = do.history(sessions.memory("s"))
                new = [HumanMessage(f"q{number}"), AIMessage(f"a{number}")]
                do(sessions.memory("s"), "add_messages", [*before, *new])
                do(sessions.memory("s"), "add_messages", [*before, *new])
                # The graph gets it, too, and what the graph says goes into the history.
                graph = chat_graph(sessions.checkpointer())
                asked = [*do.history(sessions.memory("s")), HumanMessage(f"g{number}")]
                state = do(graph, "invoke", {"messages": asked}, config("s"))
                do(sessions.memory("s"), "add_messages", state["messages"])
        sessions = SessionManager(store)
        wanted = [f"{word}{n}" for n in range(3) for word in ("q", "a", "g", "re: g")]
        assert texts(do(sessions, "messages", "s")) == wanted
        assert texts(do.history(sessions.memory("s"))) == wanted
        assert texts(do.history(sessions.memory("s", source="graph"))) == wanted
        assert do(sessions, "get_session", "s").message_count == 12


# Errors read as an empty conversation

Reader = Callable[[SessionManager, Door], Any]
READERS: dict[str, Reader] = {
    "messages of the session": lambda s, do: do(s, "messages", "s"),
    "a page of the session": lambda s, do: do(s, "messages", "s", limit=2),
    "whole session": lambda s, do: do(s, "load_session", "s").messages,
    "load": lambda s, do: do(s.memory("s"), "load"),
    "load a page": lambda s, do: do(s.memory("s"), "load", 1, "h2"),
    "timestamps": lambda s, do: do(s.memory("s"), "load_with_timestamps"),
    **{view: lambda s, do, view=view: do.history(s.memory("s", **VIEWS[view])) for view in VIEWS},
    "graph state": lambda s, do: do(chat_graph(s.checkpointer()), "get_state", config("s")).values[
        "messages"
    ],
}


class Own(HumanMessage):
    """A message of the application's own."""


@pytest.fixture
def talk(store: Store) -> FaultyStore:
    """A store with a conversation in it, by both doors."""
    sessions = SessionManager(store)
    graph = chat_graph(sessions.checkpointer())
    for number in range(2):
        graph.invoke({"messages": [Own(f"g{number}" * 40, id=f"g{number}")]}, config("s"))
    for number in range(4):
        sessions.memory("s").append(Own(f"h{number}", id=f"h{number}"))
    sessions.memory("s").set_summary("so far")
    return FaultyStore(store)


@pytest.mark.operation("memory", "messages", "load_session")
@pytest.mark.parametrize("reader", READERS)
def test_a_store_that_fails_is_never_an_empty_conversation(
    do: Door, talk: FaultyStore, reader: str
) -> None:
    """Whichever of the reader's batches it is that fails."""
    expected = READERS[reader](SessionManager(talk), do)
    assert expected
    for number in range(1, 30):
        talk.fail_next(number)
        try:
            found = READERS[reader](SessionManager(talk), do)
        except StoreUnavailable:
            continue
        assert number > 1
        assert found == expected
        talk.disarm()
        break
    else:
        raise AssertionError("it never came to an end")
    talk.close()
    with pytest.raises(StoreClosed):
        READERS[reader](SessionManager(talk), do)


@pytest.mark.operation("memory", "messages", "load_session")
@pytest.mark.parametrize("reader", READERS)
def test_damage_is_never_an_empty_conversation(do: Door, talk: FaultyStore, reader: str) -> None:
    """Of all records at once that hold messages, of either door."""
    assert READERS[reader](SessionManager(talk), do)
    (names,) = talk.execute([ListNamespaces()])
    for name in names:
        if name[0] == "memory" or (name[0] == "checkpoints" and name[-1].startswith("~")):
            (records,) = talk.execute([Scan(name)])
            talk.execute(
                [Put(name, r.key, doc=r.doc, blob=b"\x01\xc1", text=r.text) for r in records]
            )
    anew = SessionManager(FaultyStore(talk.inner))  # which remembers nothing
    with pytest.raises(CorruptRecord):
        READERS[reader](anew, do)


@pytest.mark.operation("memory", "messages", "load_session")
@pytest.mark.parametrize("reader", READERS)
def test_a_type_that_is_not_trusted_is_never_an_empty_conversation(
    do: Door, talk: FaultyStore, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")
    with pytest.raises(UntrustedType, match="Own"):
        READERS[reader](SessionManager(talk), do)
    allowed = SessionManager(FaultyStore(talk.inner), allow=[Own])
    assert READERS[reader](allowed, do)


@pytest.mark.operation("memory")
@pytest.mark.parametrize("source", ["history", "graph"])
def test_a_chain_does_not_begin_anew_where_its_history_cannot_be_read(
    do: Door, talk: FaultyStore, source: Any
) -> None:
    asked: list[Any] = []
    sessions = SessionManager(talk)
    chain = chain_of(RunnableLambda(asked.append), lambda id: sessions.memory(id, source=source))
    before = do(sessions, "messages", "s")
    talk.fail_next()
    with pytest.raises(StoreUnavailable):
        do(chain, "invoke", [HumanMessage("q")], {"configurable": {"session_id": "s"}})
    assert asked == []
    assert do(sessions, "messages", "s") == before


# Trimming splits a tool call from its result


def call_of(*ids: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": id} for id in ids])


def result(id: str) -> ToolMessage:
    return ToolMessage(f"result {id}", tool_call_id=id)


TALK: list[BaseMessage] = [
    SystemMessage("be kind"),
    HumanMessage("one"),
    call_of("a", "b"),
    result("a"),
    result("b"),
    AIMessage("done"),
    HumanMessage("two"),
    AIMessage("two done"),
]


@pytest.mark.operation("memory")
@pytest.mark.parametrize(
    ("window", "shown"),
    [
        (1, [0, 7]),
        (3, [0, 5, 6, 7]),
        (4, [0, *range(2, 8)]),
        (5, [0, *range(2, 8)]),
        (6, [0, *range(2, 8)]),
        (7, [*range(8)]),
        (50, [*range(8)]),
    ],
)
def test_a_window_never_parts_a_result_from_its_call(
    do: Door, sessions: SessionManager, window: int, shown: list[int]
) -> None:
    sessions.memory("s").add_messages(TALK)
    history = sessions.memory("s", window=window)
    assert do.history(history) == [TALK[at] for at in shown]
    assert history.load() == TALK
    assert sessions.messages("s") == TALK


@pytest.mark.operation("memory")
def test_a_window_of_a_long_history_never_parts_a_result_from_its_call(
    do: Door, sessions: SessionManager
) -> None:
    long = [SystemMessage("be kind")]
    long += [HumanMessage(f"{number}") for number in range(100)]
    sessions.memory("s").add_messages(long)
    assert texts(do.history(sessions.memory("s", window=2))) == ["be kind", "98", "99"]
    many = [call_of(*map(str, range(60))), *(result(f"{number}") for number in range(60))]
    sessions.memory("t").add_messages([*long, *many])
    assert do.history(sessions.memory("t", window=2)) == [long[0], *many]


@pytest.mark.operation("memory")
def test_a_budget_never_parts_a_result_from_its_call(do: Door, sessions: SessionManager) -> None:
    sessions.memory("s").add_messages(TALK)

    def counter(messages: Sequence[BaseMessage]) -> int:
        return 10 * len(messages)

    for budget, shown in ((30, [0, 6, 7]), (79, [0, *range(2, 8)]), (80, [*range(8)]), (1, [0, 7])):
        history = sessions.memory("s", max_tokens=budget, token_counter=counter)
        assert do.history(history) == [TALK[at] for at in shown]
    assert do.history(sessions.memory("s", max_tokens=100_000)) == TALK


parts = st.lists(st.sampled_from(["human", "ai", "call", "result"]), max_size=14)


@settings(max_examples=300)
@given(parts, st.integers(1, 14), st.booleans())
def test_every_result_comes_with_its_call(kinds: list[str], number: int, system: bool) -> None:
    messages: list[BaseMessage] = [SystemMessage("s")] if system else []
    calls: list[str] = []
    for at, kind in enumerate(kinds):
        if kind == "call":
            calls.append(f"c{at}")
            messages.append(call_of(f"c{at}"))
        elif kind == "result" and calls:
            messages.append(result(calls[at % len(calls)]))
        else:
            messages.append(HumanMessage(f"{at}"))
    for cut in (last(messages, number), within(messages, number, len)):
        assert [*cut.system, *cut.left_out, *cut.rest] == messages
        made = {call["id"] for message in cut.rest for call in getattr(message, "tool_calls", ())}
        assert all(m.tool_call_id in made for m in cut.rest if isinstance(m, ToolMessage))
    assert len(last(messages, number).rest) >= min(number, len(messages) - system)
    assert safe_starts(messages)[-1] == len(messages)


def agent(saver: Any) -> Any:
    """A graph that calls two tools at once, and a third one after them, for each question."""

    def look_up(word: str) -> str:
        """Look a word up."""
        return f"about {word}"

    def think(state: MessagesState) -> dict[str, Any]:
        messages = state["messages"]
        asked = max(at for at, m in enumerate(messages) if isinstance(m, HumanMessage))
        step = sum(isinstance(m, AIMessage) for m in messages[asked:])
        words = [("a", "b"), ("c",), ()][step]
        calls: Any = [
            {"name": "look_up", "args": {"word": word}, "id": f"{asked} {word}"} for word in words
        ]
        return {"messages": [AIMessage("" if calls else "done", tool_calls=calls)]}

    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_node("tools", ToolNode([look_up]))
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", tools_condition)
    builder.add_edge("tools", "think")
    return builder.compile(checkpointer=saver)


def assert_whole(shown: Sequence[BaseMessage]) -> None:
    """Every result with its call before it, every call with its result behind it."""
    called = [call["id"] for m in shown if isinstance(m, AIMessage) for call in m.tool_calls]
    assert sorted(called) == sorted(m.tool_call_id for m in shown if isinstance(m, ToolMessage))
    known: set[str | None] = set()
    for message in shown:
        known |= {call["id"] for call in getattr(message, "tool_calls", ())}
        assert not isinstance(message, ToolMessage) or message.tool_call_id in known


@pytest.mark.operation("memory")
def test_no_view_of_an_agents_conversation_parts_a_call_from_its_result(
    do: Door, sessions: SessionManager
) -> None:
    graph = agent(sessions.checkpointer())
    for question in range(3):
        state = do(graph, "invoke", {"messages": [f"q{question}"]}, config("g"))
        do(sessions.memory("s"), "add_messages", state["messages"])
    assert len(state["messages"]) == 21
    views: list[dict[str, Any]] = [
        *({"window": size} for size in range(1, 23)),
        *({"max_tokens": size, "token_counter": len} for size in range(1, 23)),
    ]
    shortest = 21
    for view in views:
        for history in (sessions.memory("s", **view), sessions.memory("g", source="graph", **view)):
            shown = do.history(history)
            assert_whole(shown)
            assert shown == state["messages"][-len(shown) :]
            shortest = min(shortest, len(shown))
    assert shortest == 1
    for size in range(1, 8):
        do(sessions.memory("s"), "clear")
        view = sessions.memory("s", window=size, summarize_with=RunnableLambda(lambda _: "sum"))
        for message in state["messages"]:
            do(view, "add_messages", [message])
            if message.text == "done":
                assert_whole(do.history(view))
        assert do(view, "get_summary") == "sum"


# Summaries kept only in memory while the originals are deleted


def fill(sessions: SessionManager, many: int) -> list[str]:
    wanted = [f"m{number}" for number in range(many)]
    sessions.memory("s").add_messages([HumanMessage(text) for text in wanted])
    return wanted


def asks_nobody(messages: Any) -> Any:
    raise AssertionError("the summary is there already")


@pytest.mark.operation("memory", "memory.get_summary")
def test_a_summary_is_stored_and_no_original_is_deleted(do: Door, url: str) -> None:
    with open_store(url) as store:
        sessions = SessionManager(store)
        wanted = fill(sessions, 6)
        told: list[str] = []

        def sum_up(messages: list[BaseMessage]) -> AIMessage:
            told.append(messages[-1].text)
            return AIMessage(f"sum {len(told)}")

        shown = do.history(sessions.memory("s", window=2, summarize_with=RunnableLambda(sum_up)))
        assert texts(shown)[1:] == ["m4", "m5"]
        assert all(text in told[0] for text in wanted[:4])
        with nullcontext(store) if url == "memory://" else open_store(url) as opened:
            later = SessionManager(opened)
            view = later.memory("s", window=2, summarize_with=RunnableLambda(asks_nobody))
            assert do.history(view) == shown
            assert do(later.memory("s"), "get_summary") == "sum 1"
            assert texts(do.history(later.memory("s"))) == wanted
            # What comes later is summed up on top of it, and nothing is deleted then either.
            do(later.memory("s"), "add_messages", [HumanMessage("m6"), HumanMessage("m7")])
            again = later.memory("s", window=2, summarize_with=RunnableLambda(sum_up))
            assert texts(do.history(again))[1:] == ["m6", "m7"]
            assert "sum 1" in told[1]
            assert "m0" not in told[1]
            assert texts(do(later, "messages", "s")) == [*wanted, "m6", "m7"]


@pytest.mark.operation("memory", "memory.get_summary")
@pytest.mark.parametrize("moment", ["model", "afterwards"])
def test_a_process_that_is_killed_while_it_sums_up_loses_nothing(
    do: Door, file_url: str, moment: str
) -> None:
    with SessionManager(file_url) as sessions:
        wanted = fill(sessions, 6)
        with Program("summing", file_url, do.kind, moment) as program:
            assert program.line() == "in"
            program.kill()
        assert texts(do.history(sessions.memory("s"))) == wanted
        stored = do(sessions.memory("s"), "get_summary")
        assert stored == (None if moment == "model" else "the sum")
        model = RunnableLambda(asks_nobody if stored else lambda messages: "a sum")
        shown = texts(do.history(sessions.memory("s", window=2, summarize_with=model)))
        assert (stored or "a sum") in shown[0]
        assert shown[1:] == ["m4", "m5"]
        assert texts(do(sessions, "messages", "s")) == wanted


def test_of_a_long_history_a_view_counts_little() -> None:
    """A view of the last tokens costs what it shows, not the square of what is there."""
    history: list[BaseMessage] = [SystemMessage("s")]
    history += [HumanMessage("x" * (1 + number % 7)) for number in range(3_000)]
    counted = 0

    def counter(messages: list[BaseMessage]) -> int:
        nonlocal counted
        counted += len(messages)
        return sum(len(message.text) for message in messages)

    for tokens in (0, 1, 5, 50, 400, 20_000):
        counted = 0
        shown = within(history, tokens, counter).shown
        assert counted < 12 * len(shown) + 10 or len(shown) == len(history)
        assert shown[0].text == "s"
        assert counter(shown) <= tokens or len(shown) == 2
        if len(shown) < len(history):
            longer = [shown[0], history[-len(shown)], *shown[1:]]
            assert counter(longer) > tokens
