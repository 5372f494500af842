"""Vectors: with NumPy and without it, the same nearness to the last digit."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadloom import items, vectors
from threadloom.errors import CorruptRecord, InvalidKey
from threadloom.ops import Record

NUMBERS = st.floats(0.001, 1e6) | st.floats(-1e6, -0.001) | st.integers(-3, 3)
MATRIX = st.integers(1, 5).flatmap(
    lambda dims: st.tuples(
        st.lists(NUMBERS, min_size=dims, max_size=dims),
        st.lists(st.lists(st.lists(NUMBERS, min_size=dims, max_size=dims), max_size=3), max_size=6),
    )
)


def stored(item: list[list[float]], dims: int) -> bytes:
    return b"".join(vectors.packed(vectors.direction(vector, dims)) for vector in item)


@given(MATRIX)
def test_both_ways_of_counting_agree(given: tuple[list[float], list[list[list[float]]]]) -> None:
    asked, documents = given
    query = vectors.direction(asked, len(asked))
    packed = [stored(item, len(asked)) for item in documents]
    assert vectors.has_numpy()
    by_numpy = vectors.scores(query, packed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "has_numpy", lambda: False)
        assert vectors.scores(query, packed) == by_numpy
    for item, score in zip(documents, by_numpy, strict=True):
        if not item:
            assert score is None
            continue
        assert score is not None
        assert score == pytest.approx(max(cosine(asked, vector) for vector in item), abs=1e-6)


def cosine(one: list[float], other: list[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def test_many_vectors_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_AT_ONCE", 4)
    packed = [stored([[float(n), 1.0, 0.0]], 3) for n in range(9)]
    scores = vectors.scores([1.0, 0.0, 0.0], packed)
    assert scores == [round(n / math.hypot(n, 1), 7) for n in range(9)]


def test_a_score_is_never_beyond_one() -> None:
    query = vectors.direction([0.1, 0.2, 0.3], 3)
    assert vectors.scores(query, [vectors.packed(query)]) == [1.0]
    assert vectors.scores(query, [vectors.packed([-n for n in query])]) == [-1.0]


@pytest.mark.parametrize(
    "vector",
    [[1.0], [1.0, float("nan")], [1.0, float("inf")], [1.7e308, 1.7e308], "ab", 5, None, [1, None]],
)
def test_what_is_no_vector_is_refused(vector: Any) -> None:
    with pytest.raises(InvalidKey):
        vectors.direction(vector, 2)


def record(blob: bytes | None, *namespace: str) -> Record:
    return Record(namespace or ("n",), "k", {}, blob, None, 1, 0, 0)


def test_what_an_item_has_beside_its_value_comes_back() -> None:
    packed = vectors.packed([1.0, 0.0])
    for life in (None, 1, 2**60):
        for some in ([], [packed], [packed, packed]):
            blob = items.encode(life, 2 if some else 0, some)
            found = items.decode(record(blob))
            assert (found.life, found.vectors) == (life, b"".join(some))
            assert (blob is None) == (life is None and not some)


def test_blobs_of_others_are_left_alone() -> None:
    for blob in (None, b"", b"x", b"\x93it", b"anything at all"):
        assert items.decode(record(blob)) == items.NOTHING
    torn = items.encode(5, 0, [])
    assert torn is not None
    assert items.decode(record(torn[:-1], "memory", "s")) == items.NOTHING


@pytest.mark.parametrize("damage", ["short", "long", "head", "life"])
def test_a_damaged_blob_is_damage(damage: str) -> None:
    blob = items.encode(5, 2, [vectors.packed([1.0, 0.0])])
    assert blob is not None
    torn = {
        "short": blob[:-1],
        "long": blob + b"\0",
        "head": blob[:10],
        "life": blob[:4] + struct.pack("<q", -2) + blob[12:],
    }[damage]
    with pytest.raises(CorruptRecord, match="'k'"):
        items.decode(record(torn))
