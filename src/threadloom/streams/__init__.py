"""Streams: what other frameworks keep in a session, item by item, exactly as they gave it."""

from threadloom.streams.shared import SharedState
from threadloom.streams.showing import Shown, Shows
from threadloom.streams.stream import SessionStream

__all__ = ["SessionStream", "SharedState", "Shown", "Shows"]
