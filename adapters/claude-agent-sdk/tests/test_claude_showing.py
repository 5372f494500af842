"""Every shape of entries and of blocks, on its own and in any order."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from claude_agent_sdk import types
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, convert_to_messages, convert_to_openai_messages

from claude_transcripts import KEY, Writer, call, plain, says, text, town
from threadloom import SessionManager, compose_id
from threadloom_claude_agent_sdk import ThreadloomSessionStore, shows

PIXEL = "iVBORw0KGgo="
PNG = {"type": "base64", "media_type": "image/png", "data": PIXEL}
AS_IMAGE = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}

# What a block of a message becomes; None where it is not shown as content.
BLOCKS: list[tuple[dict[str, Any], Any]] = [
    (text("hello"), "hello"),
    (text(""), None),
    ({"type": "text"}, None),
    (
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        [{"type": "reasoning", "reasoning": "hm"}],
    ),
    ({"type": "thinking", "thinking": "", "signature": "x"}, None),
    ({"type": "redacted_thinking", "data": "x"}, None),
    ({"type": "image", "source": PNG}, [AS_IMAGE]),
    (
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        [{"type": "image", "url": "https://example.org/a.png"}],
    ),
    (
        {"type": "document", "source": {**PNG, "media_type": "application/pdf"}},
        [{"type": "file", "base64": PIXEL, "mime_type": "application/pdf"}],
    ),
    (
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}},
        [{"type": "text-plain", "text": "a", "mime_type": "text/plain"}],
    ),
    (SEARCH, [{"type": "non_standard", "value": SEARCH}]),
    (
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        [
            {
                "type": "non_standard",
                "value": {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
            }
        ],
    ),
    (
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        [
            {
                "type": "non_standard",
                "value": {"type": "image", "source": {"type": "file", "file_id": "f"}},
            }
        ],
    ),
]


def messages(entries: Sequence[Any]) -> list[BaseMessage]:
    """What a session shows of entries; the names of tools are the session's work."""
    with SessionManager("memory://") as sessions:
        sessions.stream("x", shows=shows).append(entries)
        return sessions.messages("x")


def test_every_block_of_the_sdk_is_in_the_list() -> None:
    """One more in the SDK's types has to be looked at here."""
    names = {block.__name__ for block in get_args(types.ContentBlock)}
    assert names <= {
        *("TextBlock", "ThinkingBlock", "ToolUseBlock", "ToolResultBlock"),
        *("ServerToolUseBlock", "ServerToolResultBlock"),
    }


@pytest.mark.parametrize(("block", "content"), BLOCKS, ids=lambda value: str(value)[:40])
def test_blocks(block: dict[str, Any], content: Any) -> None:
    writer = Writer()
    writer.asks([block])
    writer.says(block)
    writer.says(call("t"))
    writer.gets("t", [block])
    expected = [] if content is None else [("human", content), ("ai", content)]
    expected += [("ai", ""), ("tool", "" if content is None else content)]
    made = messages(writer.entries)
    assert [(message.type, message.content) for message in made] == expected
    assert all(message.content_blocks is not None for message in made)
    two = Writer()
    two.asks([block, text("and more")])
    assert messages(two.entries)[0].content == (
        "and more"
        if content is None
        else [*([text(content)] if isinstance(content, str) else content), text("and more")]
    )


@pytest.mark.parametrize(
    ("given_", "args"),
    [({"a": 1}, {"a": 1}), ({}, {}), (None, {"input": None}), ("raw", {"input": "raw"})],
    ids=str,
)
def test_calls(given_: Any, args: dict[str, Any]) -> None:
    writer = Writer()
    writer.says({"type": "tool_use", "id": "t", "name": "n", "input": given_})
    (message,) = messages(writer.entries)
    assert message.tool_calls == [{"type": "tool_call", "id": "t", "name": "n", "args": args}]


