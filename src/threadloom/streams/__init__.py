"""Streams: what other frameworks keep in a session, item by item, exactly as they gave it."""

from threadloom.streams.shown import Shown, Shows
from threadloom.streams.stream import SessionStream
from threadloom.streams.writing import SessionChange

__all__ = ["SessionChange", "SessionStream", "Shown", "Shows"]
