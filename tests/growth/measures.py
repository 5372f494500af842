"""How much a store holds and what a call costs, in counts that no machine changes."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from threadloom.ops import ListNamespaces, Scan
from threadloom.store import Store
from threadloom.testing import FaultyStore

_SYLLABLES = ["ba", "co", "di", "fu", "gel", "hi", "jo", "kan", "lu", "mer", "no", "pi", "qua"]
_WORDS = [
    first + second + third for first in _SYLLABLES for second in _SYLLABLES for third in "enst"
]


def prose(seed: object, length: int) -> str:
    """A text of this length that no other seed gives; its words are those of all."""
    chosen = random.Random(str(seed))
    text = " ".join(chosen.choices(_WORDS, k=length // 5 + 1))
    return text[:length]


def stored_bytes(store: Store) -> int:
    """The content of all records that can be reached through the port."""
    (namespaces,) = store.execute([ListNamespaces()])
    total = 0
    for namespace in namespaces:
        (records,) = store.execute([Scan(namespace)])
        for record in records:
            total += 0 if record.doc is None else len(json.dumps(record.doc))
            total += len(record.blob or b"") + len((record.text or "").encode())
    return total


def file_bytes(file: Path) -> int:
    """The size of a file that is closed, with whatever was left beside it."""
    return sum(path.stat().st_size for path in file.parent.glob(file.name + "*"))


class Cost(NamedTuple):
    """What one call asked of a store."""

    batches: int
    ops: int


def cost(store: FaultyStore, call: Callable[[], Any]) -> Cost:
    batches, ops = store.batches, store.ops
    call()
    return Cost(store.batches - batches, store.ops - ops)


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The SQL statements on connections that are opened meanwhile, as they come."""
    seen: list[str] = []
    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(seen.append)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        yield seen


def flat(short: float, long: float) -> bool:
    """Whether a cost stays what it was, give or take a quarter."""
    return long <= 1.25 * short + 2
