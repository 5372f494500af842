"""LangGraph's in-memory saver, with a serializer that loses nothing.

Its own serializer reads tuples back as lists and drops other types too, which no saver should
imitate. Pickle keeps every type; it is only ever given what the same test has just made.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        # As LangGraph's serializer does: an error is kept as its text.
        return (str, (repr(obj),)) if isinstance(obj, BaseException) else NotImplemented


class ExactSerializer:
    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        buffer = io.BytesIO()
        _Pickler(buffer).dump(obj)
        return ("pickle", buffer.getvalue())

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return pickle.loads(data[1])


def in_memory(kind: type[InMemorySaver] = InMemorySaver) -> InMemorySaver:
    return kind(serde=ExactSerializer())
