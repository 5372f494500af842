"""What adapters make LangChain's messages of: contents, blocks, calls of tools, counts of tokens.

Blocks have no ids of their own, unlike those that LangChain's functions make: what shows an item
has to be the same each time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call

Block: TypeAlias = dict[str, Any]
Content: TypeAlias = str | list[str | dict[str, Any]]
Kind: TypeAlias = Literal["image", "audio", "video", "file"]

_KINDS: Final[tuple[Kind, ...]] = ("image", "audio", "video")


def content(blocks: Sequence[Block]) -> Content:
    """Blocks as the content of a message: the text itself where there is nothing else.

    Args:
        blocks: in order; none give an empty text.
    """
    if not blocks:
        return ""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} and blocks[0]["type"] == "text":
        return str(blocks[0]["text"])
    return list(blocks)


def text(said: str) -> Block:
    """A text as a block."""
    return {"type": "text", "text": said}


def media(
    mime_type: str | None = None,
    *,
    kind: Kind | None = None,
    base64: str | None = None,
    url: str | None = None,
    file_id: str | None = None,
) -> Block:
    """An image, a sound, a video or another file as a block.

    Args:
        mime_type: such as ``"image/png"``; left out where it is not known.
        kind: what it is, where the type does not tell.
        base64: what is in it.
        url: where it is, if that is not given. What is in a ``data:`` URL stands in the block as
            base64, with the URL's type where none is given.
        file_id: what a provider calls it, if neither is given.
    """
    if base64 is None and url is not None:
        mime_type, base64 = _in_url(mime_type, url)
    block: Block = {"type": kind or kind_of(mime_type)}
    if base64 is not None:
        block["base64"] = base64
    elif url is not None:
        block["url"] = url
    elif file_id is not None:
        block["file_id"] = file_id
    if mime_type:
        block["mime_type"] = mime_type
    return block


def kind_of(mime_type: str | None) -> Kind:
    """What kind of block a file is; ``"file"`` where its type is another one, or not known."""
    main = (mime_type or "").partition("/")[0]
    return next((kind for kind in _KINDS if kind == main), "file")


def _in_url(mime_type: str | None, url: str) -> tuple[str | None, str | None]:
    """The type, and what is in a URL; None where it says only where that is."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        return mime_type, None
    return mime_type or head.removeprefix("data:").removesuffix(";base64"), data


def call(name: str, arguments: Any, id: str | None) -> ToolCall | InvalidToolCall:
    """The call of a tool: an invalid one where the arguments are no JSON object.

    Args:
        name: of the tool.
        arguments: a mapping, or JSON as models write it; nothing at all gives no arguments.
        id: of the call.
    """
    args, problem = arguments, "the arguments are no JSON object"
    if not isinstance(args, Mapping):
        try:
            args = json.loads(args) if args else {}
        except (TypeError, ValueError) as error:
            problem = str(error)
    if isinstance(args, Mapping):
        return tool_call(name=name, args={str(key): arg for key, arg in args.items()}, id=id)
    return invalid_tool_call(name=name, args=str(arguments), id=id, error=problem)


def server_call(id: str, name: str, args: Mapping[str, Any]) -> Block:
    """A call of a tool that the model's provider runs by itself, within an answer, as a block."""
    return {"type": "server_tool_call", "id": id, "name": name, "args": dict(args)}


def server_result(id: str, output: Any, *, failed: bool = False) -> Block:
    """What such a call has given, as a block."""
    status = "error" if failed else "success"
    return {"type": "server_tool_result", "tool_call_id": id, "status": status, "output": output}


def usage(
    put_in: int,
    put_out: int,
    total: int = 0,
    *,
    of_input: Mapping[str, int] | None = None,
    of_output: Mapping[str, int] | None = None,
) -> UsageMetadata | None:
    """The tokens that an answer has used; None where none are known.

    Args:
        put_in, put_out: what the model was given, and what it made.
        total: of both; their sum where it is 0.
        of_input, of_output: parts of them by LangChain's names, such as ``cache_read`` and
            ``reasoning``; those that are 0 are left out.
    """
    if not (put_in or put_out or total):
        return None
    made = UsageMetadata(
        input_tokens=put_in, output_tokens=put_out, total_tokens=total or put_in + put_out
    )
    if parts := _known(of_input):
        made["input_token_details"] = cast(InputTokenDetails, parts)
    if parts := _known(of_output):
        made["output_token_details"] = cast(OutputTokenDetails, parts)
    return made


def _known(parts: Mapping[str, int] | None) -> dict[str, int]:
    return {name: count for name, count in (parts or {}).items() if count}
