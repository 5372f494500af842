"""Vectors: how they are stored, and which of them are nearest to another one.

They are stored with length 1, as 32-bit floats one after the other, so that a product is the
cosine. NumPy counts where it is installed. Scores are rounded to what 32 bits hold, so that
they, and the order that follows from them, do not depend on who counts.
"""

from __future__ import annotations

import functools
import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from importlib import util
from itertools import accumulate
from operator import mul
from typing import Any

from threadloom.errors import InvalidKey

WIDTH = 4
"""Bytes of one number of a vector."""

_DIGITS = 7
_AT_ONCE = 2**20
"""Numbers that are counted at once, which bounds the memory that it takes."""


def direction(vector: Iterable[Any], dims: int) -> list[float]:
    """A vector with its length made 1; one without a length stays as it is.

    Raises:
        InvalidKey: it has not `dims` numbers, or one of them is no finite number.
    """
    try:
        numbers = array("d", vector)
    except (TypeError, ValueError) as error:
        raise InvalidKey(f"an embedding is a list of numbers, got {vector!r:.80}") from error
    if len(numbers) != dims:
        raise InvalidKey(
            f"an embedding has {len(numbers)} numbers, the index was declared with dims={dims}"
        )
    length = math.hypot(*numbers)
    if not math.isfinite(length):
        raise InvalidKey("an embedding holds a number that is not finite, or far too large")
    return [number / length for number in numbers] if length else numbers.tolist()


def packed(numbers: Iterable[float]) -> bytes:
    """Numbers as they are stored."""
    packing = array("f", numbers)
    if sys.byteorder != "little":
        packing.byteswap()
    return packing.tobytes()


def scores(query: Sequence[float], stored: Sequence[bytes]) -> list[float | None]:
    """How near the nearest of several vectors is to another one, for each of several items.

    Args:
        query: a vector of length 1.
        stored: the vectors of each item, packed one after the other.

    Returns:
        The greatest cosine, from -1 to 1, for each item; None for one without vectors.
    """
    size = len(query) * WIDTH
    full = [vectors for vectors in stored if vectors]
    if not full:
        return [None] * len(stored)
    products = _numpy_products if has_numpy() else _plain_products
    found = products(query, b"".join(full))
    ends = list(accumulate(len(vectors) // size for vectors in full))
    best = iter(max(found[start:end]) for start, end in zip([0, *ends], ends, strict=False))
    return [_rounded(next(best)) if vectors else None for vectors in stored]


@functools.cache
def has_numpy() -> bool:
    """Whether NumPy is installed."""
    return util.find_spec("numpy") is not None


def _rounded(score: float) -> float:
    return max(-1.0, min(1.0, round(score, _DIGITS))) + 0.0  # no minus before a nought


def _numpy_products(query: Sequence[float], vectors: bytes) -> list[float]:
    import numpy as np

    wanted = np.array(query, dtype=np.float64)
    matrix = np.frombuffer(vectors, dtype="<f4").reshape(-1, len(query))
    rows = max(1, _AT_ONCE // len(query))
    found: list[float] = []
    for start in range(0, len(matrix), rows):
        found += (matrix[start : start + rows].astype(np.float64) @ wanted).tolist()
    return found


def _plain_products(query: Sequence[float], vectors: bytes) -> list[float]:
    numbers = array("f")
    numbers.frombytes(vectors)
    if sys.byteorder != "little":
        numbers.byteswap()
    size = len(query)
    return [
        math.fsum(map(mul, query, numbers[start : start + size]))
        for start in range(0, len(numbers), size)
    ]
