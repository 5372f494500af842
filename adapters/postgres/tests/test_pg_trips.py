"""Round trips: one for each step of a graph, and one for a page, however much there is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import SessionManager
from threadloom.ops import Get, Match, Patch, Put, Query, Scan
from threadloom_postgres import PostgresStore, driving
from threadloom_postgres.reads import Reads
from threadloom_postgres.wire import Statement

NS = ("notes",)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are sent, in order."""
    texts: list[str] = []
    send, asend = driving.send, driving.asend

    def noted(connection: Any, statement: Statement, seconds: float) -> Any:
        texts.append(statement.sql)
        return send(connection, statement, seconds)

    async def anoted(connection: Any, statement: Statement, seconds: float) -> Any:
        texts.append(statement.sql)
        return await asend(connection, statement, seconds)

    monkeypatch.setattr(driving, "send", noted)
    monkeypatch.setattr(driving, "asend", anoted)
    return texts


def _graph(sessions: SessionManager) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": [AIMessage("yes")]})
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=sessions.checkpointer())


def test_each_step_of_a_graph_is_one_trip(pg_store: PostgresStore, sent: list[str]) -> None:
    graph = _graph(SessionManager(pg_store))
    config: Any = {"configurable": {"thread_id": "s", "checkpoint_ns": ""}}
    for turn in range(4):
        sent.clear()
        graph.invoke({"messages": [("user", f"turn {turn}")]}, config)
    # A read to begin with; then a put or a put_writes each: input, its writes, and so on.
    assert len(sent) == 6
    assert not [text for text in sent if text.startswith(("BEGIN", "COMMIT"))]
    assert sum("write_1" in text for text in sent) == 5

    graph.checkpointer.get_tuple(config)
    sent.clear()
    found = graph.checkpointer.get_tuple(config)
    assert found is not None
    assert len(sent) == 1
    sent.clear()
    graph.checkpointer.put_writes(found.config, [("messages", [AIMessage("more")])], "task")
    assert len(sent) == 1


def test_an_event_loop_of_its_own_needs_no_more(pg_url: str, sent: list[str]) -> None:
    async def main() -> None:
        async with PostgresStore(pg_url) as store:
            graph = _graph(SessionManager(store))
            config: Any = {"configurable": {"thread_id": "s"}}
            for turn in range(4):
                sent.clear()
                await graph.ainvoke({"messages": [("user", f"turn {turn}")]}, config)
            assert len(sent) == 6

    asyncio.run(main())


@pytest.mark.parametrize(
    ("batch", "trips"),
    [
        ([Put(NS, str(number), text="word") for number in range(300)], 1),
        ([Get((*NS, str(number)), "k") for number in range(300)], 1),
        ([Get(NS, "a"), Scan(NS), Get(NS, "b")], 1),
        ([Put((f"n{number}",), "k") for number in range(300)], 1),
        ([Patch(NS, "1", increment={"n": 1}), Put(NS, "2", expect=None)], 1),
        ([Query(("sessions",), order_by="updated_at", limit=20)], 1),
        ([Query(NS, filter={"n": 1}, limit=5)], 1),
        ([Match((), "word")], 1),
        ([Match((), "word"), Scan(NS)], 4),
    ],
)
def test_trips_of_a_batch(
    pg_store: PostgresStore, sent: list[str], batch: list[Any], trips: int
) -> None:
    pg_store.execute([Put(NS, "1", doc={"n": 1})])
    sent.clear()
    pg_store.execute(batch)
    assert len(sent) == trips


@pytest.mark.parametrize("with_statistics", [False, True])
def test_a_page_of_many_sessions_costs_the_page(
    pg_url: str, pg_store: PostgresStore, with_statistics: bool
) -> None:
    at = ("sessions",)
    for start in range(0, 6_000, 1_000):
        docs = (
            (n, {"owner": f"o{n % 3}", "tags": [f"t{n % 2}"], "created_at": n, "updated_at": -n})
            for n in range(start, start + 1_000)
        )
        pg_store.execute([Put(at, f"s{n:05}", doc=doc) for n, doc in docs])
    if with_statistics:  # as a server makes them sooner or later
        with psycopg.connect(pg_url.partition("?")[0], autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    for filter in (None, {"owner": "o1"}, {"tags": {"$contains": "t1"}}):
        for order in ("created_at", "updated_at"):
            query = Query(at, filter=filter, order_by=order, descending=True, limit=20)
            page = pg_store.execute([query])[0]
            assert len(page) == 20
            assert _rows_read(pg_store, query) < 200, (filter, order)
            after = (page[-1].body()[order], page[-1].key)
            more = query._replace(after=after)
            assert pg_store.execute([more])[0][0].key not in {record.key for record in page}
            assert _rows_read(pg_store, more) < 200, (filter, order)
    many = [Get(at, f"s{n:05}") for n in range(0, 6_000, 60)]
    assert None not in pg_store.execute(many)
    assert _rows_read(pg_store, many) < 1_000


def test_a_page_goes_on_behind_what_has_expired(pg_url: str) -> None:
    time = datetime(2026, 3, 2, tzinfo=UTC)
    with PostgresStore(pg_url, clock=lambda: time) as store:
        _fill_with_expiring(store)
        time += timedelta(hours=1)
        query = Query(("sessions",), order_by="created_at", limit=5)
        found = store.execute([query])[0]
        assert [record.key for record in found] == [f"s{n:05}" for n in range(680, 685)]
        rare = query._replace(filter={"owner": "o", "updated_at": 699})
        assert [record.key for record in store.execute([rare])[0]] == ["s00699"]


def _fill_with_expiring(store: PostgresStore) -> None:
    end = store.now() + 1_000_000
    docs = [{"owner": "o", "created_at": n, "updated_at": n} for n in range(700)]
    store.execute(
        [
            Put(("sessions",), f"s{n:05}", doc=doc, expires_at=None if n >= 680 else end)
            for n, doc in enumerate(docs)
        ]
    )


def _rows_read(store: PostgresStore, reads: Query | list[Get]) -> int:
    """Rows that the server touches for the first statement of a read."""

    def explain() -> Any:
        seen = Reads(store._schema.quoted, store.now())
        reading = seen.points(reads) if isinstance(reads, list) else seen.read(reads)
        statement = next(reading)
        statement.sql = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.sql}"
        result = yield statement
        return result.get_value(0, 0)

    def total(node: dict[str, Any]) -> int:
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        return int(own) + sum(map(total, node.get("Plans", [])))

    return total(orjson.loads(store._pools.run(explain))[0]["Plan"])
