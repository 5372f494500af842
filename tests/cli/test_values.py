"""What may be built of a stored value, and what is never done with one."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from threadloom import SessionManager
from threadloom.migrate import migrate_langgraph
from threadloom.migrate.decoding import Decoder
from threadloom.migrate.ordering import put_order
from threadloom.migrate.reports import Unavailable

from . import threads
from .shapes import Bag
from .threads import EVERYTHING, SHAPES, config

ORIGINAL = JsonPlusSerializer(allowed_msgpack_modules=[Bag])


def packed(code: int, *parts: Any) -> bytes:
    return ormsgpack.packb([ormsgpack.Ext(code, ormsgpack.packb(list(parts)))])


@pytest.mark.parametrize("value", [EVERYTHING, SHAPES, None, b"x", bytearray(b"y"), [], {}, 1, ""])
def test_values_come_back(value: Any) -> None:
    found = Decoder().value(*ORIGINAL.dumps_typed(value))
    assert found == value
    assert type(found) is type(value)


def test_objects_that_come_again_are_built_once() -> None:
    decoder = Decoder()
    first = decoder.parse(*ORIGINAL.dumps_typed([HumanMessage("a"), HumanMessage("a")]))
    built: dict[Any, Any] = {}
    one = decoder.build(first, {}, built)
    assert one[0] == one[1]
    assert one[0] is not one[1]
    longer = [HumanMessage("a"), AIMessage("b")]
    two = decoder.build(decoder.parse(*ORIGINAL.dumps_typed(longer)), dict(built), {})
    assert two[0] is one[1]
    assert two == longer


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (packed(0, "os", "system", "true"), "os.system"),
        (packed(1, "subprocess", "Popen", ["true"]), "subprocess.Popen"),
        (packed(2, "builtins", "dict", {}), "builtins.dict"),
        (packed(3, "os", "path", "x", "exists"), "os.path.exists"),
        (packed(4, "nowhere", "Thing", {}), "nowhere.Thing is not imported here: --import nowhere"),
        (packed(5, "nowhere.deep", "Thing", {}, "x"), "--import nowhere.deep"),
        (packed(5, "__main__", "Thing", {}, "x"), "in the program that ran"),
        (packed(2, Bag.__module__, "Sack", {}), f"{Bag.__module__}.Sack does not exist"),
        (packed(2, Bag.__module__, "Bag", {"colour": "red"}), f"{Bag.__module__}.Bag refuses"),
        (packed(0, "uuid", "UUID", "no uuid"), "uuid.UUID refuses"),
        (packed(0, "uuid"), "damaged"),
        (packed(0, 1, 2, 3), "2"),
        (packed(6, "no dtype", [], "C", b""), "numpy array is damaged"),
        (packed(99), "form that is not known"),
        (ormsgpack.packb([ormsgpack.Ext(0, b"\xc1")]), "damaged"),
        (b"\xc1", "damaged"),
        (b"", "damaged"),
    ],
)
def test_what_may_not_be_built(data: bytes, said: str) -> None:
    with pytest.raises(Unavailable, match=said.replace(".", r"\.")):
        Decoder().value("msgpack", data)


def test_what_is_inside_another_is_looked_at_first() -> None:
    inner = ormsgpack.Ext(2, ormsgpack.packb(["nowhere", "Thing", {}]))
    outer = packed(0, "builtins", "set", [inner])
    with pytest.raises(Unavailable, match=r"nowhere\.Thing"):
        Decoder().value("msgpack", outer)
    refused = ormsgpack.Ext(2, ormsgpack.packb([Bag.__module__, "Bag", {"colour": "red"}]))
    with pytest.raises(Unavailable, match="Bag refuses"):
        Decoder().value("msgpack", packed(7, [refused]))


def test_the_old_json_form() -> None:
    def constructor(*id: str, **kwargs: Any) -> dict[str, Any]:
        return {"lc": 2, "type": "constructor", "id": list(id), "kwargs": kwargs}

    def read(value: Any) -> Any:
        return Decoder().value("json", json.dumps(value).encode())

    message = constructor("langchain_core", "messages", "human", "HumanMessage", content="hi")
    assert read({"a": [message, 1]}) == {"a": [HumanMessage("hi"), 1]}
    assert read(constructor(*Bag.__module__.split("."), "Bag", weight=1.0)) == Bag(1.0)
    with pytest.raises(Unavailable, match="--import nowhere"):
        read([constructor("nowhere", "Thing")])
    with pytest.raises(Unavailable, match="JSON form"):
        read([constructor("uuid", "UUID", hex="no uuid")])
    with pytest.raises(Unavailable, match="JSON form"):
        Decoder().value("json", b"{")


class Trap:
    """What a pickle could do."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (self.path,)


