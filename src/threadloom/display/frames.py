"""Sessions, messages, checkpoints and statistics as tables of pandas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from threadloom import CheckpointTree, MissingAdapter
from threadloom.models import MessageList, SessionMatches, SessionPage, StorageStats
from threadloom.words.branches import marks
from threadloom.words.speech import said

if TYPE_CHECKING:
    from pandas import DataFrame

_SESSION = (
    *("id", "name", "owner", "tags", "agent_name", "framework", "status", "message_count"),
    *("turn_count", "total_tokens", "conflicts", "created_at", "updated_at", "expires_at"),
    "metadata",
)
_MESSAGE = ("id", "type", "name", "text", "tool_calls", "tool_call_id", "tokens", "at")
_NODE = (
    *("id", "parent", "namespace", "step", "source", "created_at", "is_head", "is_tip"),
    *("writes", "messages", "bytes"),
)


@singledispatch
def frame(shown: object) -> DataFrame:
    """Something with rows as a data frame, one row for each; empty where there are none.

    Raises:
        MissingAdapter: pandas is not installed.
    """
    raise TypeError(f"a {type(shown).__name__} has no rows")


@frame.register(SessionPage)
def _sessions(shown: SessionPage) -> DataFrame:
    return _frame(_SESSION, ([getattr(info, name) for name in _SESSION] for info in shown))


@frame.register(SessionMatches)
def _matches(shown: SessionMatches) -> DataFrame:
    return _frame(
        ("score", "snippet", *_SESSION),
        (
            [match.score, match.snippet, *(getattr(match.session, name) for name in _SESSION)]
            for match in shown
        ),
    )


@frame.register(MessageList)
def _conversation(shown: MessageList) -> DataFrame:
    return _frame(_MESSAGE, (_message(message, shown) for message in shown))


def _message(message: BaseMessage, shown: MessageList) -> list[Any]:
    ai = message if isinstance(message, AIMessage) else None
    usage = None if ai is None else ai.usage_metadata
    return [
        message.id,
        message.type,
        message.name,
        said(message),
        [] if ai is None else list(ai.tool_calls),
        message.tool_call_id if isinstance(message, ToolMessage) else None,
        None if usage is None else usage.get("total_tokens"),
        shown.times.get(message.id or ""),
    ]


@frame.register(CheckpointTree)
def _tree(shown: CheckpointTree) -> DataFrame:
    rows = ([*(getattr(node, name) for name in _NODE), marks(node)] for node in shown.nodes)
    return _frame((*_NODE, "marks"), rows)


@frame.register(StorageStats)
def _statistics(shown: StorageStats) -> DataFrame:
    return _frame(
        ("kind", "records", "bytes"),
        ([kind.kind, kind.records, kind.bytes] for kind in shown.kinds),
    )


def _frame(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> DataFrame:
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise MissingAdapter("to_pandas needs pandas: pip install pandas") from error
    return DataFrame([list(row) for row in rows], columns=list(columns))


__all__ = ["frame"]
