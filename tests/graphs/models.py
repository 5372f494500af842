"""A chat model that answers from a script, and states that several themes share."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, StateGraph


class ScriptedChat(BaseChatModel):
    """Answers with the script's entry for the number of answers already in the conversation, so a
    replay or a fork gets the answer that belongs there."""

    script: list[AIMessage]

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        given = sum(isinstance(m, AIMessage) for m in messages)
        return self.script[given % len(self.script)].model_copy(deep=True)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._answer(messages)
        pieces: list[AIMessageChunk] = [
            AIMessageChunk(content=word + " ") for word in str(answer.content).split()
        ]
        if answer.tool_calls:
            calls: list[Any] = [
                {
                    "name": c["name"],
                    "args": str(c["args"]).replace("'", '"'),
                    "id": c["id"],
                    "index": i,
                    "type": "tool_call_chunk",
                }
                for i, c in enumerate(answer.tool_calls)
            ]
            pieces.append(AIMessageChunk(content="", tool_call_chunks=calls))
        pieces.append(
            AIMessageChunk(
                content="",
                usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
                chunk_position="last",
            )
        )
        for piece in pieces:
            chunk = ChatGenerationChunk(message=piece)
            if run_manager:
                run_manager.on_llm_new_token(str(piece.content), chunk=chunk)
            yield chunk

    @property
    def _llm_type(self) -> str:
        return "scripted"


class Log(TypedDict):
    log: Annotated[list[str], operator.add]


def says(word: str) -> Callable[[Any], dict[str, list[str]]]:
    """A node that adds one word to the log."""

    def node(state: Any) -> dict[str, list[str]]:
        return {"log": [word]}

    return node


def chain_of(*words: str, schema: Any = Log) -> StateGraph[Any]:
    """A straight line of nodes, each adding its own name to the log."""
    builder = StateGraph(schema)
    before = START
    for word in words:
        builder.add_node(word, says(word))
        builder.add_edge(before, word)
        before = word
    return builder
