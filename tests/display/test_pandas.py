"""Whatever has rows becomes a data frame."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pandas as pd
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import MissingAdapter, SessionManager


@pytest.fixture
def sessions() -> Iterator[SessionManager]:
    with SessionManager("memory://") as manager:
        yield manager


def test_sessions(sessions: SessionManager) -> None:
    trip = sessions.create_session(name="Oslo", tags=["a"], metadata={"budget": 900})
    sessions.create_session(owner="ben")
    table = sessions.list_sessions().to_pandas()
    assert table["id"][0] == trip.id
    assert table["tags"][0] == ("a",)
    assert table["metadata"][0] == {"budget": 900}
    assert isinstance(table["created_at"].dtype, pd.DatetimeTZDtype)
    assert len(table[table["owner"] == "ben"]) == 1


def test_matches(sessions: SessionManager) -> None:
    sessions.create_session(name="Oslo by train")
    table = sessions.search_sessions("train").to_pandas()
    assert list(table["name"]) == ["Oslo by train"]
    assert (table["score"] > 0).all()


def test_messages(sessions: SessionManager) -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    call = {"name": "weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}
    answer = AIMessage("yes", usage_metadata=usage, tool_calls=[call])
    sessions.memory("trip").add_messages([HumanMessage("there?"), answer])
    table = sessions.messages("trip").to_pandas()
    assert list(table["type"]) == ["human", "ai"]
    assert list(table["text"]) == ["there?", "yes"]
    assert table["tokens"][1] == 7
    assert table["tool_calls"][1] == [call]
    assert table["at"].notna().all()


def test_checkpoints_and_statistics(sessions: SessionManager) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("reply", lambda _: {"messages": [("ai", "yes")]})
    builder.add_edge(START, "reply")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    trip = sessions.create_session()
    graph.invoke({"messages": "there?"}, trip.config)
    tree = sessions.checkpoint_tree(trip)
    table = tree.to_pandas()
    assert list(table["id"]) == [node.id for node in tree.nodes]
    assert table["is_head"].sum() == 1
    assert table["marks"].iloc[-1] == ["head"]
    stats = sessions.stats(trip)
    assert stats.to_pandas()["bytes"].sum() == stats.bytes


def test_what_is_empty_has_columns(sessions: SessionManager) -> None:
    assert "name" in sessions.list_sessions().to_pandas().columns
    assert "text" in sessions.messages("unknown").to_pandas().columns
    assert "step" in sessions.checkpoint_tree("unknown").to_pandas().columns


def test_without_pandas_it_says_what_to_install(
    sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingAdapter, match="pip install pandas"):
        sessions.list_sessions().to_pandas()
