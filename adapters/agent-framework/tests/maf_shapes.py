"""Contents of every type of the framework's, and what shows each."""

from __future__ import annotations

from typing import Any

from agent_framework import Content
from langchain_core.messages import ToolMessage

PNG = Content.from_data(b"\x89PNG\r\n\x1a\n", "image/png")
BASE64 = PNG.uri.partition(",")[2] if PNG.uri else ""
CALL = Content.from_function_call("c1", "look", arguments={"at": "sea"}, id="o1")
NOTE = {"type": "citation", "title": "Sea", "url": "https://example.org", "annotated_regions": []}
SURELY: dict[str, Any] = {"additional_properties": {"deep": [1, {"x": None}]}}

# Contents of every type, each with what shows it in a message of the assistant's: a content, or
# the calls, or a result.
SHAPES: dict[str, list[tuple[Content, Any]]] = {
    "text": [
        (Content.from_text("hi"), "hi"),
        (Content.from_text(""), ""),
        (Content.from_text("hi", annotations=[NOTE], **SURELY), "hi"),
    ],
    "text_reasoning": [
        (Content.from_text_reasoning(text="so"), [{"type": "reasoning", "reasoning": "so"}]),
        (Content.from_text_reasoning(id="r", protected_data="sealed"), None),
    ],
    "data": [
        (PNG, [{"type": "image", "base64": BASE64, "mime_type": "image/png"}]),
        (
            Content.from_data(b"%PDF-", "application/pdf"),
            [{"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf"}],
        ),
    ],
    "uri": [
        (
            Content.from_uri("https://example.org/a.mp3", media_type="audio/mpeg"),
            [{"type": "audio", "url": "https://example.org/a.mp3", "mime_type": "audio/mpeg"}],
        ),
    ],
    "error": [
        (Content.from_error(message="too long", error_code="E1"), "E1: too long"),
        (Content.from_error(), "error"),
    ],
    "function_call": [
        (CALL, [("c1", "look", {"at": "sea"})]),
        (
            Content.from_function_call("c2", "look", arguments='{"at": 1}'),
            [("c2", "look", {"at": 1})],
        ),
        (Content.from_function_call("c3", "look"), [("c3", "look", {})]),
        (Content.from_function_call("c4", "look", arguments='{"at":'), [("c4", "look", '{"at":')]),
        (
            Content.from_function_call("c5", "find", informational_only=True),
            [{"type": "server_tool_call", "id": "c5", "name": "find", "args": {}}],
        ),
    ],
    "function_result": [
        (Content.from_function_result("c1", result="blue"), ToolMessage("blue", tool_call_id="c1")),
        (
            Content.from_function_result("c1", result=[Content.from_text("see"), PNG]),
            ToolMessage(
                [
                    {"type": "text", "text": "see"},
                    {"type": "image", "base64": BASE64, "mime_type": "image/png"},
                ],
                tool_call_id="c1",
            ),
        ),
        (
            Content.from_function_result("c1", result="no", exception="broken"),
            ToolMessage("no", tool_call_id="c1", status="error"),
        ),
        (Content.from_function_result("c1"), ToolMessage("", tool_call_id="c1")),
    ],
    "usage": [(Content.from_usage({"input_token_count": 3, "output_token_count": 2}), "")],
    "hosted_file": [
        (Content.from_hosted_file("f1", name="a"), [{"type": "file", "file_id": "f1"}]),
    ],
    "hosted_vector_store": [(Content.from_hosted_vector_store("v1"), "as it is")],
    "code_interpreter_tool_call": [
        (
            Content.from_code_interpreter_tool_call(call_id="c", inputs=[Content.from_text("1+1")]),
            [
                {
                    "type": "server_tool_call",
                    "id": "c",
                    "name": "code_interpreter",
                    "args": {"input": "1+1"},
                }
            ],
        ),
    ],
    "code_interpreter_tool_result": [
        (
            Content.from_code_interpreter_tool_result(
                call_id="c", outputs=[Content.from_text("2")]
            ),
            [
                {
                    "type": "server_tool_result",
                    "tool_call_id": "c",
                    "status": "success",
                    "output": "2",
                }
            ],
        ),
    ],
    "image_generation_tool_call": [
        (
            Content.from_image_generation_tool_call(image_id="i"),
            [{"type": "server_tool_call", "id": "i", "name": "image_generation", "args": {}}],
        ),
    ],
    "image_generation_tool_result": [
        (
            Content.from_image_generation_tool_result(image_id="i", outputs=PNG),
            [
                {
                    "type": "server_tool_result",
                    "tool_call_id": "i",
                    "status": "success",
                    "output": [{"type": "image", "base64": BASE64, "mime_type": "image/png"}],
                }
            ],
        ),
    ],
    "mcp_server_tool_call": [
        (
            Content.from_mcp_server_tool_call("m", "find", server_name="web", arguments={"q": 1}),
            [{"type": "server_tool_call", "id": "m", "name": "find", "args": {"q": 1}}],
        ),
    ],
    "mcp_server_tool_result": [
        (
            Content.from_mcp_server_tool_result("m", output=[Content.from_text("found")]),
            [
                {
                    "type": "server_tool_result",
                    "tool_call_id": "m",
                    "status": "success",
                    "output": "found",
                }
            ],
        ),
        (
            Content.from_mcp_server_tool_result("m", output={"rows": [1]}),
            [
                {
                    "type": "server_tool_result",
                    "tool_call_id": "m",
                    "status": "success",
                    "output": '{"rows": [1]}',
                }
            ],
        ),
    ],
    "search_tool_call": [
        (
            Content.from_search_tool_call("s", tool_name="files", arguments={"q": "x"}),
            [{"type": "server_tool_call", "id": "s", "name": "files", "args": {"q": "x"}}],
        ),
    ],
    "search_tool_result": [
        (
            Content.from_search_tool_result("s", tool_name="files", items=[Content.from_text("y")]),
            [
                {
                    "type": "server_tool_result",
                    "tool_call_id": "s",
                    "status": "success",
                    "output": "y",
                }
            ],
        ),
    ],
    "shell_tool_call": [
        (
            Content.from_shell_tool_call(call_id="h", commands=["ls"], timeout_ms=5),
            [
                {
                    "type": "server_tool_call",
                    "id": "h",
                    "name": "shell",
                    "args": {"commands": ["ls"]},
                }
            ],
        ),
    ],
    "shell_tool_result": [
        (
            Content.from_shell_tool_result(
                call_id="h",
                outputs=[Content.from_shell_command_output(stdout="a", stderr="b", exit_code=0)],
            ),
            [
                {
                    "type": "server_tool_result",
                    "tool_call_id": "h",
                    "status": "success",
                    "output": "a\nb",
                }
            ],
        ),
    ],
    "shell_command_output": [
        (Content.from_shell_command_output(stdout="out", timed_out=True), "out"),
    ],
    "computer_tool_call": [
        (
            Content(
                "computer_tool_call",
                id="o",
                call_id="k",
                actions=[{"type": "click", "x": 1}],
                pending_safety_checks=[{"id": "p"}],
                user_input_request=True,
            ),
            [("k", "computer", {"actions": [{"type": "click", "x": 1}]})],
        ),
    ],
    "computer_tool_result": [
        (
            Content("computer_tool_result", call_id="k", screenshot=PNG),
            ToolMessage(
                [{"type": "image", "base64": BASE64, "mime_type": "image/png"}], tool_call_id="k"
            ),
        ),
    ],
    "function_approval_request": [
        (Content.from_function_approval_request("o1", CALL), [("c1", "look", {"at": "sea"})]),
    ],
    "function_approval_response": [
        (Content.from_function_approval_response(True, "o1", CALL), None),
        (Content.from_function_approval_response(False, "o1", CALL), None),
    ],
    "oauth_consent_request": [
        (Content.from_oauth_consent_request("https://example.org/consent"), "as it is"),
    ],
}
