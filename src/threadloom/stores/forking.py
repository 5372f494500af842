"""What engines do around `os.fork`, so that a pre-forking server may open them first.

An engine that registers is asked to come to rest before a fork, and told afterwards on
which side it is. Nothing here runs for a child that only executes another program.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """The three moments around a fork."""

    def before_fork(self) -> None:
        """Come to rest: nothing half done, no lock held by another thread."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Go on as a copy: threads are gone, handles must be opened anew."""


_registered: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_resting: list[ForkAware] = []
_lock = threading.Lock()


def register(engine: ForkAware) -> None:
    """Call `engine` around every fork for as long as it lives."""
    with _lock:
        _registered.add(engine)


def _before() -> None:
    _lock.acquire()
    _resting[:] = list(_registered)
    for engine in _resting:
        engine.before_fork()


def _in_parent() -> None:
    for engine in _resting:
        engine.after_fork_in_parent()
    _resting.clear()
    _lock.release()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for engine in _resting:
        engine.after_fork_in_child()
    _resting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
