"""Python's garbage collector, and work that makes it run for nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_MANY: Final = 64


@contextmanager
def without_collection(count: int = _MANY) -> Iterator[None]:
    """Pause collection while so many objects are made, of which none is garbage yet.

    Every 700 new ones would start it, and now and then one that looks at all that the process
    holds: that takes longer than to make them.

    Args:
        count: about how many; a few are not worth a pause.
    """
    pauses = count >= _MANY and gc.isenabled()
    try:
        if pauses:
            gc.disable()
        yield
    finally:
        if pauses:
            gc.enable()
