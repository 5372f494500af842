"""Servers that restart, connections that are ended, networks that are cut, processes that die."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from servers import postgres
from servers.proxy import Proxy
from threadloom import SessionManager
from threadloom.errors import StoreUnavailable, ThreadloomError
from threadloom.ops import Get, Patch, Put
from threadloom_postgres import PostgresStore

NS = ("notes",)
PROGRAM = Path(__file__).with_name("pg_programs.py")
_LONGEST = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    """A server that tests may end."""
    server = postgres.Postgres(fsync="on")
    yield server
    server.stop()


def _graph(sessions: SessionManager):  # type: ignore[no-untyped-def]
    def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [AIMessage(f"{len(state['messages'])}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=sessions.checkpointer())


class Load:
    """Graphs that run on sessions of their own, and a counter, until they are stopped."""

    def __init__(self, url: str, sessions: int = 3) -> None:
        self.store = PostgresStore(url)
        self.manager = SessionManager(self.store)
        self.done = [0] * sessions
        self.failed: list[BaseException] = []
        self._stop = threading.Event()
        self._graph = _graph(self.manager)
        self._turn(0)
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(sessions)
        ]
        for thread in self._threads:
            thread.start()

    def _turn(self, number: int) -> None:
        config = {"configurable": {"thread_id": f"s{number}"}}
        text = f"turn {self.done[number]}"
        self._graph.invoke({"messages": [("user", text)]}, config)
        self.done[number] += 1

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                self._turn(number)
            except BaseException as error:
                self.failed.append(error)
                time.sleep(0.05)

    def goes_on(self, turns: int = 2) -> None:
        """Wait until every session has had more turns."""
        wanted = [count + turns for count in self.done]
        deadline = time.monotonic() + _LONGEST
        while any(map(int.__lt__, self.done, wanted)):
            assert time.monotonic() < deadline, f"it hangs; so far {self.failed[-3:]}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; all that was done is there, and what failed said so."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_LONGEST)
            assert not thread.is_alive()
        for error in self.failed:
            assert isinstance(error, ThreadloomError), repr(error)
        for number, turns in enumerate(self.done):
            texts = [m.content for m in self.manager.messages(f"s{number}") if m.type == "human"]
            missing = {f"turn {turn}" for turn in range(turns)} - set(texts)
            assert not missing, (number, missing)
        report = self.manager.check()
        assert not report.problems, report
        self.store.close()


def _restarts(server: postgres.Postgres) -> None:
    server.restart()


def _dies(server: postgres.Postgres) -> None:
    server.kill()
    server.start()


def _ends_connections(server: postgres.Postgres) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for _ in range(20):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'threadloom'"
            )
            time.sleep(0.02)


@pytest.mark.parametrize("fault", [_restarts, _dies, _ends_connections])
def test_what_was_written_is_there(
    server: postgres.Postgres, fault: Callable[[postgres.Postgres], None]
) -> None:
    load = Load(server.url(schema=f"load{fault.__name__}"))
    load.goes_on()
    fault(server)
    load.goes_on()
    load.stop()


def test_a_network_that_is_cut_holds_nobody_up() -> None:
    proxy = Proxy(postgres.server().port)
    url = f"postgresql://{postgres.USER}@127.0.0.1:{proxy.port}/postgres?schema=cut"
    load = Load(f"{url}&timeout=2&connect_timeout=2&pool_timeout=3")
    load.goes_on()
    proxy.swallow()
    began = time.monotonic()
    while len(load.failed) < 3:
        assert time.monotonic() - began < _LONGEST
        time.sleep(0.05)
    assert time.monotonic() - began < 15
    proxy.heal()
    load.goes_on()
    load.stop()
    proxy.stop()


def test_an_idle_connection_that_was_ended_costs_no_call(
    pg_store: PostgresStore, pg_url: str
) -> None:
    pg_store.execute([Put(NS, "k", doc={"n": 0})])
    for turn in range(5):
        _ends_idle_connections()
        pg_store.execute([Patch(NS, "k", increment={"n": 1})])
        assert pg_store.execute([Get(NS, "k")])[0].doc == {"n": turn + 1}


def _ends_idle_connections() -> None:
    with psycopg.connect(postgres.database_url(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'threadloom'"
        )


def test_a_write_whose_outcome_is_not_known_says_so() -> None:
    proxy = Proxy(postgres.server().port)
    url = f"postgresql://{postgres.USER}@127.0.0.1:{proxy.port}/postgres?schema=unknown"
    with PostgresStore(f"{url}&timeout=0.5") as store:
        store.execute([Put(NS, "k", doc={"n": 0})])
        proxy.swallow()
        with pytest.raises(StoreUnavailable, match="may have been done, or not"):
            store.execute([Put(NS, "k", doc={"n": 1})])
        proxy.heal()
        assert store.execute([Get(NS, "k")])[0].doc in ({"n": 0}, {"n": 1})
    proxy.stop()


def _program(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.soak(full=20)
def test_a_killed_process_leaves_all_or_nothing(
    rounds: int, pg_store: PostgresStore, pg_url: str
) -> None:
    last = 0
    for turn in range(rounds):
        program = _program("pairs", pg_url, str(last))
        assert program.stdout is not None
        for _ in range(3 + turn % 5):
            last = int(program.stdout.readline())
        program.send_signal(signal.SIGKILL)
        with program:
            rest = program.stdout.read().split()
        last = int(rest[-1]) if rest else last
        one, other = pg_store.execute([Get(NS, "a"), Get(NS, "b")])
        assert one.doc == other.doc
        assert one.doc["n"] in (last, last + 1)
        last = one.doc["n"]


def test_a_stopped_process_wakes_and_is_refused(pg_store: PostgresStore, pg_url: str) -> None:
    pg_store.execute([Put(NS, "k", doc={"by": "old"})])
    program = _program("stale", pg_url)
    assert program.stdout is not None
    assert program.stdout.readline().strip() == "read"
    program.send_signal(signal.SIGSTOP)
    pg_store.execute([Put(NS, "k", doc={"by": "new"})])
    program.send_signal(signal.SIGCONT)
    assert program.communicate("go\n", timeout=60)[0].strip() == "refused"
    assert pg_store.execute([Get(NS, "k")])[0].doc == {"by": "new"}
