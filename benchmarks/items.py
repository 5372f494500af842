"""Long-term memory beside LangGraph's stores: `python -m benchmarks.items`.

10,000 items of one namespace with a vector of 384 numbers each: put in batches of 500, then a
filter that one in a hundred passes, a filter that reads all of them, a semantic search, and a page.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from langgraph.store.base import BaseStore, IndexConfig, PutOp
from langgraph.store.memory import InMemoryStore

from threadloom import MemoryStore, SQLiteStore

ITEMS = 10_000
DIMS = 384
LOOKS = 7
NAMESPACE = ("facts", "ana")


@cache
def _vector(text: str) -> list[float]:
    numbers = random.Random(text)  # noqa: S311  (nothing here is a secret)
    return [numbers.gauss(0, 1) for _ in range(DIMS)]


def _embed(texts: Sequence[str]) -> list[list[float]]:
    return [_vector(text) for text in texts]


INDEX: IndexConfig = {"dims": DIMS, "embed": _embed, "fields": ["text"]}


@contextmanager
def _stores(folder: Path) -> Iterator[dict[str, BaseStore]]:
    """The stores; SqliteStore without vectors, which need an extension of SQLite."""
    with SQLiteStore(folder / "threadloom.db", index=INDEX) as ours:
        found: dict[str, BaseStore] = {
            "InMemoryStore": InMemoryStore(index=INDEX),
            "Threadloom memory": MemoryStore(index=INDEX),
            "Threadloom SQLite": ours,
        }
        if find_spec("langgraph.store.sqlite") is None:
            yield found
            return
        from langgraph.store.sqlite import SqliteStore

        connection = sqlite3.connect(
            folder / "langgraph.db", check_same_thread=False, isolation_level=None
        )
        with closing(connection):
            theirs = SqliteStore(connection)
            theirs.setup()
            yield found | {"SqliteStore, no index": theirs}


def _fill(store: BaseStore) -> float:
    start = perf_counter()
    for first in range(0, ITEMS, 500):
        store.batch(
            [
                PutOp(NAMESPACE, f"{n:05}", {"text": f"text {n}", "group": n % 100, "n": n})
                for n in range(first, first + 500)
            ]
        )
    return perf_counter() - start


def _looks(store: BaseStore) -> dict[str, Callable[[], Any]]:
    return {
        "filter": lambda: store.search(("facts",), filter={"group": 7}, limit=1_000),
        "range": lambda: store.search(("facts",), filter={"n": {"$gte": 9_900}}, limit=1_000),
        "semantic": lambda: store.search(("facts",), query="text 77"),
        "page": lambda: store.search(("facts",)),
    }


def _millis(look: Callable[[], Any]) -> float:
    look()
    seconds = []
    for _ in range(LOOKS):
        start = perf_counter()
        look()
        seconds.append(perf_counter() - start)
    return median(seconds) * 1_000


def main() -> None:
    """Measure, and print a table in Markdown."""
    _embed([f"text {number}" for number in range(ITEMS)])
    with tempfile.TemporaryDirectory() as folder, _stores(Path(folder)) as stores:
        lines = [
            "| store | put all | filter | range | semantic | page |",
            "|---|---|---|---|---|---|",
        ]
        for name, store in stores.items():
            put = _fill(store)
            looks = _looks(store)
            assert len(looks["filter"]()) == len(looks["range"]()) == ITEMS // 100
            if "no index" in name:
                del looks["semantic"]
            else:
                assert looks["semantic"]()[0].key == "00077"
            found = {what: f"{_millis(look):.1f} ms" for what, look in looks.items()}
            cells = (found.get(what, "–") for what in ("filter", "range", "semantic", "page"))
            lines.append(f"| {name} | {put:.1f} s | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
