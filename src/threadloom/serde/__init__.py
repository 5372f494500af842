"""Values to bytes and back, exactly and safely.

``Codec`` stores channel values, pending writes and messages. ``Opaque`` stands for a value
whose class the reading process does not have.
"""

from __future__ import annotations

from threadloom.serde.codec import Codec, part_keys
from threadloom.serde.opaque import Opaque

__all__ = ["Codec", "Opaque", "part_keys"]
