"""Contents of messages: parts of the Responses API, and LangChain's standard blocks."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any

from threadloom import blocks

_TEXTS = {"input_text", "output_text", "text", "summary_text", "reasoning_text"}


def blocks_of(content: Any) -> list[blocks.Block]:
    """The content of an item as LangChain's blocks."""
    if isinstance(content, str):
        return [blocks.text(content)]
    if not isinstance(content, list | tuple):
        return []
    return [_block(part) for part in content]


def _block(part: Any) -> blocks.Block:
    if isinstance(part, str):
        return blocks.text(part)
    if not isinstance(part, Mapping):
        return {"type": "non_standard", "value": {"value": part}}
    kind = part.get("type")
    if kind in _TEXTS and isinstance(part.get("text"), str):
        return _text(part)
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return blocks.text(part["refusal"])
    found: blocks.Block | None = None
    if kind in ("input_image", "computer_screenshot"):
        found = image(part.get("image_url"), part.get("file_id"), part.get("detail"))
    elif kind == "input_file":
        found = _file(part)
    elif kind == "input_audio" and isinstance(sound := part.get("input_audio"), Mapping):
        found = blocks.media(f"audio/{sound.get('format')}", base64=str(sound.get("data")))
    return found or {"type": "non_standard", "value": dict(part)}


def _text(part: Mapping[str, Any]) -> blocks.Block:
    block = blocks.text(part["text"])
    marks = part.get("annotations")
    marks = marks if isinstance(marks, list | tuple) else ()
    found = [_annotation(mark) for mark in marks if isinstance(mark, Mapping)]
    if found:
        block["annotations"] = found
    return block


def _annotation(mark: Mapping[str, Any]) -> blocks.Block:
    """Where a text comes from, as LangChain's citation."""
    kind = mark.get("type")
    if kind not in ("url_citation", "file_citation", "container_file_citation"):
        return {"type": "non_standard_annotation", "value": dict(mark)}
    found: blocks.Block = {"type": "citation"}
    named = {"title": "title", "url": "url", "start_index": "start_index", "end_index": "end_index"}
    if kind != "url_citation":
        named = {"filename": "title", "start_index": "start_index", "end_index": "end_index"}
    found |= {name: mark[field] for field, name in named.items() if field in mark}
    rest = {key: value for key, value in mark.items() if key not in named and key != "type"}
    return {**found, "extras": rest} if rest else found


def image(url: Any = None, file_id: Any = None, detail: Any = None) -> blocks.Block | None:
    """An image as LangChain's block; None where it is nowhere."""
    if isinstance(url, str):
        block = blocks.media(kind="image", url=url)
    elif isinstance(file_id, str):
        block = blocks.media(kind="image", file_id=file_id)
    else:
        return None
    return {**block, "extras": {"detail": detail}} if detail is not None else block


def _file(part: Mapping[str, Any]) -> blocks.Block | None:
    name, data = part.get("filename"), part.get("file_data")
    guessed = mimetypes.guess_type(name)[0] if isinstance(name, str) else None
    if isinstance(data, str):
        where = {"url" if data.startswith("data:") else "base64": data}
        block = blocks.media(kind="file", **where)
        block.setdefault("mime_type", guessed or "application/octet-stream")
    elif isinstance(part.get("file_url"), str):
        block = blocks.media(guessed, kind="file", url=part["file_url"])
    elif isinstance(part.get("file_id"), str):
        block = blocks.media(kind="file", file_id=part["file_id"])
    else:
        return None
    return {**block, "extras": {"filename": name}} if isinstance(name, str) else block


def parts_of(content: Sequence[Any]) -> list[dict[str, Any]]:
    """LangChain's standard blocks as parts of an input item; without those that have no part."""
    found = (_part(block) for block in content if isinstance(block, Mapping))
    return [part for part in found if part is not None]


def _part(block: Mapping[str, Any]) -> dict[str, Any] | None:
    kind, extras = block.get("type"), block.get("extras") or {}
    data, mime = block.get("base64"), block.get("mime_type")
    whole = f"data:{mime or 'application/octet-stream'};base64,{data}" if data else None
    if kind in ("text", "text-plain") and isinstance(block.get("text"), str):
        return {"type": "input_text", "text": block["text"]}
    if kind == "image":
        part = {"type": "input_image", "detail": extras.get("detail", "auto")}
        if url := whole or block.get("url"):
            return {**part, "image_url": url}
        return {**part, "file_id": block["file_id"]} if block.get("file_id") else None
    if kind == "file":
        return _file_part(block, whole, extras.get("filename") or block.get("filename"))
    if kind == "audio" and data:
        form = str(mime or "audio/wav").partition("/")[2]
        form = {"mpeg": "mp3", "x-wav": "wav"}.get(form, form)
        return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    value = block.get("value")
    if isinstance(value, Mapping) and str(value.get("type")).startswith("input_"):
        return dict(value)
    return None


def _file_part(block: Mapping[str, Any], whole: str | None, name: Any) -> dict[str, Any] | None:
    part: dict[str, Any] = {"type": "input_file"}
    if whole:
        return {**part, "file_data": whole, "filename": name or "file"}
    if name:
        part["filename"] = name
    if block.get("url"):
        return {**part, "file_url": block["url"]}
    return {**part, "file_id": block["file_id"]} if block.get("file_id") else None
