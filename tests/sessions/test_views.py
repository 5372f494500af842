"""Views of a history: options, summaries; and the graph's channel as a history."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.channels import DeltaChannel
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from tests.sessions.test_travel import chat, config, extend, say, texts
from typing_extensions import TypedDict

from threadloom import (
    InvalidKey,
    SessionConflict,
    SessionManager,
    SessionNotFound,
    UnsupportedByStore,
)


@pytest.mark.operation("memory")
@pytest.mark.parametrize(
    "options",
    [
        {"window": 0},
        {"window": True},
        {"max_tokens": -1},
        {"window": 1, "max_tokens": 1},
        {"source": "other"},
        {"source": "graph", "summarize_with": RunnableLambda(str)},
    ],
)
def test_options_that_make_no_sense(sessions: SessionManager, options: Any) -> None:
    with pytest.raises(InvalidKey):
        sessions.memory("s", **options)


async def seen(history: Any, kind: str) -> list[BaseMessage]:
    if kind == "async":
        found: list[BaseMessage] = await history.aget_messages()
        return found
    return list(history.messages)


class Asked:
    """A model that sums up, and remembers what it was asked."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.model = RunnableLambda(self._answer)

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        self.prompts.append(messages[-1].text)
        return AIMessage(f"summary {len(self.prompts)}")


@pytest.mark.operation("memory")
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_summaries_are_stored_and_grow(sessions: SessionManager, kind: str) -> None:
    asked = Asked()
    history = sessions.memory("s", window=2, summarize_with=asked.model)
    history.add_messages([SystemMessage("be kind")])
    for number in range(3):
        history.add_messages([HumanMessage(f"m{number}")])
    assert texts(await seen(history, kind)) == ["be kind", "m0", "m1", "m2"]
    assert asked.prompts == []
    history.add_messages([HumanMessage("m3")])
    shown = texts(await seen(history, kind))
    assert shown[0] == "be kind"
    assert "summary 1" in shown[1]
    assert shown[2:] == ["m2", "m3"]
    assert "m0" in asked.prompts[0]
    assert "m2" not in asked.prompts[0]
    assert texts(await seen(history, kind)) == shown
    assert len(asked.prompts) == 1
    assert history.get_summary() == "summary 1"
    history.add_messages([HumanMessage("m4"), HumanMessage("m5")])
    shown = texts(await seen(history, kind))
    assert "summary 2" in shown[1]
    assert shown[2:] == ["m4", "m5"]
    assert "summary 1" in asked.prompts[1]
    assert "m0" not in asked.prompts[1]
    assert texts(sessions.messages("s")) == ["be kind", *(f"m{n}" for n in range(6))]
    sessions.rewind_session("s", messages=6)
    assert history.get_summary() == "summary 2"
    sessions.rewind_session("s", messages=2)
    assert history.get_summary() is None


@pytest.mark.operation("memory")
async def test_a_model_that_fails_changes_nothing(sessions: SessionManager) -> None:
    def fail(messages: Any) -> Any:
        raise ConnectionError("no model")

    history = sessions.memory("s", window=1, summarize_with=RunnableLambda(fail))
    history.add_messages([HumanMessage(f"m{number}") for number in range(4)])
    with pytest.raises(ConnectionError):
        _ = history.messages
    assert history.get_summary() is None
    assert len(sessions.messages("s")) == 4


# The graph's channel as a history


