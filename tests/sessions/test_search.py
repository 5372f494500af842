"""Sessions found by the words of their names and messages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, MessagesState, StateGraph
from tests.sessions.conftest import Call
from tests.sessions.test_travel import chat, config, say

from threadloom import InvalidKey, SessionManager, SessionQuery
from threadloom.store import Store
from threadloom.testing import FrozenClock

pytestmark = pytest.mark.operation("search_sessions")


def found(matches: object) -> list[str]:
    return [match.session.id for match in matches]  # type: ignore[attr-defined]


async def test_names_and_both_doors(sessions: SessionManager, call: Call) -> None:
    sessions.create_session(id="name", name="A trip to Oslo")
    sessions.memory("history").add_user_message("how far is oslo?")
    chat(sessions).invoke(say("OSLO in winter"), config("graph"))
    chat(sessions).invoke(say("a long text about Oslo " * 20), config("long"))
    sessions.create_session(id="other", name="Bergen")
    assert set(found(await call("search_sessions", "oslo"))) == {
        "name",
        "history",
        "graph",
        "long",
    }
    assert found(await call("search_sessions", "bergen")) == ["other"]
    assert await call("search_sessions", "trondheim") == []


async def test_the_best_comes_first_with_a_snippet(sessions: SessionManager, call: Call) -> None:
    filler = "one two three four five six seven eight nine ten " * 8
    sessions.memory("once").add_user_message(f"{filler} glacier {filler}")
    sessions.memory("often").add_user_message("glacier, glacier and glacier")
    matches = await call("search_sessions", "Glacier")
    assert found(matches) == ["often", "once"]
    assert matches[0].score > matches[1].score > 0
    assert matches[0].snippet == "glacier, glacier and glacier"
    assert "glacier" in matches[1].snippet
    assert matches[1].snippet.startswith("…")
    assert matches[1].snippet.endswith("…")
    assert len(matches[1].snippet) < 140


@pytest.mark.parametrize(
    "text", ['"', "*", "oslo*", 'NEAR("oslo")', "oslo AND bergen", "(", "-oslo"]
)
async def test_text_is_never_query_syntax(sessions: SessionManager, call: Call, text: str) -> None:
    sessions.memory("o").add_user_message("oslo")
    sessions.memory("b").add_user_message("bergen")
    expected = {"o"} if "oslo" in text.lower() else set()
    if "bergen" in text:
        expected.add("b")
    assert set(found(await call("search_sessions", text))) == expected


@pytest.mark.parametrize("text", ["", "  ", "\n"])
async def test_blank_text_lists(
    sessions: SessionManager, call: Call, clock: FrozenClock, text: str
) -> None:
    for id in ("a", "b", "c"):
        sessions.create_session(id=id, owner="x" if id == "b" else None)
        clock.advance(1)
    assert found(await call("search_sessions", text)) == ["c", "b", "a"]
    assert found(await call("search_sessions", SessionQuery(text=text, owner="x"))) == ["b"]
    assert found(await call("search_sessions", SessionQuery(text=text, limit=2))) == ["c", "b"]


async def test_the_limit_holds(sessions: SessionManager, call: Call) -> None:
    for number in range(60):
        sessions.create_session(id=f"{number}", name="same words")
    assert len(await call("search_sessions", "same")) == 50
    assert len(await call("search_sessions", SessionQuery(text="same", limit=55))) == 55
    assert len(await call("search_sessions", SessionQuery(text="same", limit=100))) == 60
    assert await call("search_sessions", SessionQuery(text="same", limit=0)) == []


async def test_many_hits_of_one_session_hide_nobody(sessions: SessionManager, call: Call) -> None:
    sessions.memory("loud").add_messages([HumanMessage("needle")] * 1)
    sessions.memory("loud").add_messages([HumanMessage("needle", id=str(n)) for n in range(400)])
    sessions.memory("quiet").add_user_message("a needle in a haystack of many other words")
    assert found(await call("search_sessions", SessionQuery(text="needle", limit=2))) == [
        "loud",
        "quiet",
    ]


async def test_filters(sessions: SessionManager, call: Call, clock: FrozenClock) -> None:
    sessions.create_session(id="a", name="words", owner="ana", tags=["x"])
    clock.advance(10)
    sessions.create_session(id="b", name="words", owner="ben", metadata={"k": 1})
    late = clock() - timedelta(seconds=5)
    for query, ids in (
        (SessionQuery(text="words", owner="ana"), ["a"]),
        (SessionQuery(text="words", tags=("x",)), ["a"]),
        (SessionQuery(text="words", metadata={"k": 1}), ["b"]),
        (SessionQuery(text="words", created_since=late), ["b"]),
        (SessionQuery(text="words", status="running"), []),
    ):
        assert found(await call("search_sessions", query)) == ids
    with pytest.raises(InvalidKey):
        await call(
            "search_sessions", SessionQuery(text="words", created_since=late.replace(tzinfo=None))
        )
    with pytest.raises(InvalidKey):
        await call("search_sessions", 3)


async def test_what_is_gone_is_not_found(sessions: SessionManager, call: Call) -> None:
    memory = sessions.memory("h")
    memory.add_user_message("first")
    memory.update_last(HumanMessage("second"))
    assert found(await call("search_sessions", "first")) == []
    assert found(await call("search_sessions", "second")) == ["h"]
    memory.remove_last()
    assert found(await call("search_sessions", "second")) == []

    def edit(state: MessagesState) -> dict[str, object]:
        asked = state["messages"][-1]
        return {"messages": [RemoveMessage(id=asked.id or ""), AIMessage("replaced")]}

    builder = StateGraph(MessagesState)
    builder.add_node("edit", edit)
    builder.add_edge(START, "edit")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    graph.invoke(say("removed"), config("g"))
    assert found(await call("search_sessions", "removed")) == []
    assert found(await call("search_sessions", "replaced")) == ["g"]
    sessions.delete_session("g")
    assert found(await call("search_sessions", "replaced")) == []


async def test_languages_without_spaces(sessions: SessionManager, call: Call) -> None:
    sessions.memory("ja").add_user_message("来年の夏に大阪城を見に行きたいです")
    sessions.memory("th").add_user_message("ฉันอยากไปเที่ยวเชียงใหม่")
    assert found(await call("search_sessions", "大阪")) == ["ja"]
    assert "大阪" in (await call("search_sessions", "大阪"))[0].snippet
    assert found(await call("search_sessions", "เชียงใหม่")) == ["th"]


async def test_only_sessions_of_the_tenant(store: Store) -> None:
    for tenant in (None, "a", "b"):
        SessionManager(store, tenant=tenant).create_session(id=f"of {tenant}", name="words")
    for tenant in (None, "a", "b"):
        ids = found(SessionManager(store, tenant=tenant).search_sessions("words"))
        assert ids == [f"of {tenant}"]


async def test_a_graphs_own_memory_is_not_searched(sessions: SessionManager, call: Call) -> None:
    sessions.store.put(("notes",), "k", {"text": "needle"})
    assert await call("search_sessions", "needle") == []
