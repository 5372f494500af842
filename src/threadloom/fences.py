"""Fences: whoever writes inside a turn shows that the turn is still its own.

Taking a turn makes a record anew, and its version is the fence. Each write inside the turn
expects that version in its own batch, so a writer whose turn was taken over (or whose session
was deleted) cannot write, however late it wakes up. The fence travels in a context variable,
which LangGraph's threads and asyncio's tasks inherit, and in the config of the turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType

from threadloom.keys import FENCE, Namespace, SessionPaths
from threadloom.ops import Check

CONFIG_KEY = "__threadloom_fence"
"""Where a config carries the fence; LangGraph leaves out of metadata what begins so."""

_Key = tuple[int, Namespace, str]
_Fences = Mapping[_Key, int]
_fences: ContextVar[_Fences] = ContextVar("threadloom_fences", default=MappingProxyType({}))


def fence_of(paths: SessionPaths) -> int | None:
    """The fence that writes to a session have to find here; None outside of turns."""
    return paths.fence if paths.fence is not None else _fences.get().get(_key(paths))


def checks(paths: SessionPaths) -> list[Check]:
    """The condition that the turn which a write belongs to is still on."""
    fence = fence_of(paths)
    return [] if fence is None else [Check(paths.tombstones, FENCE, fence)]


def enter(paths: SessionPaths, fence: int) -> Token[_Fences]:
    """Fence what this context writes to a session from here on."""
    return _fences.set({**_fences.get(), _key(paths): fence})


def leave(paths: SessionPaths, token: Token[_Fences]) -> None:
    """End what `enter` began."""
    try:
        _fences.reset(token)
    except ValueError:  # it was entered in another context, such as another task
        _fences.set({key: fence for key, fence in _fences.get().items() if key != _key(paths)})


def _key(paths: SessionPaths) -> _Key:
    return paths.store, paths.sessions, paths.id
