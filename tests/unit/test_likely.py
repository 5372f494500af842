"""What SQLite leaves out of a filtered read surely does not pass."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_filters import DOC, PASS

from threadloom.documents import encode_doc
from threadloom.filters import matches
from threadloom.stores.likely import conditions

TEXTS = st.text("a1\"\\'é\U0001f600 $.", max_size=3)
NUMBERS = st.integers(-3, 3) | st.integers() | st.floats(-3, 3) | st.floats(allow_nan=False)
SINGLE = st.none() | st.booleans() | NUMBERS | TEXTS
NAMES = st.sampled_from(["a", "b", "1", "a.b", "$eq", "$fields", "_é"])
VALUES = st.recursive(
    SINGLE,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=5,
)


def wanted(value: Any) -> st.SearchStrategy[Any]:
    """Filters that a value may pass, or nearly."""
    if isinstance(value, list):
        in_turn = st.tuples(*map(wanted, value)).map(list)
        return in_turn | st.just({"$eq": value}) | SINGLE
    if not isinstance(value, dict):
        return st.just(value) | st.just({"$eq": value}) | SINGLE
    names = [name for name in value if not name.startswith("$")]
    literal = st.fixed_dictionaries({name: wanted(item) for name, item in value.items()})
    fields = st.fixed_dictionaries({name: wanted(value[name]) for name in names})
    return fields | literal.map(lambda found: {"$fields": found}) | st.just({"$eq": value})


@st.composite
def documents_and_filters(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    doc = draw(st.dictionaries(NAMES.filter(lambda name: name[0] != "$"), VALUES, max_size=3))
    return doc, {name: draw(wanted(value)) for name, value in doc.items()}


def passes(doc: str | None, filter: dict[str, Any]) -> bool:
    where, parameters = conditions(filter)
    connection = sqlite3.connect(":memory:")
    try:
        statement = f"SELECT {' AND '.join(['1', *where])} FROM (SELECT ? AS doc) r"
        # The conditions' parameters stand before the document's.
        (found,) = connection.execute(statement, (*parameters, doc)).fetchone()
    finally:
        connection.close()
    return bool(found)


@given(documents_and_filters())
def test_whatever_passes_is_let_through(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    doc, filter = pair
    if matches(doc, filter):
        assert passes(encode_doc(doc).decode(), filter)


@pytest.mark.parametrize("filter", PASS)
def test_every_kind_of_filter_lets_through_what_passes(filter: dict[str, Any]) -> None:
    assert matches(DOC, filter)
    assert passes(encode_doc(DOC).decode(), filter)


@pytest.mark.parametrize(
    "filter",
    [
        {"n": 6}, {"s": "c"}, {"t": False}, {"d": {"a": {"b": 2}}},
        {"d": {"$fields": {"x": {"$eq": 3}}}}, {"missing": 1}, {"n": {"$eq": "5"}},
    ],
)  # fmt: skip
def test_most_of_the_others_are_left_out(filter: dict[str, Any]) -> None:
    assert not matches(DOC, filter)
    assert not passes(encode_doc(DOC).decode(), filter)


@pytest.mark.parametrize("doc", [None, "", "{", "nonsense"])
def test_whoever_reads_what_is_no_document_is_told(doc: str | None) -> None:
    assert passes(doc, {"n": 5, "t": True})


SQL = st.text("a1'\";-$.[]()%_ \n", min_size=1, max_size=8) | st.sampled_from(
    ["a') OR 1=1 --", "'; DROP TABLE rec; --", "a\"]') = 1 OR ('1", "x' || (SELECT 1) || '"]
)


@given(SQL, SQL, st.integers(0, 2))
def test_no_name_of_a_field_becomes_sql(one: str, other: str, number: int) -> None:
    for filter in (
        {one: number},
        {one: {"$eq": number}},
        {"a": {"$fields": {one: number, other: {"$eq": number}}}},
    ):
        where, parameters = conditions(filter)
        for condition in where:
            (path,) = re.findall(r"r\.doc, '\$([^']*)'\)", condition)
            assert re.fullmatch(r"(\.[A-Za-z0-9_]+)+", path)
        assert len(parameters) == len(where)
        doc: dict[str, Any] = {one: number, "a": {one: number, other: number}}
        if matches(doc, filter):
            assert passes(encode_doc(doc).decode(), filter)
