"""What engines do around `os.fork`, so that a pre-forking server may open them first.

An engine that registers is asked to come to rest before a fork, and told afterwards on
which side it is. Nothing here runs for a child that only executes another program.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from _thread import interrupt_main
from typing import Protocol

logger = logging.getLogger("threadloom.stores")


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
_SHORTLY = 0.02
_interrupted = False
_lock = threading.Lock()


def register(engine: ForkAware) -> None:
    """Call `engine` around every fork for as long as it lives."""
    with _lock:
        _registered.add(engine)


def _before() -> None:
    # Python prints and forgets what a hook raises, and forks all the same. So nothing may get
    # out of here: whoever has come to rest must wake again, and an interrupt is sent anew.
    global _interrupted
    _interrupted = False
    try:
        _lock.acquire()
        for engine in list(_registered):
            try:
                engine.before_fork()
            except Exception as error:
                logger.warning("an engine did not come to rest before a fork: %s", error)
            else:
                _resting.append(engine)
    except BaseException:
        _interrupted = True


def _in_parent() -> None:
    _wake("after_fork_in_parent")
    with contextlib.suppress(RuntimeError):  # an interrupt came before it was locked
        _lock.release()
    if _interrupted:
        threading.Thread(target=_interrupt_soon, daemon=True).start()


def _interrupt_soon() -> None:
    """Interrupt the main thread once it has left the hook, where it would be forgotten, too."""
    while True:
        time.sleep(_SHORTLY)
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None and frame.f_code is not _in_parent.__code__:
            frame = frame.f_back
        if frame is None:
            return interrupt_main()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _wake("after_fork_in_child")


def _wake(name: str) -> None:
    while _resting:
        engine = _resting.pop()
        try:
            getattr(engine, name)()
        except Exception as error:
            logger.warning("an engine could not go on after a fork: %s", error)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