def test_pickles_and_foreign_serializers_fail_alone(tmp_path: Path) -> None:
    path, trap = tmp_path / "old.db", tmp_path / "sprung"
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        threads.turns(threads.chat().compile(checkpointer=SqliteSaver(connection)), "plain", 1)
        pickling = SqliteSaver(connection, serde=JsonPlusSerializer(pickle_fallback=True))
        graph = threads.holds(Trap(trap))().compile(checkpointer=pickling)
        graph.invoke({"count": 0}, config("pickled"))
        secret = SqliteSaver(connection, serde=_reversing())
        threads.turns(threads.chat().compile(checkpointer=secret), "secret", 1)
    assert pickle.dumps(Trap(trap))
    with SessionManager("memory://") as sessions:
        report = migrate_langgraph(path, sessions)
        found = {thread.id: thread for thread in report.threads}
        assert {id: thread.outcome for id, thread in found.items()} == {
            "pickled": "failed",
            "plain": "migrated",
            "secret": "failed",
        }
        assert "pickles are never loaded" in found["pickled"].reason
        assert "serializer of the application's own" in found["secret"].reason
    assert not trap.exists()


def _reversing() -> EncryptedSerializer:
    class Cipher:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "reversed", plaintext[::-1]

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            return ciphertext[::-1]

    return EncryptedSerializer(Cipher())


# ── An application that is not here ───────────────────────────────────────────────────────────
SHOP = """
from pathlib import Path
from pydantic import BaseModel
Path(__file__).with_name("imported").touch()
class Order(BaseModel):
    wares: list[str]
"""
MAKE = """
import sqlite3, sys
from typing import Any, TypedDict
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from shop import Order
class State(TypedDict):
    value: Any
connection = sqlite3.connect(sys.argv[1], check_same_thread=False)
builder = StateGraph(State)
builder.add_node("node", lambda state: {"value": state["value"]})
builder.add_edge(START, "node")
graph = builder.compile(checkpointer=SqliteSaver(connection))
for name, value in {"plain": 1, "shop": [Order(wares=["lamp"])]}.items():
    graph.invoke({"value": value}, {"configurable": {"thread_id": name}})
connection.close()
"""
READ = """
import sys
import shop
from threadloom import SessionManager
with SessionManager("sqlite:///" + sys.argv[1]) as sessions:
    saver = sessions.checkpointer()
    found = saver.get_tuple({"configurable": {"thread_id": "shop"}})
    print(repr(found.checkpoint["channel_values"]["value"]))
"""


def test_nothing_is_imported_unless_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    imported = tmp_path / "imported"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("-c", MAKE, "old.db").returncode == 0
    imported.unlink()
    done = run("-m", "threadloom", "migrate", "old.db", "new.db")
    assert done.returncode == 1
    assert done.stderr == (
        "threadloom: thread shop failed: the class shop.Order is not imported here: --import shop\n"
    )
    assert [line.split("\t")[:2] for line in done.stdout.splitlines()] == [
        ["plain", "migrated"],
        ["shop", "failed"],
    ]
    assert not imported.exists()
    with SessionManager(f"sqlite:///{tmp_path}/new.db") as sessions:
        assert [session.id for session in sessions.list_sessions()] == ["plain"]
    done = run("-m", "threadloom", "migrate", "old.db", "new.db", "--import", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert imported.exists()
    assert run("-c", READ, "new.db").stdout.strip() == "[Order(wares=['lamp'])]"
    done = run("-m", "threadloom", "migrate", "old.db", "new.db")
    assert (done.returncode, done.stderr) == (0, "")


# ── Order ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("links", "ids", "cut", "by_id"),
    [
        ({}, [], 0, True),
        ({"1": None, "2": "1", "3": "2"}, ["1", "2", "3"], 0, True),
        ({"1": None, "2": "1", "3": "1", "4": "2"}, ["1", "2", "3", "4"], 0, True),
        ({"1": "2", "2": None}, ["2", "1"], 0, False),
        ({"1": "0", "2": "1"}, ["1", "2"], 1, True),
        ({"1": "1"}, ["1"], 1, True),
        ({"1": "3", "2": "1", "3": "2", "4": "3"}, ["1", "2", "3", "4"], 1, True),
        ({"1": None, "5": "6", "6": "5", "7": "8", "8": "7"}, ["1", "5", "6", "7", "8"], 2, True),
    ],
)
def test_parents_come_first(
    links: dict[str, str | None], ids: list[str], cut: int, by_id: bool
) -> None:
    order = put_order(links)
    assert (order.ids, order.cut, order.by_id) == (ids, cut, by_id)
    for id in ids:
        parent = order.parents[id]
        assert parent is None or ids.index(parent) < ids.index(id)


def test_the_time_in_an_id() -> None:
    from langgraph.checkpoint.base.id import uuid6

    from threadloom.migrate.base import made_at

    found = made_at(str(uuid6()))
    assert found is not None
    assert abs((datetime.now(UTC) - found).total_seconds()) < 60
    assert made_at("3") is None
