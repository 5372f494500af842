"""A Messages API on the loopback interface, for the real CLI that the SDK brings.

It answers by what it is asked, so any number of processes may share one, and it remembers what
it was asked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOOL = "mcp__town__weather"
MODEL = "claude-sonnet-4-5"
USAGE = {
    "input_tokens": 11,
    "output_tokens": 5,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 2,
}


def texts(message: dict[str, Any]) -> str:
    """All text of a message, without what the CLI puts in for the model's eyes."""
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    found = [block["text"] for block in blocks if block["type"] == "text"]
    return "\n".join(text for text in found if "<system-reminder>" not in text)


def answer(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the model says: calls of tools first, then an answer that counts what it was told."""
    last = messages[-1]["content"]
    results = [b for b in last if b["type"] == "tool_result"] if isinstance(last, list) else []
    prompts = [texts(m) for m in messages if m["role"] == "user" and texts(m).strip()]
    if results:
        # The CLI adds reminders for the model behind the results.
        said = ", ".join(
            block["text"].strip()
            for result in results
            for block in result["content"]
            if "text" in block and "<system-reminder>" not in block["text"]
        )
        return [{"type": "text", "text": f"It is {said}."}]
    if "weather" in prompts[-1]:
        towns = [word for word in ("Oslo", "Lima") if word in prompts[-1]]
        return [{"type": "text", "text": "Let me look."}] + [
            {
                "type": "tool_use",
                "id": f"toolu_{town}" + "_" * (len(prompts) - 1),
                "name": TOOL,
                "input": {"town": town},
            }
            for town in towns
        ]
    return [{"type": "text", "text": f"You have asked {len(prompts)} questions."}]


class FakeApi(ThreadingHTTPServer):
    """Attributes:
    asked: the bodies of the requests of conversations, in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.other: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeApi
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if not self.path.startswith("/v1/messages"):
            self.server.other.append(self.path)
            self._send(404, "application/json", b"{}")
            return
        if "count_tokens" in self.path:
            self._send(200, "application/json", b'{"input_tokens": 10}')
            return
        if body.get("tools"):
            self.server.asked.append(body)
        content = answer(body["messages"])
        reason = "tool_use" if content[-1]["type"] == "tool_use" else "end_turn"
        message = {
            "id": f"msg_{id(body):x}",
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": USAGE,
        }
        if not body.get("stream"):
            self._send(200, "application/json", json.dumps(message).encode())
            return
        self._send(200, "text/event-stream", b"".join(_events(message)))

    def do_GET(self) -> None:
        self.server.other.append(self.path)
        self._send(404, "application/json", b"{}")

    do_HEAD = do_GET

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _events(message: dict[str, Any]) -> Iterator[bytes]:
    def event(type: str, **fields: Any) -> bytes:
        return f"event: {type}\ndata: {json.dumps({'type': type, **fields})}\n\n".encode()

    start = {**message, "content": [], "stop_reason": None}
    yield event("message_start", message=start)
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            yield event(
                "content_block_start", index=index, content_block={"type": "text", "text": ""}
            )
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            yield event("content_block_start", index=index, content_block={**block, "input": {}})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    yield event(
        "message_delta",
        delta={"stop_reason": message["stop_reason"], "stop_sequence": None},
        usage={"output_tokens": USAGE["output_tokens"]},
    )
    yield event("message_stop")


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    """Run one for a while."""
    server = FakeApi()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