def chain_of(sessions: SessionManager, *replies: str) -> Any:
    prompt = ChatPromptTemplate.from_messages(
        [MessagesPlaceholder("history"), ("human", "{question}")]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RunnableWithMessageHistory(
            prompt | FakeListChatModel(responses=list(replies)),
            lambda session_id: sessions.memory(session_id, source="graph"),
            input_messages_key="question",
            history_messages_key="history",
        )


@pytest.mark.operation("memory")
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_graph_and_chain_in_turns(sessions: SessionManager, kind: str) -> None:
    graph = chat(sessions)
    chain = chain_of(sessions, "chain 1", "chain 2", "chain 3")
    trip = sessions.create_session(id="s")
    expected: list[str] = []
    for turn in range(6):
        if turn % 2:
            if kind == "sync":
                chain.invoke({"question": f"q{turn}"}, trip.config)
            else:
                await chain.ainvoke({"question": f"q{turn}"}, trip.config)
            expected += [f"q{turn}", f"chain {turn // 2 + 1}"]
        else:
            graph.invoke(say(f"q{turn}"), trip.config)
            expected += [f"q{turn}", f"re q{turn}"]
        state = graph.get_state(trip.config)
        assert texts(state.values["messages"]) == expected
        assert state.next == ()
        assert sessions.messages("s") == state.values["messages"]
    history = sessions.memory("s", source="graph")
    ids = [message.id for message in sessions.messages("s")]
    assert [message.id for message in history.messages] == ids
    assert len(set(ids)) == 12
    assert sessions.memory("s").messages == []
    info = sessions.get_session("s")
    assert info is not None
    assert info.message_count == 12
    sources = [state.metadata["source"] for state in graph.get_state_history(trip.config)]
    assert sources.count("update") == 3
    steps = [state.metadata["step"] for state in graph.get_state_history(trip.config)]
    assert steps == sorted(steps, reverse=True)
    assert [match.session.id for match in sessions.search_sessions("chain")] == ["s"]


@pytest.mark.operation("memory")
async def test_a_chain_begins_and_the_graph_goes_on(sessions: SessionManager) -> None:
    sessions.memory("s", source="graph").add_messages([HumanMessage("hi"), AIMessage("hello")])
    graph = chat(sessions)
    graph.invoke(say("one"), config("s"))
    assert texts(graph.get_state(config("s")).values["messages"]) == [
        "hi",
        "hello",
        "one",
        "re one",
    ]
    assert len(list(graph.get_state_history(config("s")))) == 4


@pytest.mark.operation("memory")
async def test_the_channel_is_changed_like_a_history(sessions: SessionManager) -> None:
    graph = chat(sessions)
    graph.invoke(say("one"), config("s"))
    history = sessions.memory("s", source="graph")
    first = history.messages[0]
    history.add_messages([HumanMessage("other", id=first.id), AIMessage("more", id="m")])
    assert texts(history.messages) == ["other", "re one", "more"]
    with pytest.raises(InvalidKey):
        history.update_last(AIMessage("streamed", id=history.load()[0].id))
    assert history.update_last(AIMessage("streamed"))
    assert history.messages[-1] == AIMessage("streamed", id="m")
    assert texts(history.load(limit=2)) == ["re one", "streamed"]
    assert texts(history.load(before="m")) == ["other", "re one"]
    assert history.remove_last()
    history.add_messages([RemoveMessage(id=first.id or "")])
    assert texts(history.messages) == ["re one"]
    count = len(list(graph.get_state_history(config("s"))))
    history.add_messages([])
    assert len(list(graph.get_state_history(config("s")))) == count
    assert history.clear_messages() == 1
    assert not history.remove_last()
    assert not history.update_last(HumanMessage("x"))
    graph.invoke(say("two"), config("s"))
    assert texts(history.messages) == ["two", "re two"]
    assert [item.created_at for item in history.load_with_timestamps()] != []


@pytest.mark.operation("memory")
async def test_a_graph_in_the_middle_of_a_run_is_left_alone(sessions: SessionManager) -> None:
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(interrupt("?"))]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    graph.invoke(say("one"), config("s"))
    with pytest.raises(SessionConflict):
        sessions.memory("s", source="graph").add_messages([HumanMessage("no")])
    graph.invoke(Command(resume="yes"), config("s"))
    sessions.memory("s", source="graph").add_messages([HumanMessage("now")])
    assert texts(graph.get_state(config("s")).values["messages"]) == ["one", "yes", "now"]


class Deltas(TypedDict):
    messages: Annotated[list[Any], DeltaChannel(extend)]


@pytest.mark.operation("memory")
async def test_a_delta_channel_is_refused(sessions: SessionManager) -> None:
    builder = StateGraph(Deltas)
    builder.add_node("a", lambda state: {"messages": [AIMessage("a")]})
    builder.add_edge(START, "a")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    graph.invoke({"messages": [HumanMessage("one")]}, config("s"))
    history = sessions.memory("s", source="graph")
    with pytest.raises(UnsupportedByStore):
        _ = history.messages
    with pytest.raises(UnsupportedByStore):
        history.add_messages([HumanMessage("x")])


async def test_sessions_that_may_not_begin_by_themselves(sessions: SessionManager) -> None:
    strict = SessionManager(sessions._store, implicit_sessions=False)
    with pytest.raises(SessionNotFound):
        strict.memory("nobody", source="graph").add_messages([HumanMessage("x")])
    assert strict.memory("nobody", source="graph").messages == []


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_window_on_a_long_graph_begins_with_the_graphs_own_system_message(
    sessions: SessionManager, kind: str
) -> None:
    turns = [HumanMessage(f"q{number}") for number in range(60)]
    chat(sessions).update_state(
        config("s"), {"messages": [SystemMessage("be brief"), *turns]}, as_node="__start__"
    )
    sessions.memory("s").append(SystemMessage("of the other door"))
    history = sessions.memory("s", source="graph", window=3)
    assert texts(await seen(history, kind)) == ["be brief", "q57", "q58", "q59"]