@pytest.mark.parametrize(
    ("content", "shown"),
    [("plain", "plain"), ([text("a"), text("b")], [text("a"), text("b")]), (None, ""), ([], "")],
    ids=str,
)
def test_results(content: Any, shown: Any) -> None:
    writer = Writer()
    writer.says(call("t"))
    writer.gets("t", content, is_error=True)
    assert plain(messages(writer.entries))[1] == ("tool", shown, [], "t", "weather")
    assert messages(writer.entries)[1].status == "error"


def test_several_results_in_one_entry_and_words_beside_them() -> None:
    writer = Writer()
    writer.says(call("t1"), call("t2", "clock"), id="m")
    results = [{"type": "tool_result", "tool_use_id": id, "content": id} for id in ("t1", "t2")]
    entry = writer.asks([*results, text("[interrupted]")])
    writer.says("Fine.")
    made = messages(writer.entries)
    assert plain(made)[1:3] == [
        ("tool", "t1", [], "t1", "weather"),
        ("tool", "t2", [], "t2", "clock"),
    ]
    assert says(made)[3:] == ["human: [interrupted]", "ai: Fine."]
    assert [m.id for m in made[1:4]] == [entry["uuid"], f"{entry['uuid']}/1", f"{entry['uuid']}/2"]


def test_calls_between_results_are_one_message() -> None:
    """Tools may run while the model still speaks."""
    writer = Writer()
    writer.says("Look.", call("t1"), id="m")
    writer.gets("t1", "one")
    writer.says(call("t2"), id="m")
    writer.gets("t2", "two")
    writer.says("Done.")
    shown = list(shows(writer.entries))
    assert [(group.end, len(group.messages)) for group in shown] == [(4, 2), (5, 1), (6, 1)]
    assert plain(messages(writer.entries)) == [
        ("ai", "Look.", [("t1", "weather", {}), ("t2", "weather", {})], None, None),
        ("tool", "one", [], "t1", "weather"),
        ("tool", "two", [], "t2", "weather"),
        ("ai", "Done.", [], None, None),
    ]


HIDDEN: list[dict[str, Any]] = [
    {"isMeta": True},
    {"isSidechain": True},
    {"isCompactSummary": True},
    {"isVisibleInTranscriptOnly": True},
    {"teamName": "t"},
    {"message": "no dict"},
    {"message": {"content": []}},
    {"message": {"content": ""}},
    {"type": "system"},
    {"type": "summary", "summary": "x", "leafUuid": "y"},
    {"type": "progress"},
    {"type": "attachment"},
    {"type": "file-history-snapshot", "snapshot": {}},
]


@pytest.mark.parametrize("fields", HIDDEN, ids=str)
async def test_what_is_not_shown(store: ThreadloomSessionStore, fields: dict[str, Any]) -> None:
    writer = Writer()
    writer.asks("shown")
    entry = writer.asks("hidden")
    entry.update(fields)
    writer.says("answer")
    assert says(messages(writer.entries)) == ["human: shown", "ai: answer"]
    await store.append(KEY, writer.entries)
    assert await store.load(KEY) == writer.entries


def test_tokens_count_once_an_answer_and_the_last_entry_knows_them() -> None:
    writer = Writer()
    first, last = writer.says("a", call("t"), id="m")
    first["message"]["usage"] = {"input_tokens": 7, "output_tokens": 1}
    last["message"]["usage"] = {"input_tokens": 7, "output_tokens": 30}
    last["message"]["stop_reason"] = "tool_use"
    writer.says("b")[0]["message"]["usage"] = None
    one, other = messages(writer.entries)
    assert one.usage_metadata["total_tokens"] == 37
    assert one.response_metadata["stop_reason"] == "tool_use"
    assert other.usage_metadata is None


def test_messages_are_good_for_other_models() -> None:
    made = messages(town().entries)
    assert convert_to_messages(convert_to_openai_messages(made))
    open_calls: set[str] = set()
    for message in made:
        if message.type == "tool":
            open_calls.remove(message.tool_call_id)
        else:
            assert not open_calls
        open_calls |= {found["id"] for found in getattr(message, "tool_calls", [])}
    assert not open_calls


