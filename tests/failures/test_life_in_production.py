"""Life in production: forks, classes that change, tools, formats side by side, erasure."""

from __future__ import annotations

import importlib
import logging
import shutil
import sqlite3
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from kinds import SHARED, url_of
from threadloom import SchemaTooNew, SessionManager, UntrustedType, open_store

from .helpers import Door, chat_graph, config, put, rows, run_program, texts

FORKS = [
    "one child",
    "several children",
    "multiprocessing",
    "while another thread writes",
    "after async use",
    "while a loop works",
    "grandchild",
]


@pytest.mark.parametrize("kind", SHARED)
def test_a_process_forks_with_an_open_file(kind: str, tmp_path: Path) -> None:
    ways = [(how, url_of(kind, tmp_path, how)) for how in FORKS]
    assert run_program("forking", *chain(*ways)) == [f"{how}: ok" for how in FORKS]


def test_sqlites_own_check_finds_nothing(file: Path, file_url: str) -> None:
    """An operator who runs it on our file must not be frightened."""
    with SessionManager(file_url) as sessions:
        sessions.create_session(id="s", owner="ana", tags=["t"])
        sessions.memory("s").append(HumanMessage("x"))
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]


def test_a_process_forks_with_an_open_memory_store() -> None:
    ways = ["one child", "while another thread writes", "while a loop works"]
    found = run_program("forking", *chain(*((how, "memory://") for how in ways)))
    assert found == [f"{how}: ok" for how in ways]


# Classes

SHOP = """
    import dataclasses, enum, pydantic

    class Kind(enum.Enum):
        BOOK = "book"

    @dataclasses.dataclass
    class Line:
        what: str
        count: int

    class Order(pydantic.BaseModel):
        number: int
        kind: Kind
        lines: list[Line]
"""


