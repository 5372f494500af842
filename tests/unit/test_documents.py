"""Documents as JSON: strict on the way in, exact on the way out."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadloom.documents import check_json, decode_doc, encode_doc
from threadloom.errors import CorruptRecord, SerializationError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
DOCS = st.dictionaries(TEXT, JSON, max_size=4)


def typed(value: Any) -> str:
    """A value with its types, so that 1, 1.0 and True differ, and -0.0 and 0.0."""
    return repr(value)


@given(DOCS)
def test_a_document_comes_back_exactly(doc: dict[str, Any]) -> None:
    encoded = encode_doc(doc)
    assert typed(decode_doc(encoded)) == typed(doc)
    assert typed(decode_doc(encoded.decode())) == typed(doc)


@given(DOCS)
def test_what_is_written_is_json(doc: dict[str, Any]) -> None:
    assert json.loads(encode_doc(doc)) == doc


@pytest.mark.parametrize(
    "number",
    [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**100, -(2**63), -(2**63) - 1, -(10**40),
     0.1, 1e22, 1.7976931348623157e308, 5e-324, -0.0, 1234567890123456789.0],
)  # fmt: skip
def test_numbers_are_exact(number: float) -> None:
    assert typed(decode_doc(encode_doc({"n": number, "in": [{"n": number}]}))["n"]) == typed(number)


def test_long_digits_in_texts_stay_texts() -> None:
    doc = {"12345678901234567890123": "98765432109876543210", "f": 0.12345678901234567890}
    assert typed(decode_doc(encode_doc(doc))) == typed(doc)


class Point(NamedTuple):
    x: int
    y: int


class Words(str):
    __slots__ = ()


class Whole(int):
    pass


@given(DOCS)
def test_check_json_copies(doc: dict[str, Any]) -> None:
    copied = check_json(doc)
    assert typed(copied) == typed(doc)
    assert copied is not doc


def test_check_json_makes_plain_values() -> None:
    made = check_json(
        {
            Words("k"): Words("w"),
            "i": Whole(3),
            "t": (1, (2, Point(3, 4))),
            "m": MappingProxyType({"a": OrderedDict(b=1)}),
        }
    )
    assert typed(made) == typed({"k": "w", "i": 3, "t": [1, [2, [3, 4]]], "m": {"a": {"b": 1}}})
    assert {type(key) for key in made} == {str}
    assert [type(made[key]) for key in ("k", "i", "t", "m")] == [str, int, list, dict]


def test_encode_takes_what_check_json_takes() -> None:
    doc: Any = MappingProxyType({"p": Point(1, 2), "w": Words("w"), "n": 2**70})
    assert decode_doc(encode_doc(doc)) == {"p": [1, 2], "w": "w", "n": 2**70}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        ("\ud800", "lone surrogate"),
        ("a\udfff", "lone surrogate"),
        (b"bytes", "bytes"),
        ({1, 2}, "set"),
        (object(), "object"),
        (datetime(2026, 1, 1, tzinfo=UTC), "datetime"),
        (Decimal(1), "Decimal"),
        (1j, "complex"),
        (UUID(int=1), "UUID"),
        (len, "builtin_function_or_method"),
    ],
)
def test_what_is_no_json_is_named_with_its_place(value: Any, named: str) -> None:
    with pytest.raises(SerializationError) as caught:
        check_json({"a": [0, {"b c": value}]}, "the value of 'k'")
    assert named in str(caught.value)
    assert "the value of 'k'['a'][1]['b c']" in str(caught.value)


@pytest.mark.parametrize("key", [1, None, True, 1.5, ("a",), b"a"])
def test_keys_are_strings(key: Any) -> None:
    for refuse in (check_json, encode_doc):
        with pytest.raises(SerializationError, match="keys must be strings"):
            refuse({"a": {key: 1}})


def test_a_key_with_a_lone_surrogate_is_refused() -> None:
    for refuse in (check_json, encode_doc):
        with pytest.raises(SerializationError, match=r"a key of document.*lone surrogate"):
            refuse({"a\ud800": 1})


@pytest.mark.parametrize(
    "value", [b"bytes", {1, 2}, object(), "\ud800", datetime(2026, 1, 1, tzinfo=UTC), Decimal(1)]
)
def test_encode_refuses_what_is_no_json(value: Any) -> None:
    with pytest.raises(SerializationError):
        encode_doc({"a": [value]})


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"1", b'"a"', b"{'a': 1}", b'{"a": 1', b'{"a": NaN}', b"\xff\xfe",
     b'{"a": 12345678901234567890', b"[12345678901234567890]", "{", "[]", ""],
)  # fmt: skip
def test_damage_is_told_and_nothing_guessed(data: bytes | str) -> None:
    with pytest.raises(CorruptRecord):
        decode_doc(data)
