"""Ids and versions that come again, from here or from another process, mean what was put last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graphs.oracle import ExactSerializer
from threadloom import SessionManager, SQLiteStore, StoreCheckpointer
from threadloom.ops import ListNamespaces, Scan
from threadloom.store import Store

from .states import CHANGES, NS, assert_is, put, state
from .talk import answer, config, one_node


@pytest.mark.parametrize("how", ["delete_thread", "prune", "delete_session"])
@pytest.mark.parametrize("by", ["itself", "another", "another process"])
def test_a_new_life_with_the_same_ids_and_versions(tmp_path: Path, how: str, by: str) -> None:
    """What was cached of the old life is not shown in the new one."""
    path = tmp_path / "a.db"
    with SQLiteStore(path) as store, SQLiteStore(path) as elsewhere:
        reader = SessionManager(store)
        saver = reader.checkpointer()
        writer = {
            "itself": reader,
            "another": SessionManager(store),
            "another process": SessionManager(elsewhere),
        }[by]
        put(saver, "1", state())
        put(saver, "2", state() | {"plain": ["p"]}, parent="1", new={"plain"})
        assert len(list(saver.list(config(**NS)))) == 2
        assert_is(saver, state())
        if how == "delete_session":
            writer.delete_session("t")
        elif how == "prune":
            writer.checkpointer().prune(["t"], strategy="delete")
        else:
            writer.checkpointer().delete_thread("t")
        assert saver.get_tuple(config(**NS)) is None
        assert saver.get_tuple(config(**NS, checkpoint_id="1")) is None
        other = state()
        other["messages"][0].content = "other"
        other["files"] = {"a": 1}
        put(writer.checkpointer(), "1", other)
        assert_is(saver, other)
        assert saver.get_tuple(config(**NS, checkpoint_id="2")) is None
        other["messages"].append(HumanMessage("more"))
        put(saver, "2", other, parent="1")
        assert_is(writer.checkpointer(), other, "2")


@pytest.mark.parametrize("by", ["itself", "another process"])
def test_a_version_that_is_put_again(tmp_path: Path, by: str) -> None:
    """The same id and versions with other content: also where the old was cached."""
    path = tmp_path / "a.db"
    with SQLiteStore(path) as store, SQLiteStore(path) as elsewhere:
        saver = StoreCheckpointer(store)
        writer = saver if by == "itself" else StoreCheckpointer(elsewhere)
        put(saver, "1", state())
        put(saver, "2", state() | {"plain": ["p"]}, parent="1", new={"plain"})
        assert_is(saver, state())
        for change in CHANGES[2:]:
            other = state()
            change(other)
            put(writer, "1", other)
            assert_is(saver, other)
            assert_is(saver, other | {"plain": ["p"]}, "2")


def test_a_callers_serializer_hides_everything(store: Store) -> None:
    """It gets values whole: no element, entry or text lies beside what it made."""

    class Hidden(ExactSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            kind, data = super().dumps_typed(obj)
            return kind, bytes(byte ^ 0x5A for byte in data)

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            return super().loads_typed((data[0], bytes(byte ^ 0x5A for byte in data[1])))

    secret = "secretword"
    graph = one_node(StoreCheckpointer(store, serde=Hidden()), lambda s: {"messages": [answer(s)]})
    for number in range(5):
        asked = {"messages": [HumanMessage(f"{secret} {number} " * 200)]}
        graph.invoke({**asked, "files": {secret: secret * 100}, "document": secret}, config())
    assert graph.get_state(config()).values["document"] == secret
    (namespaces,) = store.execute([ListNamespaces()])
    for namespace in namespaces:
        for record in store.execute([Scan(namespace)])[0]:
            assert secret not in f"{record.key} {record.doc} {record.text}"
            assert secret.encode() not in (record.blob or b"")
