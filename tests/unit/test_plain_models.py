"""Messages that are remembered as they are read, without being made."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core import messages
from langchain_core.documents import Document
from tests.unit.test_frozen import any_message, assert_same, mutables, trees

from threadloom.checkpoint.elements import read_element
from threadloom.checkpoint.frozen import Encoded, thaw
from threadloom.serde import Codec, opened, read_plain_model
from threadloom.values import SafeValues

CODEC = Codec(strict=False)
VALUES = SafeValues(CODEC)
LONG = "a long text, kept apart from its message " * 4


def stored(value: Any) -> tuple[bytes, dict[str | bytes, str]]:
    """A value, and the keys of its long texts."""
    keys: dict[str | bytes, str] = {}
    return CODEC.dumps_apart(value, lambda text: keys.setdefault(text, f"k{len(keys):03d}")), keys


def texts_of(keys: dict[str | bytes, str]) -> dict[str, str | bytes]:
    return {key: text for text, key in keys.items()}


contents = st.one_of(trees, st.text(min_size=64, max_size=80), st.binary(min_size=64, max_size=70))


@settings(max_examples=400, deadline=None)
@given(any_message(contents), st.booleans())
def test_what_is_read_so_is_what_the_codec_makes(value: Any, long: bool) -> None:
    if long and "content" in value.__dict__:
        value.__dict__["content"] = LONG
    data, keys = stored(value)
    texts = texts_of(keys)
    element = read_element(VALUES, data, texts)
    due = CODEC.loads_joined(data, texts)
    assert element.frozen is not None
    first, second = thaw([element.frozen] * 2)
    assert_same(first, due)
    assert element.id == due.__dict__.get("id")
    content = due.__dict__.get("content")
    assert element.text_key == (keys.get(content) if isinstance(content, (str, bytes)) else None)
    again = read_element(VALUES, data, texts)
    assert again.frozen is not None
    own = [mutables(first), mutables(second), mutables(thaw([again.frozen])[0])]
    assert sum(map(len, own)) == len({number for found in own for number in found})


@pytest.mark.parametrize(
    "value",
    [
        messages.HumanMessage(LONG, id="1"),
        messages.AIMessage("", tool_calls=[{"name": "f", "args": {"x": [1]}, "id": "c"}]),
        messages.AIMessage(
            "x", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
        ),
        messages.ToolMessage([{"type": "text", "text": LONG}], tool_call_id="c", artifact={"a": 1}),
        messages.RemoveMessage(id="x"),
        messages.HumanMessage("Źdźbło", additional_kwargs={"ł": ["Ā"]}),
    ],
)
def test_usual_messages_are_read_so(value: Any) -> None:
    data, keys = stored(value)
    body = opened(data)
    assert read_plain_model(body.body, body.parts(texts_of(keys))) is not None
    element = read_element(VALUES, data, texts_of(keys))
    assert not isinstance(element.frozen, Encoded)
    assert element.tokens == (getattr(value, "usage_metadata", None) or {}).get("total_tokens", 0)


@pytest.mark.parametrize(
    "value",
    [
        [messages.HumanMessage("in a list")],
        "text",
        Document("not a message", metadata={"blob": b"x"}),
        messages.HumanMessage("x", additional_kwargs={"when": (1, 2)}),
        messages.HumanMessage("x", additional_kwargs={"model": messages.AIMessage("y")}),
        messages.HumanMessage([{"data": b"b" * 100}]),
        messages.HumanMessage([f"{number} {LONG}" for number in range(140)]),
        messages.HumanMessage(["short"] * 20_000),
        messages.HumanMessage("x", additional_kwargs={"big": 2**70}),
    ],
)
def test_everything_else_is_left_to_the_reader(value: Any) -> None:
    data, keys = stored(value)
    body = opened(data)
    plain = read_plain_model(body.body, body.parts(texts_of(keys)))
    assert plain is None or isinstance(value, Document)
    element = read_element(VALUES, data, texts_of(keys))
    assert element.frozen is not None
    assert_same(thaw([element.frozen])[0], value)


@settings(max_examples=500, deadline=None)
@given(any_message(contents), st.data())
def test_damage_is_left_to_the_reader(value: Any, data: st.DataObject) -> None:
    body = bytearray(opened(stored(value)[0]).body)
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(0, len(body))) :]
    read_plain_model(bytes(body), ["text"])  # raises nothing


def test_an_interrupt_is_an_interrupt() -> None:
    data, keys = stored(messages.HumanMessage(LONG))
    body = opened(data)
    texts = body.parts(texts_of(keys))
    hook = next(
        code
        for code in read_plain_model.__code__.co_consts
        if getattr(code, "co_name", "") == "hook"
    )

    def interrupting(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code is hook:
            sys.settrace(None)
            raise KeyboardInterrupt
        return interrupting

    sys.settrace(interrupting)
    try:
        with pytest.raises(KeyboardInterrupt):
            read_plain_model(body.body, texts)
    finally:
        sys.settrace(None)
