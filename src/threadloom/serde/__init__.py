"""Values to bytes and back, exactly and safely.

``Codec`` stores channel values, pending writes and messages. ``Opaque`` stands for a value
whose class the reading process does not have.
"""

from __future__ import annotations

from threadloom.serde.codec import Codec, Opened, Runs, opened
from threadloom.serde.format import LISTS
from threadloom.serde.opaque import Opaque
from threadloom.serde.plain_models import ModelKind, PlainModel, read_plain_model

__all__ = [
    "LISTS",
    "Codec",
    "ModelKind",
    "Opaque",
    "Opened",
    "PlainModel",
    "Runs",
    "opened",
    "read_plain_model",
]