@pytest.fixture
def write_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes a version of the application's module, imported here or only written."""
    folder = tmp_path / "lib"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = {"shop", "store_front"}

    def forget() -> None:
        for name in names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()

    def write(source: str, name: str = "shop", *, load: bool = True) -> Any:
        forget()
        (folder / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return importlib.import_module(name) if load else None

    yield write
    forget()


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that an application with classes of its own has filled, in its own process."""
    folder = tmp_path_factory.mktemp("application")
    (folder / "shop.py").write_text(textwrap.dedent(SHOP), encoding="utf-8")
    assert run_program("application", f"sqlite:///{folder}/s.db", path=folder) == []
    return folder / "s.db"


@pytest.fixture
def applied(application: Path, file: Path, file_url: str, write_shop: Callable[..., Any]) -> str:
    """A copy of what the application stored."""
    shutil.copy(application, file)
    return file_url


def test_the_application_itself_reads_its_classes(
    do: Door, applied: str, write_shop: Callable[..., Any]
) -> None:
    shop = write_shop(SHOP)
    with SessionManager(applied) as sessions:
        found = do(sessions.checkpointer(), "get_tuple", config("one"))
        order = found.checkpoint["channel_values"]["order"]
        assert order == shop.Order(number=7, kind=shop.Kind.BOOK, lines=[shop.Line("x", 2)])
        assert type(order.kind) is shop.Kind
        assert do.history(sessions.memory("one"))[0].additional_kwargs["order"] == shop.Line("y", 1)


def test_a_class_that_moved_is_found_by_its_alias(
    do: Door, applied: str, write_shop: Callable[..., Any]
) -> None:
    front = write_shop(SHOP.replace("Order", "Purchase"), "store_front")
    with SessionManager(applied) as sessions:
        with pytest.raises(UntrustedType, match="shop:") as caught:
            do(sessions.checkpointer(), "get_tuple", config("one"))
        assert "aliases" in str(caught.value)
    aliases = {
        "shop:Order": front.Purchase,
        "shop:Kind": front.Kind,
        "shop:Line": front.Line,
    }
    with SessionManager(applied, aliases=aliases) as sessions:
        found = do(sessions.checkpointer(), "get_tuple", config("one"))
        order = found.checkpoint["channel_values"]["order"]
        assert type(order) is front.Purchase
        assert order.lines == [front.Line("x", 2)]
        assert texts(do(sessions, "messages", "one")) == ["hi", "ok", "again", "ok", "h"]
        # It goes on being written under its new name.
        put(do, sessions.checkpointer(), "new", "1", order=order)
    with SessionManager(applied) as sessions:
        found = do(sessions.checkpointer(), "get_tuple", config("new"))
        assert type(found.checkpoint["channel_values"]["order"]) is front.Purchase


def test_a_class_that_gained_a_required_field_loads_and_warns(
    do: Door, applied: str, write_shop: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    # A difference is told once a process, so each door meets one of its own.
    price, customer = f"price_{do.kind}", f"customer_{do.kind}"
    shop = write_shop(
        SHOP.replace("count: int", f"count: int\n        {price}: float").replace(
            "number: int", f"number: int\n        {customer}: str\n        note: str = 'none'"
        )
    )
    with SessionManager(applied) as sessions, caplog.at_level(logging.WARNING, "threadloom"):
        found = do(sessions.checkpointer(), "get_tuple", config("one"))
        order = found.checkpoint["channel_values"]["order"]
        assert type(order) is shop.Order
        assert (order.number, order.kind, order.note) == (7, shop.Kind.BOOK, "none")
        assert (order.lines[0].what, order.lines[0].count) == ("x", 2)
        assert not hasattr(order.lines[0], price)
    warned = " ".join(record.getMessage() for record in caplog.records)
    assert customer in warned
    assert price in warned


def test_a_class_that_lost_a_field_loads_and_warns(
    do: Door, applied: str, write_shop: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    lost = "lines: list[Line]" if do.is_async else "number: int"
    shop = write_shop(SHOP.replace(lost, ""))
    with SessionManager(applied) as sessions, caplog.at_level(logging.WARNING, "threadloom"):
        found = do(sessions.checkpointer(), "get_tuple", config("one"))
        order = found.checkpoint["channel_values"]["order"]
        assert type(order) is shop.Order
        assert order.kind is shop.Kind.BOOK
    assert lost.split(":")[0] in " ".join(record.getMessage() for record in caplog.records)


def test_a_tool_without_the_applications_classes_works(do: Door, applied: str) -> None:
    assert "shop" not in sys.modules
    with SessionManager(applied) as sessions:
        saver = sessions.checkpointer()
        assert [info.id for info in do(sessions, "list_sessions")] == ["one", "two"]
        assert do(sessions, "count_sessions", status="idle") == 2
        assert do(sessions, "get_session", "one").message_count == 5
        do(sessions, "rename_session", "one", "seen")
        do(sessions, "tag_session", "one", "seen")
        with pytest.raises(UntrustedType):
            do(sessions, "messages", "one")
        do(saver, "copy_thread", "one", "copy")
        do(saver, "delete_for_runs", ["again"])
        do(saver, "prune", ["one"])
        do(sessions.memory("two"), "add_messages", [HumanMessage("from a tool")])
        assert texts(do(sessions.memory("two"), "load", 1)) == ["from a tool"]
        assert do(sessions.memory("one"), "clear_messages") == 1
        assert do(sessions, "delete_session", "two") is True
        assert [info.id for info in do(sessions, "list_sessions")] == ["one", "copy"]
        do(saver, "delete_thread", "one")
        assert do(sessions, "get_session", "one").message_count == 0


def test_what_a_tool_copied_and_pruned_is_whole(
    do: Door, applied: str, write_shop: Callable[..., Any]
) -> None:
    with SessionManager(applied) as sessions:
        do(sessions.checkpointer(), "copy_thread", "one", "copy")
        do(sessions.checkpointer(), "prune", ["copy"])
    shop = write_shop(SHOP)
    with SessionManager(applied) as sessions:
        (found,) = do(sessions.checkpointer(), "list", config("copy"))
        assert texts(found.checkpoint["channel_values"]["messages"]) == ["hi", "ok", "again", "ok"]
        assert type(found.checkpoint["channel_values"]["order"]) is shop.Order
        assert texts(do(sessions, "messages", "copy")) == ["hi", "ok", "again", "ok"]


# Two formats


def test_a_newer_format_that_appears_while_open_is_not_written(
    do: Door, file: Path, file_url: str
) -> None:
    with SessionManager(file_url) as sessions:
        graph = chat_graph(sessions.checkpointer())
        sessions.create_session(id="s", name="old")
        with closing(sqlite3.connect(file)) as newer:
            (version,) = newer.execute("PRAGMA user_version").fetchone()
            newer.execute(f"PRAGMA user_version = {version + 1}")
            newer.commit()
        before = rows(file)
        for action in (
            lambda: do(sessions, "rename_session", "s", "new"),
            lambda: do(sessions, "delete_session", "s"),
            lambda: do(sessions.memory("s"), "add_messages", [HumanMessage("x")]),
            lambda: do(sessions.store, "put", ("notes",), "k", {"v": 1}),
            lambda: do(graph, "invoke", {"messages": [HumanMessage("x")]}, config("s")),
        ):
            with pytest.raises(SchemaTooNew, match="upgrade"):
                action()
        assert rows(file) == before
        with closing(sqlite3.connect(file)) as newer:
            newer.execute(f"PRAGMA user_version = {version}")
            newer.commit()
        assert do(sessions, "rename_session", "s", "new").name == "new"


def test_many_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    from .helpers import all_well, at_once

    for number in range(5):
        url = f"sqlite:///{tmp_path}/{number}.db"

        def work(n: int, url: str = url) -> None:
            with open_store(url) as store:
                SessionManager(store).create_session(id=str(n))

        all_well(at_once((lambda n=n: work(n)) for n in range(8)))
        with SessionManager(url) as sessions:
            assert sessions.count_sessions() == 8


# Erasure


def test_a_message_that_must_be_erased_is_gone_everywhere(do: Door, url: str) -> None:
    with open_store(url) as store:
        sessions = SessionManager(store)
        saver = sessions.checkpointer()
        graph = chat_graph(saver)
        do(graph, "invoke", {"messages": [HumanMessage("SECRETWORD")]}, config("t"))
        history = sessions.memory("t")
        do(history, "add_messages", [HumanMessage("SECRETWORD")])
        do(history, "set_summary", "SECRETWORD")
        do(sessions, "update_session", "t", metadata={"k": "SECRETWORD"})
        do(sessions, "rename_session", "t", "SECRETWORD")
        assert do(sessions, "delete_session", "t") is True

        for view in (sessions.store, store):
            for namespace in do(view, "list_namespaces", limit=1000):
                assert "SECRETWORD" not in repr(do(view, "search", namespace, limit=1000))
            for prefix in (("sessions",), ("memory",), ("checkpoints",), ("memory", "t"), ()):
                assert "SECRETWORD" not in repr(do(view, "search", prefix, limit=1000))
        assert do(sessions, "messages", "t") == []
        assert do.history(history) == []
        assert do(history, "get_summary") is None
        assert do(saver, "list", None) == []
        assert do(sessions, "list_sessions", metadata={"k": "SECRETWORD"}) == []
        sessions.create_session(id="t")
        assert do(sessions, "messages", "t") == []
        assert do(graph, "get_state", config("t")).values == {}


def test_an_erased_message_of_a_history_is_gone(do: Door, file: Path, file_url: str) -> None:
    with SessionManager(file_url) as sessions:
        history = sessions.memory("t")
        do(
            history,
            "add_messages",
            [HumanMessage("kept", id="1"), HumanMessage("SECRETWORD", id="2")],
        )
        do(history, "add_messages", [HumanMessage("SECRETWORD again", id="3")])
        assert do(history, "remove_last") is True
        do(history, "add_messages", [HumanMessage("[erased]", id="2")])
        assert texts(do.history(history)) == ["kept", "[erased]"]
        assert "SECRETWORD" not in repr(rows(file))
        assert do(history, "clear_messages") == 2
        assert "kept" not in repr(rows(file))
