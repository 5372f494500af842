"""Streams: what other frameworks keep in a session, item by item, exactly as they gave it."""

from threadloom.streams.shown import Shown, Shows
from threadloom.streams.stream import SessionStream

__all__ = ["SessionStream", "Shown", "Shows"]
