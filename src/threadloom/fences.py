"""Fences: whoever writes inside a turn shows that the turn is still its own.

Taking a turn makes a record anew, and its version is the fence. Each write to the session from
inside the turn expects that version in its own batch, so a writer whose turn was taken over (or
whose session was deleted) cannot write, however late it wakes up. The fence travels in a context
variable, which LangGraph's threads and asyncio's tasks inherit (threads started by hand do not),
and, for graphs, in the config of the turn. A turn that its owner has ended fences nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

from threadloom.keys import FENCE, Namespace, SessionPaths
from threadloom.ops import Check

CONFIG_KEY = "__threadloom_fence"
"""Where a config carries the fence; LangGraph leaves out of metadata what begins so."""

_Key = tuple[int, Namespace, str]


class Fence:
    """The fence of one turn of this process; every context that inherits it shares it.

    Attributes:
        version: what writes have to find.
        ended: whether the turn was ended by whoever had it: then its fence is none any more.
    """

    __slots__ = ("ended", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.ended = False


_Fences = Mapping[_Key, Fence]
_fences: ContextVar[_Fences] = ContextVar("threadloom_fences", default=MappingProxyType({}))


def fence_of(paths: SessionPaths) -> int | None:
    """The fence that writes to a session have to find here; None outside of turns."""
    if paths.fence is not None:
        return paths.fence
    found = _fences.get().get(_key(paths))
    return None if found is None or found.ended else found.version


def checks(paths: SessionPaths) -> list[Check]:
    """The condition that the turn which a write belongs to is still on."""
    fence = fence_of(paths)
    return [] if fence is None else [Check(paths.tombstones, FENCE, fence)]


def enter(paths: SessionPaths, fence: Fence) -> None:
    """Fence what this context writes to a session from here on."""
    _fences.set({**_fences.get(), _key(paths): fence})


def leave(paths: SessionPaths, fence: Fence) -> None:
    """End what `enter` began; fences of other turns stay."""
    found = _fences.get()
    if found.get(_key(paths)) is fence:
        _fences.set({key: other for key, other in found.items() if other is not fence})


def _key(paths: SessionPaths) -> _Key:
    return paths.store, paths.sessions, paths.id