# A loaded machine is no bug.
thorough = settings(
    max_examples=1_000 if os.environ.get("THREADLOOM_SOAK") == "1" else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# ── Anything at all ───────────────────────────────────────────────────────────────────────────
TEXT = st.text(max_size=8) | st.sampled_from(["\0", "\ud800", "'\"%*", "é"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result", "image", "odd"])},
    optional={
        "text": JSON,
        "thinking": JSON,
        "id": st.sampled_from(["t1", "t2", None, 7]),
        "tool_use_id": st.sampled_from(["t1", "t2", None, 7]),
        "name": JSON,
        "input": JSON,
        "content": JSON,
        "is_error": JSON,
        "source": JSON,
    },
)
ENTRY = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "assistant", "system", "tag", "odd"])},
    optional={
        "uuid": st.sampled_from([*"abcdefgh", "", None, 7]),
        "parentUuid": st.sampled_from([*"abcdefgh", None, 7]),
        "isMeta": st.booleans(),
        "message": JSON
        | st.fixed_dictionaries(
            {"content": JSON | st.lists(BLOCK, max_size=3)},
            optional={"id": st.sampled_from(["m1", "m2", None, 7]), "usage": JSON, "model": JSON},
        ),
        "customTitle": JSON,
        "tag": JSON,
        "extra": JSON,
    },
)


@thorough
@given(st.lists(st.lists(ENTRY, min_size=1, max_size=4), min_size=1, max_size=5))
def test_any_entries_come_back_as_they_were_given(batches: list[list[dict[str, Any]]]) -> None:
    async def go() -> None:
        with SessionManager("memory://") as sessions:
            store = ThreadloomSessionStore(sessions)
            expected: list[Any] = []
            for batch in batches:
                await store.append(KEY, batch)
                for entry in batch:
                    uuid = entry.get("uuid")
                    known = isinstance(uuid, str) and uuid in [e.get("uuid") for e in expected]
                    if not (known and uuid):
                        expected.append(entry)
            loaded = await store.load(KEY)
            assert json.dumps(loaded) == json.dumps(expected)
            session = compose_id(*KEY.values())
            assert sessions.check().problems == ()
            fork = sessions.fork_session(session)
            assert plain(sessions.messages(fork)) == plain(sessions.messages(session))

    asyncio.run(go())


TURN = st.sampled_from(["ask", "say", "call", "call two", "note", "meta", "back"])


@thorough
@given(st.lists(TURN, max_size=14), st.lists(st.integers(1, 4), min_size=1, max_size=20))
def test_messages_do_not_depend_on_batches(turns: list[str], sizes: list[int]) -> None:
    """Whatever the SDK appends at once, one append shows what many show."""
    writer = Writer()
    for number, kind in enumerate(turns):
        if kind == "ask":
            writer.asks(f"question {number}")
        elif kind == "say":
            writer.says(f"answer {number}", "and more", id=f"m{number}")
        elif kind == "note":
            writer.note("last-prompt", lastPrompt="x")
        elif kind == "meta":
            writer.add("attachment")
        elif kind == "back":
            asked = [e for e in writer.entries if "uuid" in e]
            writer.last = asked[number * 7 % len(asked)]["uuid"] if asked else None
            writer.asks(f"again {number}")
        else:
            ids = [f"t{number}-{n}" for n in range(1 if kind == "call" else 2)]
            writer.says(*[call(id) for id in ids], id=f"m{number}")
            for id in ids:
                writer.gets(id, "done")

    async def go() -> None:
        with SessionManager("memory://") as sessions:
            store = ThreadloomSessionStore(sessions)
            at = number = 0
            while at < len(writer.entries):
                size = sizes[number % len(sizes)]
                await store.append(KEY, writer.entries[at : at + size])
                at, number = at + size, number + 1
            whole: Any = {**KEY, "session_id": "whole"}
            await store.append(whole, writer.entries)
            for key in (whole, KEY):
                assert await store.load(key) == (writer.entries or None)
            one, other = (
                plain(sessions.messages(compose_id(KEY["project_key"], id)))
                for id in (KEY["session_id"], "whole")
            )
            assert one == other
            assert sessions.check().problems == ()

    asyncio.run(go())
