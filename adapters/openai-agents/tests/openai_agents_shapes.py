"""Items of every shape that the API's types describe, made from the types themselves."""

from __future__ import annotations

import collections.abc
from functools import cache
from typing import (
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from hypothesis import strategies as st
from openai.types.responses import ResponseInputItemParam

SHAPES: dict[str, type] = {shape.__name__: shape for shape in get_args(ResponseInputItemParam)}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2)
)


@cache
def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as JSON has them."""
    origin, args = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        return st.deferred(lambda: _objects(kind))
    if origin in (Required, NotRequired):
        return values_of(args[0])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return st.one_of(*map(values_of, args))
    if origin is dict:
        return st.dictionaries(texts, values_of(args[1]), max_size=2)
    if isinstance(origin, type) and (
        issubclass(origin, collections.abc.Iterable) or "Sequence" in origin.__name__
    ):
        return st.lists(values_of(args[0]), max_size=2)
    simple = {str: texts, int: st.integers(), bool: st.booleans(), type(None): st.none()}
    simple[float] = st.floats(allow_nan=False)
    return simple.get(kind, anything)


def _objects(kind: type) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    required = {name: hint for name, hint in hints.items() if get_origin(hint) is Required}
    return st.fixed_dictionaries(
        {name: values_of(hint) for name, hint in required.items()},
        optional={name: values_of(hint) for name, hint in hints.items() if name not in required},
    )


items = st.one_of(*map(values_of, SHAPES.values()))


# ── Conversations as models have them ────────────────────────────────────────────────────────
@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Items of some turns: what users say, and what models and tools answer."""
    found: list[dict[str, Any]] = []
    number = 0

    def say(role: str) -> dict[str, Any]:
        item: dict[str, Any] = {"role": role, "content": draw(texts)}
        if role == "assistant":
            part = {"type": "output_text", "text": draw(texts), "annotations": []}
            item |= {"type": "message", "content": [part], "status": "completed"}
        return item | draw(st.sampled_from([{}, {"id": "__fake_id__"}, {"id": "msg_1"}]))

    for _ in range(draw(st.integers(0, 4))):
        step = draw(st.sampled_from(["user", "system", "reply", "calls", "calls", "hidden"]))
        if step in ("user", "system"):
            found.append(say(step))
        if step == "hidden":
            found.append(draw(st.sampled_from(HIDDEN)))
        if step in ("reply", "calls"):
            found += draw(st.lists(st.sampled_from(BESIDE), max_size=2))
        if step == "reply" or (step == "calls" and draw(st.booleans())):
            found.append(say("assistant"))
        if step == "calls":
            ids = [f"call_{number + n}" for n in range(draw(st.integers(1, 3)))]
            number += len(ids)
            for id in ids:
                call = {"type": "function_call", "call_id": id, "name": f"tool_of_{id}"}
                found.append({**call, "arguments": draw(st.sampled_from(["{}", '{"a": 1}', "{"]))})
            for id in draw(st.permutations(ids)):
                found.append({"type": "function_call_output", "call_id": id, "output": draw(texts)})
    return found


HIDDEN: list[dict[str, Any]] = [
    {"type": "item_reference", "id": "msg_0"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "…"},
    {"type": "compaction", "encrypted_content": "…"},
]
BESIDE: list[dict[str, Any]] = [
    *HIDDEN,
    {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "Hm."}]},
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "fjords"},
    },
]
