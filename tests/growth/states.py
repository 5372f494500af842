"""A state with something mutable at every depth, and the ways to change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from threadloom import StoreCheckpointer

from .exact import difference, exact
from .talk import config

NS: Any = {"checkpoint_ns": ""}


def state() -> dict[str, Any]:
    """A new state with something mutable at every depth."""
    return {
        "messages": [
            HumanMessage("hello", id="h1", additional_kwargs={"a": {"b": ["c"]}}),
            AIMessage([{"type": "text", "text": "hi"}], id="a1", response_metadata={"m": {}}),
            AIMessage("", id="a2", tool_calls=[{"name": "f", "args": {"x": [1]}, "id": "c"}]),
        ],
        "files": {"a": {"rows": [[1], [2]]}, "b": "text" * 1_000},
        "plain": [{"deep": {"deeper": [1]}}, "x" * 3_000],
        "nested": {"list": [{"k": []}]},
        "pair": ({"k": []}, [1]),
    }


def put(
    saver: StoreCheckpointer,
    id: str,
    values: dict[str, Any],
    *,
    parent: str | None = None,
    thread: str = "t",
    new: set[str] | None = None,
) -> Any:
    """Store a checkpoint with new versions of some channels, or of all."""
    fresh = set(values) if new is None else new
    versions = {channel: f"1.{id if channel in fresh else parent}" for channel in values}
    checkpoint: Any = {
        "v": 4,
        "ts": "2026-01-01T00:00:00+00:00",
        "id": id,
        "channel_values": values,
        "channel_versions": versions,
        "versions_seen": {"node": dict(versions)},
        "updated_channels": None,
    }
    named = config(thread, **NS, **({"checkpoint_id": parent} if parent else {}))
    metadata: Any = {"source": "loop", "step": 1, "parents": {}, "more": {"list": [1]}}
    return saver.put(named, checkpoint, metadata, {c: versions[c] for c in fresh})


def dict_inside(found: dict[str, Any]) -> None:
    found["messages"][0].additional_kwargs["a"]["b"].append("changed")


def _kept_alone(found: dict[str, Any]) -> None:
    inner = found["messages"][0].additional_kwargs["a"]
    found.clear()  # the rest is given up; only this is kept
    inner["b"] = "changed"
    inner["new"] = [1]


def _block(found: dict[str, Any]) -> None:
    found["messages"][1].content[0]["text"] = "changed"


def _arguments(found: dict[str, Any]) -> None:
    found["messages"][2].tool_calls[0]["args"]["x"].append(2)


def whole(found: dict[str, Any]) -> None:
    found["messages"][0].content = "changed"
    found["messages"][0].id = "changed"


def _list(found: dict[str, Any]) -> None:
    found["messages"].pop(0)
    found["messages"].append("changed")
    found["plain"].clear()


def _files(found: dict[str, Any]) -> None:
    found["files"]["a"]["rows"][0].append("changed")
    del found["files"]["b"]


def _plain(found: dict[str, Any]) -> None:
    found["plain"][0]["deep"]["deeper"].append("changed")


def _others(found: dict[str, Any]) -> None:
    found["nested"]["list"][0]["k"].append("changed")
    found["pair"][0]["k"].append("changed")
    found["pair"][1].append("changed")


CHANGES: list[Callable[[dict[str, Any]], None]] = [
    dict_inside,
    _kept_alone,
    _block,
    _arguments,
    whole,
    _list,
    _files,
    _plain,
    _others,
]
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__.strip("_"))


def read(saver: StoreCheckpointer, id: str = "1", thread: str = "t") -> Any:
    found = saver.get_tuple(config(thread, **NS, checkpoint_id=id))
    assert found is not None
    return found


def values_of(saver: StoreCheckpointer, id: str = "1", thread: str = "t") -> Any:
    return exact(read(saver, id, thread).checkpoint["channel_values"])


def assert_is(saver: StoreCheckpointer, expected: Any, id: str = "1", thread: str = "t") -> None:
    """Every way to read a checkpoint shows these values."""
    listed = [i for i in saver.list(config(thread, **NS)) if i.checkpoint["id"] == id]
    for found in (read(saver, id, thread), *listed, read(saver, id, thread)):
        seen = {c: exact(v) for c, v in found.checkpoint["channel_values"].items()}
        wanted = {c: exact(v) for c, v in expected.items()}
        assert not (wrong := difference(wanted, seen)), wrong
