"""Streams of several sessions are read by one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from threadloom import InvalidKey, SessionManager, Shown
from threadloom.store import Store

Call = Callable[..., Any]


@pytest.mark.operation("read_streams")
async def test_several_streams_at_once(sessions: SessionManager, call: Call) -> None:
    for number, id in enumerate(["a", "b", "a/b"]):
        sessions.stream(id, "lines").append([f"{id}-{n}" for n in range(3)], note={"n": number})
    sessions.create_session(id="none")
    sessions.stream("other", "numbers").append([1])
    asked = ["a/b", "unknown", "a", "none", "other", "a"]

    bare = await call("read_streams", asked, "lines")
    assert list(bare) == ["a/b", "a"]
    assert [(page.items, page.note) for page in bare.values()] == [((), {"n": 2}), ((), {"n": 0})]

    found = await call("read_streams", asked, "lines", limit=2)
    for id, page in found.items():
        assert page == sessions.stream(id, "lines").read(2)
        assert page.items == (f"{id}-1", f"{id}-2")
    whole = await call("read_streams", [sessions.get_session("b")], "lines", limit=None)
    assert whole["b"] == sessions.stream("b", "lines").read()

    assert await call("read_streams", [], "lines") == {}
    with pytest.raises(InvalidKey):
        await call("read_streams", ["a"], "\ud800")


async def test_one_batch_whatever_their_number(sessions: SessionManager, store: Store) -> None:
    ids = [f"s{number}" for number in range(20)]
    for id in ids:
        sessions.stream(id).append(["x"])
    batches: list[int] = []
    execute = store.execute

    def counted(ops: Any, /) -> Any:
        batches.append(len(ops))
        return execute(ops)

    store.execute = counted  # type: ignore[method-assign]
    assert len(sessions.read_streams(ids, limit=1)) == 20
    assert len(batches) == 1


def shows(items: Any) -> Any:
    """Capitals are not shown."""
    for at, item in enumerate(items):
        if item.islower():
            yield Shown(at + 1, [HumanMessage(item, id=item)])


def test_messages_keep_the_order_of_their_items(sessions: SessionManager) -> None:
    """Also where a line leaves out an item that is not shown, so that groups begin elsewhere."""
    stream = sessions.stream("s", shows=shows)
    stream.append(["a", "b"])
    stream.append(["X", "c"], line=[0])
    stream.append(["d"])
    stream.append(["e"], line=[0, 3, 4])
    assert [message.text for message in sessions.messages("s")] == ["a", "c", "d", "e"]
    assert sessions.check().problems == ()
    sessions.rewind_session("s", messages=2)
    assert stream.read().items == ("a", "b", "X", "c")
