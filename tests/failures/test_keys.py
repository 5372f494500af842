"""Keys: odd ids are ids like any other, and none of them reaches another."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from threadloom import (
    InvalidKey,
    SessionManager,
    StoreChatMessageHistory,
    StoreCheckpointer,
    ThreadloomError,
)
from threadloom.store import Store

from .helpers import Door, chat_graph, checkpoint, config, put, texts

IDS = [
    "a",
    "a/b",
    "a/b/c",
    "../x",
    "..",
    ".",
    "a.b",
    "a:b",
    "a::b",
    "a%",
    "a%2Fb",
    "a_",
    "aX",
    "a*",
    "%",
    "_",
    "*",
    "checkpoints",
    "sessions",
    "memory",
    "%73essions",
    "~x",
    "~",
    "app",
    "apple",
    "app2",
    "APP",
    "1",
    "10",
    "01",
    " ",
    "  ",
    "a ",
    "\n",
    "🧵",
    "é",
    "e\u0301",
    "!",
    "a!b",
    '"',
    "'; DROP TABLE rec; --",
    "index",
    "values",
    "deleted",
    "summary",
    "state",
    "0000000000",
    "x" * 1024,
    "x" * 1023,
    "🧵" * 1024,
    "/" * 1024,
]


def test_every_odd_id_is_a_session_of_its_own(do: Door, sessions: SessionManager) -> None:
    saver = sessions.checkpointer()
    graph = chat_graph(saver)
    for number, id in enumerate(IDS):
        do(graph, "invoke", {"messages": [HumanMessage(f"g{number}")]}, config(id))
        do(sessions.memory(id), "add_messages", [HumanMessage(f"h{number}")])
        do(sessions.memory(id), "set_summary", f"s{number}")

    def check(alive: dict[int, str]) -> None:
        assert {info.id for info in do(sessions, "list_sessions")} == set(alive.values())
        assert do(sessions, "count_sessions") == len(alive)
        for number, id in enumerate(IDS):
            there = number in alive
            wanted = [f"g{number}", f"re: g{number}"] if there else []
            values = do(graph, "get_state", config(id)).values
            assert texts(values.get("messages", [])) == wanted, id
            listed = do(saver, "list", config(id))
            assert len(listed) == (3 if there else 0), id
            assert texts(do.history(sessions.memory(id))) == ([f"h{number}"] if there else []), id
            assert do(sessions.memory(id), "get_summary") == (f"s{number}" if there else None), id
            info = do(sessions, "get_session", id)
            assert (info.id if info else None) == (id if there else None)
            assert (info.message_count if info else 3) == 3

    alive = dict(enumerate(IDS))
    check(alive)
    for number in range(0, len(IDS), 2):
        assert do(sessions, "delete_session", alive.pop(number)) is True
    check(alive)
    for number in range(1, len(IDS), 4):
        do(saver, "delete_thread", IDS[number])
        do(sessions.memory(IDS[number]), "clear")
        assert texts(do(sessions, "messages", IDS[number])) == []
        assert do(sessions, "delete_session", alive.pop(number)) is True
    check(alive)


@pytest.mark.parametrize(
    "id",
    [
        "",
        "x" * 1025,
        "🧵" * 1025,
        "a\0b",
        "\0",
        "\ud800",
        "a\udfffb",
        1,
        1.5,
        None,
        b"a",
        ("a",),
        True,
    ],
    ids=lambda id: repr(id)[:12],
)
def test_what_can_be_no_id_is_refused_everywhere(
    do: Door, sessions: SessionManager, id: Any
) -> None:
    saver = sessions.checkpointer()
    graph = chat_graph(saver)
    named = {"configurable": {"thread_id": id}}
    made = checkpoint("1", x=1)
    attempts: list[tuple[Any, ...]] = [
        (sessions, "get_session", id),
        (sessions, "delete_session", id),
        (sessions, "rename_session", id, "x"),
        (sessions, "tag_session", id, "x"),
        (sessions, "messages", id),
        (sessions.memory, "append", id, HumanMessage("x")),
        (sessions.memory, "load", id),
        (saver, "put", named, made, {}, made["channel_versions"]),
        (saver, "get_tuple", named),
        (saver, "list", named),
        (saver, "delete_thread", id),
        (saver, "copy_thread", id, "b"),
        (saver, "copy_thread", "b", id),
        (saver, "prune", [id]),
    ]
    if id is not None:
        attempts.append((sessions, "create_session"))
    for thing, name, *args in attempts:
        options = {"id": id} if name == "create_session" else {}
        with pytest.raises(InvalidKey) as caught:
            do(thing, name, *args, **options)
        assert str(caught.value), name
    if isinstance(id, str) and id:  # LangGraph makes text of other types before we see them
        with pytest.raises(InvalidKey):
            do(graph, "invoke", {"messages": [HumanMessage("x")]}, named)
    assert sessions.count_sessions() == 0
    assert list(saver.list(None)) == []


def test_a_number_is_refused_and_never_taken_for_its_text(
    do: Door, sessions: SessionManager
) -> None:
    sessions.create_session(id="1")
    with pytest.raises(InvalidKey, match="string"):
        do(sessions, "get_session", 1)
    with pytest.raises(InvalidKey, match="string"):
        do(sessions.checkpointer(), "get_tuple", config("1") | {"configurable": {"thread_id": 1}})


NAMESPACES = ["", "a", "a::b", "a|b", "a:b", "c", "b::c", "b", "values", "%", "a/b", "~", "*", "1"]


def test_checkpoint_namespaces_are_told_apart(do: Door, store: Store) -> None:
    saver = StoreCheckpointer(store)
    for session in ("a", "a::b", "b::c"):
        for number, ns in enumerate(NAMESPACES):
            put(do, saver, session, f"{number}", ns=ns, x=(session, ns))
            named = config(session, checkpoint_ns=ns, checkpoint_id=f"{number}")
            do(saver, "put_writes", named, [("x", (session, ns))], "task")
    for session in ("a", "a::b", "b::c"):
        for number, ns in enumerate(NAMESPACES):
            found = do(saver, "get_tuple", config(session, checkpoint_ns=ns))
            assert found.checkpoint["channel_values"] == {"x": (session, ns)}
            assert [value for _, _, value in found.pending_writes] == [(session, ns)]
            listed = do(saver, "list", config(session, checkpoint_ns=ns))
            assert [item.checkpoint["id"] for item in listed] == [f"{number}"]
        assert len(do(saver, "list", config(session))) == len(NAMESPACES)
    do(saver, "delete_thread", "a")
    assert do(saver, "list", config("a")) == []
    assert len(do(saver, "list", config("a::b"))) == len(NAMESPACES)


@pytest.mark.parametrize("ns", ["a\0b", "\ud800", 5, ("a",)], ids=repr)
def test_what_can_be_no_checkpoint_namespace_is_refused(do: Door, store: Store, ns: Any) -> None:
    with pytest.raises(InvalidKey):
        put(do, StoreCheckpointer(store), "t", "1", ns=ns, x=1)


def test_checkpoint_ids_tasks_and_channels_are_told_apart(do: Door, store: Store) -> None:
    saver = StoreCheckpointer(store)
    odd = ["a", "a!b", "a b", "a%", "a%21b", "é", "🧵", "1", "10", "~", "a.b", "'", '"']
    for id in odd:
        put(do, saver, "t", id, **{"x": id})
        for task in odd:
            do(saver, "put_writes", config("t", checkpoint_id=id), [("x", (id, task))], task)
    for id in odd:
        found = do(saver, "get_tuple", config("t", checkpoint_id=id))
        assert found.checkpoint["channel_values"] == {"x": id}
        assert {(task, value) for task, _, value in found.pending_writes} == {
            (task, (id, task)) for task in odd
        }
    values = {channel: channel for channel in [*odd, "\0", " "]}
    put(do, saver, "channels", "1", **values)
    assert do(saver, "get_tuple", config("channels")).checkpoint["channel_values"] == values


@pytest.mark.parametrize("what", ["checkpoint id", "asked id", "before", "task", "channel"])
def test_a_lone_surrogate_in_a_checkpoints_names_is_ours_to_refuse_or_to_keep(
    do: Door, store: Store, what: str
) -> None:
    saver, odd = StoreCheckpointer(store), "\ud800"
    named = put(do, saver, "t", "1", x=1)
    try:
        if what == "checkpoint id":
            put(do, saver, "t", odd, x=2)
            assert do(saver, "get_tuple", config("t")).checkpoint["id"] == odd
        elif what == "asked id":
            assert do(saver, "get_tuple", config("t", checkpoint_id=odd)) is None
        elif what == "before":
            bound = config("t", checkpoint_id=odd)
            assert len(do(saver, "list", config("t"), before=bound, limit=1)) == 1
        elif what == "task":
            do(saver, "put_writes", named, [("x", 2)], odd)
            assert do(saver, "get_tuple", named).pending_writes == [(odd, "x", 2)]
        else:
            do(saver, "put_writes", named, [(odd, 2)], "task")
            assert do(saver, "get_tuple", named).pending_writes == [("task", odd, 2)]
    except ThreadloomError:
        pass


def test_wildcards_are_no_patterns(do: Door, sessions: SessionManager) -> None:
    for id in ("ab", "a%", "a_", "a*", "%", "a?", "[a]"):
        do(sessions, "create_session", id=id, owner=id, tags=[id], metadata={"k": id})
    for id in ("a%", "a_", "a*", "%", "a?", "[a]"):
        assert [info.id for info in do(sessions, "list_sessions", owner=id)] == [id]
        assert [info.id for info in do(sessions, "list_sessions", tags=id)] == [id]
        assert [info.id for info in do(sessions, "list_sessions", metadata={"k": id})] == [id]
    assert do(sessions, "delete_session", "a%") is True
    assert do(sessions, "delete_session", "a*") is True
    assert do(sessions, "count_sessions") == 5


def test_wildcards_in_the_store_are_no_patterns(do: Door, sessions: SessionManager) -> None:
    view = sessions.store
    for label in ("a%", "a_", "ab", "a%b", "app", "apple"):
        do(view, "put", (label,), "k", {"label": label})
        do(view, "put", (label, "deep"), "%", {"label": label})
    for label in ("a%", "a_", "app"):
        found = {item.value["label"] for item in do(view, "search", (label,))}
        assert found == {label}
        below = do(view, "list_namespaces", prefix=(label,))
        assert below == [(label,), (label, "deep")]
    assert do(view, "get", ("a%",), "%") is None
    assert do(view, "get", ("a%", "deep"), "%").value == {"label": "a%"}


def test_message_ids_are_told_apart(do: Door, sessions: SessionManager) -> None:
    odd = ["1", "10", "id:1", "next", "a!b", "a%21b", "\ud800", "\ud801", "%", "~", "0000000001"]
    history = sessions.memory("s")
    for id in odd:
        do(history, "add_messages", [HumanMessage(f"text {odd.index(id)}", id=id)])
    do(history, "add_messages", [HumanMessage("text 0", id="1")])
    assert texts(do.history(history)) == [f"text {n}" for n in range(len(odd))]
    assert [message.id for message in do.history(history)] == odd
    for number, id in enumerate(odd):
        before = do(history, "load", before=id)
        assert texts(before) == [f"text {n}" for n in range(number)]


# Tenants

TENANTS = ("a", "b", None)


def test_odd_tenants_are_told_apart(do: Door, store: Store) -> None:
    names = ["a", "a/b", "A", "~a", "sessions", "a.b", "%", "app", "apple", " ", "1", "10", None]
    managers = {name: SessionManager(store, tenant=name) for name in names}
    for name, manager in managers.items():
        do(manager, "create_session", id="s", name=f"of {name}")
        do(manager.memory("b"), "add_messages", [HumanMessage(f"by {name}")])
        put(do, manager.checkpointer(), "c", "1", x=f"of {name}")
    for name, manager in managers.items():
        assert {i.id for i in do(manager, "list_sessions")} == {"s", "b", "c"}
        assert do(manager, "get_session", "s").name == f"of {name}"
        assert texts(do(manager, "messages", "b")) == [f"by {name}"]
        (found,) = do(manager.checkpointer(), "list", None)
        assert found.checkpoint["channel_values"] == {"x": f"of {name}"}
    assert do(managers["a"], "delete_session", "s") is True
    assert all(
        manager.get_session("s") is not None for name, manager in managers.items() if name != "a"
    )


@pytest.mark.parametrize("tenant", ["", "x" * 1025, "a\0", "\ud800", 1], ids=lambda t: repr(t)[:9])
def test_what_can_be_no_tenant_is_refused(store: Store, tenant: Any) -> None:
    for make in (
        lambda: SessionManager(store, tenant=tenant),
        lambda: StoreCheckpointer(store, tenant=tenant),
        lambda: StoreChatMessageHistory(store, "s", tenant=tenant),
    ):
        with pytest.raises(InvalidKey):
            make()


def test_a_tenant_and_a_session_never_swap_their_names(do: Door, store: Store) -> None:
    for tenant, session in (("a", "b"), ("b", "a"), (None, "a"), (None, "~a"), ("~a", "b")):
        manager = SessionManager(store, tenant=tenant)
        do(manager.memory(session), "add_messages", [HumanMessage(f"{tenant} {session}")])
    assert texts(SessionManager(store, tenant="a").messages("b")) == ["a b"]
    assert SessionManager(store, tenant="a").messages("a") == []
    assert texts(SessionManager(store).messages("~a")) == ["None ~a"]
    assert {info.id for info in SessionManager(store).list_sessions()} == {"a", "~a"}


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_store_view_cannot_name_another_tenant(
    do: Door, store: Store, tenant: str | None
) -> None:
    for other in TENANTS:
        manager = SessionManager(store, tenant=other)
        manager.store.put(("notes",), "k", {"of": str(other)})
        manager.create_session(id="s", name=str(other))
    view = SessionManager(store, tenant=tenant).store
    for label in ("~a", "~b", "~", "~None"):
        for namespace in ((label,), (label, "notes"), (label, "sessions")):
            with pytest.raises(ThreadloomError):
                do(view, "get", namespace, "k")
            with pytest.raises(ThreadloomError):
                do(view, "search", namespace)
            with pytest.raises(ThreadloomError):
                do(view, "put", namespace, "k", {"of": "an intruder"})
            with pytest.raises(ThreadloomError):
                do(view, "delete", namespace, "k")
            with pytest.raises(ThreadloomError):
                do(view, "list_namespaces", prefix=namespace)
    assert [item.value for item in do(view, "search", ())] == [{"of": str(tenant)}]
    assert do(view, "list_namespaces") == [("notes",)]
    for options in (
        {"prefix": ("*",)},
        {"prefix": ("*", "notes")},
        {"suffix": ("notes",)},
        {"suffix": ("*",)},
        {"max_depth": 1},
    ):
        found = do(view, "list_namespaces", **options)
        assert set(found) <= {("notes",)}, options
    assert do(view, "search", (), filter={"of": "a" if tenant != "a" else "b"}) == []
    assert {item.key for item in do(view, "search", ("sessions",))} == {"s"}
    assert do(view, "get", ("sessions",), "s").value["name"] == str(tenant)


@pytest.mark.parametrize("word", ["sessions", "memory", "checkpoints"])
@pytest.mark.parametrize("tenant", [None, "a"])
def test_reserved_words_are_not_written_through_the_store(
    do: Door, store: Store, word: str, tenant: str | None
) -> None:
    for view in (SessionManager(store, tenant=tenant).store, store):
        for namespace in ((word,), (word, "s"), (word, "s", "deep")):
            with pytest.raises(InvalidKey, match="Threadloom"):
                do(view, "put", namespace, "k", {"v": 1})
            with pytest.raises(InvalidKey):
                do(view, "delete", namespace, "k")
        do(view, "put", ("mine", word), "k", {"v": 1})
        assert do(view, "get", ("mine", word), "k").value == {"v": 1}
