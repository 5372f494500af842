"""The types of LangChain and LangGraph that always load, each with its number.

The numbers are part of the stored format: never change or reuse one; add at the end of a
block. The classes are looked up when this module is imported, never because of stored data;
what an installed version does not have is left out.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from threadloom.serde.classes import Plan, add_known

_TABLE: Final[dict[str, dict[int, str]]] = {
    "langchain_core.messages.base": {1: "BaseMessage", 2: "BaseMessageChunk", 3: "TextAccessor"},
    "langchain_core.messages.human": {4: "HumanMessage", 5: "HumanMessageChunk"},
    "langchain_core.messages.ai": {6: "AIMessage", 7: "AIMessageChunk"},
    "langchain_core.messages.system": {8: "SystemMessage", 9: "SystemMessageChunk"},
    "langchain_core.messages.chat": {10: "ChatMessage", 11: "ChatMessageChunk"},
    "langchain_core.messages.tool": {12: "ToolMessage", 13: "ToolMessageChunk"},
    "langchain_core.messages.function": {14: "FunctionMessage", 15: "FunctionMessageChunk"},
    "langchain_core.messages.modifier": {16: "RemoveMessage"},
    "langchain_core.documents.base": {30: "Document", 31: "Blob"},
    "langchain_core.agents": {
        32: "AgentAction",
        33: "AgentActionMessageLog",
        34: "AgentStep",
        35: "AgentFinish",
    },
    "langchain_core.prompt_values": {
        36: "StringPromptValue",
        37: "ChatPromptValue",
        38: "ChatPromptValueConcrete",
        39: "ImagePromptValue",
    },
    "langchain_core.outputs.generation": {40: "Generation", 41: "GenerationChunk"},
    "langchain_core.outputs.chat_generation": {42: "ChatGeneration", 43: "ChatGenerationChunk"},
    "langchain_core.outputs.chat_result": {44: "ChatResult"},
    "langchain_core.outputs.llm_result": {45: "LLMResult"},
    "langchain_core.outputs.run_info": {46: "RunInfo"},
    "langchain_core.runnables.utils": {47: "AddableDict"},
    "langgraph.types": {
        60: "Send",
        61: "TimeoutPolicy",
        62: "Interrupt",
        63: "Command",
        64: "Overwrite",
        65: "StateSnapshot",
        66: "PregelTask",
        67: "StateUpdate",
        68: "CacheKey",
        69: "GraphOutput",
    },
    "langgraph.store.base": {
        80: "Item",
        81: "SearchItem",
        82: "GetOp",
        83: "PutOp",
        84: "SearchOp",
        85: "ListNamespacesOp",
        86: "MatchCondition",
    },
    "langgraph.checkpoint.serde.types": {90: "_DeltaSnapshot"},
    "langgraph.checkpoint.base": {91: "CheckpointTuple"},
    "langgraph.errors": {92: "NodeError"},
}

NAMES: Final[dict[int, str]] = {
    code: f"{module}:{name}" for module, entries in _TABLE.items() for code, name in entries.items()
}
"""Every number that was ever given out."""


def _resolve() -> dict[int, tuple[type, Plan]]:
    found: dict[int, tuple[type, Plan]] = {}
    for module_name, entries in _TABLE.items():
        try:
            namespace = vars(import_module(module_name))
        except ImportError:
            continue
        for code, name in entries.items():
            cls = namespace.get(name)
            if isinstance(cls, type):
                found[code] = cls, add_known(cls, code)
    return found


BY_CODE: Final = _resolve()
