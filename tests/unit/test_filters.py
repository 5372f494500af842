"""Filters over documents, compared as JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadloom.errors import InvalidKey
from threadloom.filters import equal, matches

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=6,
)
DOC: dict[str, Any] = {
    "n": 5, "f": 5.0, "big": 2**60 + 1, "huge": 10**30, "t": True, "no": False, "zero": 0,
    "s": "b", "null": None, "list": [1, "a", [2], {"k": 1}], "none": [],
    "d": {"a": {"b": 1, "c": None}, "x": [1]}, "a.b": "dotted",
}  # fmt: skip


@pytest.mark.parametrize("filter", [None, {}])
@pytest.mark.parametrize("doc", [None, {}, DOC])
def test_no_filter_lets_everything_pass(doc: Any, filter: Any) -> None:
    assert matches(doc, filter)


PASS: list[dict[str, Any]] = [
    {"n": 5}, {"n": 5.0}, {"f": 5}, {"t": True}, {"null": None}, {"missing": None}, {"s": "b"},
    {"big": 2**60 + 1}, {"list": [1, "a", [2], {"k": 1}]}, {"list": (1.0, "a", [2], {"k": 1})},
    {"none": []}, {"d": {"a": {"b": 1}}}, {"d": {"a": {"c": None}}}, {"d": {"q": None}},
    {"d": {}}, {"d": {"x": [1]}}, {"a.b": "dotted"}, {"n": 5, "s": "b", "d": {"a": {"b": 1}}},
    {"n": {"$eq": 5.0}}, {"n": {"$ne": True}}, {"t": {"$ne": 1}}, {"missing": {"$ne": 0}},
    {"missing": {"$eq": None}}, {"n": {"$gt": 4, "$gte": 5, "$lt": 5.5, "$lte": 5}},
    {"big": {"$gt": 2**60}}, {"huge": {"$gt": 10**30 - 1}}, {"s": {"$gt": "a", "$lt": "c"}},
    {"s": {"$gt": ""}}, {"d": {"a": {"b": {"$gte": 1}}}}, {"d": {"$eq": DOC["d"]}},
    {"list": {"$contains": 1}}, {"list": {"$contains": ["a", 1.0]}},
    {"list": {"$contains": [[2]]}}, {"list": {"$contains": {"k": 1}}},
    {"list": {"$contains": []}}, {"none": {"$contains": []}}, {"list": {"$contains": ("a",)}},
    {"d": {"x": {"$contains": [1]}}},
]  # fmt: skip
FAIL: list[dict[str, Any]] = [
    {"n": True}, {"n": "5"}, {"n": 6}, {"n": None}, {"t": 1}, {"t": 1.0}, {"no": 0},
    {"zero": False},
    {"null": 0}, {"null": False}, {"null": ""}, {"missing": 0}, {"s": "B"}, {"big": float(2**60)},
    {"list": ["a", 1, [2], {"k": 1}]}, {"list": [1, "a"]}, {"list": [True, "a", [2], {"k": 1}]},
    {"list": {}}, {"n": {}}, {"missing": {}}, {"null": {}}, {"d": {"a": {"b": 2}}},
    {"d": {"a": None}}, {"d": {"a": {"b": {"c": None}}}}, {"d": "x"}, {"a": {"b": "dotted"}},
    {"n": 5, "s": "c"}, {"n": {"$eq": True}}, {"n": {"$ne": 5.0}}, {"missing": {"$ne": None}},
    {"n": {"$gt": 5}}, {"n": {"$gt": 4, "$lt": 5}}, {"n": {"$gt": "4"}}, {"s": {"$gt": 1}},
    {"t": {"$gte": 0}}, {"t": {"$gte": True}}, {"n": {"$gte": False}}, {"null": {"$lte": None}},
    {"missing": {"$lt": 5}}, {"list": {"$gt": []}}, {"d": {"$gt": {}}}, {"big": {"$lte": 2**60}},
    {"d": {"$eq": {"a": 1}}}, {"list": {"$contains": True}}, {"list": {"$contains": 2}},
    {"list": {"$contains": ["a", "b"]}}, {"s": {"$contains": "b"}}, {"d": {"$contains": "a"}},
    {"missing": {"$contains": []}}, {"null": {"$contains": [None]}}, {"none": {"$contains": [[]]}},
]  # fmt: skip


@pytest.mark.parametrize("filter", PASS, ids=repr)
def test_filters_that_pass(filter: dict[str, Any]) -> None:
    assert matches(DOC, filter)


@pytest.mark.parametrize("filter", FAIL, ids=repr)
def test_filters_that_do_not(filter: dict[str, Any]) -> None:
    assert not matches(DOC, filter)


@pytest.mark.parametrize("operator", ["$in", "$or", "$regex", "$", "$GT", "$not"])
def test_an_unknown_operator_is_named(operator: str) -> None:
    with pytest.raises(InvalidKey, match="unknown filter operator") as caught:
        matches(DOC, {"n": {operator: 5}})
    assert repr(operator) in str(caught.value)
    assert "$contains" in str(caught.value)


def test_operators_and_fields_do_not_mix() -> None:
    with pytest.raises(InvalidKey):
        matches(DOC, {"d": {"$ne": None, "a": {"b": 1}}})


@given(JSON)
def test_a_value_equals_itself(value: Any) -> None:
    assert equal(value, value)
    assert matches({"v": value}, {"v": {"$eq": value}})
    assert not matches({"v": value}, {"v": {"$ne": value}})
    assert matches({"v": [value]}, {"v": {"$contains": [value]}})


@given(JSON, JSON)
def test_equality_is_symmetric_and_the_opposite_of_ne(one: Any, other: Any) -> None:
    assert equal(one, other) is equal(other, one)
    assert matches({"v": one}, {"v": {"$ne": other}}) is not equal(one, other)


@given(JSON, JSON)
def test_at_most_one_order_holds(one: Any, other: Any) -> None:
    less, greater, at_most, at_least = (
        matches({"v": one}, {"v": {name: other}}) for name in ("$lt", "$gt", "$lte", "$gte")
    )
    assert not (less and greater)
    if at_most or at_least:
        assert at_most is (less or equal(one, other))
        assert at_least is (greater or equal(one, other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (False, 0),
        (1, "1"),
        (None, False),
        (None, 0),
        ([], {}),
        ([1], [True]),
        ("", None),
    ],
)
def test_what_json_tells_apart_is_not_equal(one: Any, other: Any) -> None:
    assert not equal(one, other)
    assert not equal({"a": [one]}, {"a": [other]})
