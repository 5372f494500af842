"""`threadloom.blocks`: contents, blocks, calls and counts that adapters make messages of."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from threadloom import blocks

PNG = "iVBORw0KGgo="


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ([], ""),
        ([blocks.text("a")], "a"),
        ([blocks.text("")], ""),
        ([blocks.text("a"), blocks.text("b")], [blocks.text("a"), blocks.text("b")]),
        ([{**blocks.text("a"), "annotations": []}], [{**blocks.text("a"), "annotations": []}]),
        ([{"type": "other", "text": "a"}], [{"type": "other", "text": "a"}]),
    ],
)
def test_contents(given: list[Any], content: Any) -> None:
    found = blocks.content(given)
    assert found == content
    assert found is not given
    assert HumanMessage(found).content == content


@pytest.mark.parametrize(
    ("given", "block"),
    [
        ({"mime_type": "image/png", "base64": PNG}, {"type": "image", "base64": PNG}),
        ({"mime_type": "audio/mpeg", "url": "https://e.com/a"}, {"type": "audio"}),
        ({"mime_type": "video/mp4", "file_id": "f"}, {"type": "video", "file_id": "f"}),
        ({"mime_type": "application/pdf", "base64": ""}, {"type": "file", "base64": ""}),
        ({"mime_type": "imagery/x", "kind": "audio", "file_id": "f"}, {"type": "audio"}),
    ],
)
def test_media_with_a_type(given: dict[str, Any], block: dict[str, Any]) -> None:
    found = blocks.media(**given)
    assert found == {**found, **block, "mime_type": given["mime_type"]}
    assert len(found) == 3


@pytest.mark.parametrize("mime", [None, ""])
def test_media_without_a_type(mime: str | None) -> None:
    assert blocks.media(mime, url="a.png") == {"type": "file", "url": "a.png"}
    assert blocks.media(mime, kind="image", file_id="f") == {"type": "image", "file_id": "f"}
    assert blocks.kind_of(mime) == "file"


def test_data_in_a_url_stands_in_the_block() -> None:
    url = f"data:image/png;base64,{PNG}"
    block = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    assert blocks.media(url=url) == block
    assert blocks.media("image/x", url=url) == {**block, "mime_type": "image/x"}
    assert blocks.media(url=f"data:;base64,{PNG}") == {"type": "file", "base64": PNG}
    for whole in ("data:text/plain,hi", "data:image/png;base64", "https://e.com/;base64,x"):
        assert blocks.media(url=whole) == {"type": "file", "url": whole}
    assert blocks.media(base64="x", url=url) == {"type": "file", "base64": "x"}


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ('{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ({1: 2}, {"1": 2}),
        ("", {}),
        (None, {}),
        ({}, {}),
    ],
)
def test_calls(arguments: Any, args: dict[str, Any]) -> None:
    call = blocks.call("f", arguments, "1")
    assert call == {"type": "tool_call", "name": "f", "args": args, "id": "1"}
    assert call["args"] is not arguments
    assert AIMessage("", tool_calls=[call]).tool_calls == [call]


@pytest.mark.parametrize("arguments", ["{", "[1]", " ", "1", [1], 5])
def test_calls_that_are_none(arguments: Any) -> None:
    call = blocks.call("f", arguments, None)
    assert call["type"] == "invalid_tool_call"
    assert (call["name"], call["args"], call["id"]) == ("f", str(arguments), None)
    assert call["error"]
    assert AIMessage("", invalid_tool_calls=[call]).invalid_tool_calls == [call]


def test_what_runs_at_the_provider_is_understood_by_langchain() -> None:
    asked = blocks.server_call("1", "search", {"q": "a"})
    told = [blocks.server_result("1", "b"), blocks.server_result("1", "c", failed=True)]
    message = AIMessage(blocks.content([asked, *told]))
    assert message.content_blocks == [asked, *told]
    assert [one["status"] for one in told] == ["success", "error"]


def test_usage() -> None:
    assert blocks.usage(0, 0) is None
    assert blocks.usage(0, 0, of_input={"cache_read": 1}) is None
    assert blocks.usage(3, 4) == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    found = blocks.usage(3, 4, 9, of_input={"cache_read": 0, "audio": 1}, of_output={"audio": 0})
    assert found == {
        "input_tokens": 3,
        "output_tokens": 4,
        "total_tokens": 9,
        "input_token_details": {"audio": 1},
    }
    assert AIMessage("", usage_metadata=found).usage_metadata == found
