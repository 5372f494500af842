"""LangGraph's `InMemoryStore`, mended where its results are not ours on purpose.

Each mend is one line of the table in docs/long-term-memory.md, and nothing else differs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import langgraph.store.memory as in_memory
import pytest
from langgraph.store.base import Item, Op, PutOp, Result, SearchOp
from langgraph.store.memory import InMemoryStore


class Mended(InMemoryStore):
    """The oracle.

    Args:
        now: tells the time.
        index: for semantic search.

    Attributes:
        mends: which of `MENDS` are made.
    """

    def __init__(self, now: Callable[[], datetime], index: Any = None) -> None:
        super().__init__(index=index)
        self._now = now
        self.mends = set(MENDS)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        asked = list(ops)
        for op in asked:
            self._check(op)
        before = self._before(asked)
        with pytest.MonkeyPatch.context() as patch:
            if "filters compare as JSON" in self.mends:
                patch.setattr(in_memory, "_compare_values", _fits)
            results = super().batch(asked)
        results = [self._mended(op, result) for op, result in zip(asked, results, strict=True)]
        self._after(asked, before)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return self.batch(ops)

    def _check(self, op: Op) -> None:
        numbers = [getattr(op, name, None) for name in ("limit", "offset", "max_depth")]
        if "a negative number is refused" in self.mends and any((n or 0) < 0 for n in numbers):
            raise ValueError(f"negative: {op}")

    def _before(self, asked: list[Op]) -> dict[Any, datetime]:
        """Put everything in order; when each item that exists was created."""
        if "the order is that of places" in self.mends:
            for namespace in sorted(self._data):
                found = self._data.pop(namespace)
                self._data[namespace] = dict(sorted(found.items()))
        return {(i.namespace, i.key): i.created_at for f in self._data.values() for i in f.values()}

    def _handle_list_namespaces(self, op: Any) -> Any:
        if "an empty namespace is none" in self.mends:
            for namespace in [name for name, found in self._data.items() if not found]:
                del self._data[namespace]
        return super()._handle_list_namespaces(op)

    def _extract_texts(self, put_ops: Any) -> Any:
        if "a new value has new vectors" in self.mends:
            for namespace, key in put_ops:
                self._vectors[namespace].pop(key, None)
        return super()._extract_texts(put_ops)

    def _insertinmem_store(self, to_embed: Any, embeddings: Any) -> None:
        if "texts may be the same" in self.mends:
            places = list(to_embed.values())
            embeddings = [v for v, same in zip(embeddings, places, strict=True) for _ in same]
        super()._insertinmem_store(to_embed, embeddings)

    def _batch_search(self, ops: Any, vectors: Any, results: list[Result]) -> None:
        if "a page is a page" not in self.mends:
            return super()._batch_search(ops, vectors, results)
        whole = {
            number: (op._replace(offset=0, limit=10**6) if op.query and vectors else op, found)
            for number, (op, found) in ops.items()
        }
        super()._batch_search(whole, vectors, results)
        for number, (op, _) in ops.items():
            if op.query and vectors:
                results[number] = results[number][op.offset : op.offset + op.limit]  # type: ignore
        return None

    def _mended(self, op: Op, result: Any) -> Any:
        """A result that shares nothing, of whose namespaces each holds something."""
        if isinstance(op, SearchOp) and "scores have seven digits" in self.mends:
            for item in result:
                item.score = None if item.score is None else round(item.score, 7) + 0.0
        return copy.deepcopy(result) if "values are not shared" in self.mends else result

    def _after(self, asked: list[Op], before: dict[Any, datetime]) -> None:
        for op in asked:
            if isinstance(op, PutOp) and (item := self._data[op.namespace].get(op.key)):
                item.created_at = item.updated_at = self._now()
                if "an update keeps the time of creation" in self.mends:
                    item.created_at = before.get((op.namespace, op.key), item.created_at)
                if "values are not shared" in self.mends:
                    item.value = json.loads(json.dumps(item.value))


MENDS = (
    "an empty namespace is none",
    "the order is that of places",
    "an update keeps the time of creation",
    "values are not shared",
    "filters compare as JSON",
    "a negative number is refused",
    "a new value has new vectors",
    "texts may be the same",
    "a page is a page",
    "scores have seven digits",
)


def _fits(value: Any, wanted: Any) -> bool:
    """InMemoryStore's comparison, where truth is no number and order is of one kind."""
    if isinstance(wanted, dict) and any(name.startswith("$") for name in wanted):
        return all(_operator(value, name, operand) for name, operand in wanted.items())
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(_fits(value.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_fits(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return _json(value) == _json(wanted)


def _operator(value: Any, name: str, operand: Any) -> bool:
    if name in ("$eq", "$ne"):
        return (_json(value) == _json(operand)) is (name == "$eq")
    kinds = {_kind(value), _kind(operand)}
    if len(kinds) != 1 or None in kinds:
        return False
    order = (value > operand) - (value < operand)
    return {"$gt": order > 0, "$gte": order >= 0, "$lt": order < 0, "$lte": order <= 0}[name]


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _json(value: Any) -> Any:
    if isinstance(value, bool):
        return ("truth", value)
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return value


def plain(result: Any) -> Any:
    """A result as what can be compared, types included."""
    if isinstance(result, list):
        return [plain(item) for item in result]
    if isinstance(result, Item):
        shown = result.dict()
        return {**shown, "value": json.dumps(shown["value"], sort_keys=True)}
    return result
