"""Items of every shape come back as they were."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    BaseMessage,
)
from langchain_core.messages.utils import convert_to_openai_messages

from openai_agents_sessions import MEMORY, new, quick, without_ids
from openai_agents_shapes import SHAPES, conversations, items, texts, values_of
from threadloom import SessionManager
from threadloom_openai_agents import ThreadloomSession


def exact(value: Any) -> str:
    """Tells 1 from True and from 1.0; dicts keep their order."""
    return json.dumps(value)


def test_the_types_are_found() -> None:
    wanted = {"EasyInputMessageParam", "FunctionCallOutput", "ResponseReasoningItemParam"}
    assert len(SHAPES) >= 25
    assert wanted <= SHAPES.keys()


@pytest.mark.parametrize("shape", SHAPES)
@quick
@given(data=st.data())
def test_each_shape_comes_back(shape: str, data: st.DataObject) -> None:
    item = data.draw(values_of(SHAPES[shape]))

    async def check() -> None:
        session = new()
        await session.add_items([item])
        assert exact(await session.get_items()) == exact([item])
        _assert_valid(MEMORY.messages(session.session_id))
        assert exact(await session.pop_item()) == exact(item)
        assert MEMORY.messages(session.session_id) == []

    asyncio.run(check())


@quick
@given(given_items=st.lists(items, max_size=6))
def test_they_come_back_together(sessions: SessionManager, given_items: list[Any]) -> None:
    async def check() -> None:
        session = new(sessions)
        await session.add_items(given_items)
        assert exact(await session.get_items()) == exact(given_items)
        _assert_valid(sessions.messages(session.session_id))

    asyncio.run(check())


@settings(quick, max_examples=100)
@given(
    given_items=st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["message", "function_call", "function_call_output", "?"])},
            optional={
                name: st.none() | st.integers() | texts | st.lists(texts | st.none(), max_size=2)
                for name in ("role", "content", "id", "call_id", "name", "arguments", "output")
            },
        )
        | st.integers()
        | texts,
        max_size=4,
    )
)
def test_whatever_is_no_item_is_kept_as_well(given_items: list[Any]) -> None:
    async def check() -> None:
        session = new()
        await session.add_items(given_items)
        assert exact(await session.get_items()) == exact(given_items)
        _assert_valid(MEMORY.messages(session.session_id))

    asyncio.run(check())


@settings(quick, max_examples=60)
@given(data=st.data(), given_items=conversations())
def test_messages_do_not_depend_on_how_items_came(
    data: st.DataObject, given_items: list[Any]
) -> None:
    async def check() -> None:
        whole, parts = new(), new()
        await whole.add_items(given_items)
        at, pops = 0, data.draw(st.integers(0, 3))
        while at < len(given_items):
            step = data.draw(st.integers(1, 3))
            # One that has seen the conversation, or one that has not.
            fresh = ThreadloomSession(parts.session_id, MEMORY)
            writer = fresh if data.draw(st.booleans()) else parts
            await writer.add_items(given_items[at : at + step])
            if pops and data.draw(st.booleans()):
                assert await writer.pop_item() is not None
                pops -= 1
            at = len(await parts.get_items())
        assert exact(await parts.get_items()) == exact(given_items)
        expected = MEMORY.messages(whole.session_id)
        shown = MEMORY.messages(parts.session_id)
        assert without_ids(shown) == without_ids(expected)
        assert all(message.name for message in shown if message.type == "tool")
        _assert_sound(parts)

    asyncio.run(check())


@settings(quick, max_examples=40)
@given(given_items=conversations(), more=conversations())
def test_a_cut_leaves_a_beginning(given_items: list[Any], more: list[Any]) -> None:
    async def check() -> None:
        session = new()
        given_items.insert(0, {"role": "user", "content": "?"})
        await session.add_items(given_items)
        shown = MEMORY.messages(session.session_id)
        for keep in range(len(shown), -1, -1):
            MEMORY.rewind_session(session.session_id, messages=keep)
            left = await session.get_items()
            assert exact(left) == exact(given_items[: len(left)])
            assert MEMORY.messages(session.session_id) == shown[:keep]
        await session.add_items(more)
        assert exact(await session.get_items()) == exact(more)
        _assert_sound(session)

    asyncio.run(check())


def _assert_sound(session: ThreadloomSession) -> None:
    if MEMORY.get_session(session.session_id) is not None:
        assert not MEMORY.check(session.session_id).problems


def _assert_valid(messages: Sequence[BaseMessage]) -> None:
    """Messages have ids of their own, and LangChain can read what is in them."""
    ids = [message.id for message in messages]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    for message in messages:
        assert isinstance(message.content_blocks, list)
        assert isinstance(message.text, str)
        assert type(message).model_validate(message.model_dump()) == message
    convert_to_openai_messages([m for m in messages if isinstance(m.content, str)])
