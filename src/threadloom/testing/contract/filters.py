"""Filters: the same answer on every engine."""

from __future__ import annotations

from typing import Any

import pytest

from threadloom.errors import InvalidKey
from threadloom.ops import Count, Op, Put, Query
from threadloom.testing.contract.base import ContractBase
from threadloom.testing.driver import Driver

NS = ("notes",)

DOCS: dict[str, dict[str, Any] | None] = {
    "int": {"v": 1},
    "float": {"v": 1.0},
    "half": {"v": 1.5},
    "true": {"v": True},
    "false": {"v": False},
    "zero": {"v": 0},
    "nine": {"v": 9},
    "ten": {"v": 10},
    "minus": {"v": -1},
    "big": {"v": 2**60 + 1},
    "bigger": {"v": 2**64 + 1},
    "biggest": {"v": 10**30},
    "str": {"v": "1"},
    "word": {"v": "b"},
    "empty": {"v": ""},
    "quote": {"v": 'it\'s "so" %_*'},
    "null": {"v": None},
    "missing": {"w": 1},
    "none": None,
    "list": {"v": [1, "b", [2], {"a": 1}]},
    "nothing": {"v": []},
    "flags": {"v": [True, 1.5, None]},
    "dict": {"v": {"a": 1, "b": {"c": [1, 2]}}},
    "bare": {"v": {}},
    "names": {"v.a": 1, "v": {"a.b": 2, "'; --": 3}},
}
ONES = {"int", "float"}
ABSENT = {"null", "missing", "none"}

CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({"v": 1}, ONES),
    ({"v": 1.0}, ONES),
    ({"v": True}, {"true"}),
    ({"v": False}, {"false"}),
    ({"v": 0}, {"zero"}),
    ({"v": "1"}, {"str"}),
    ({"v": ""}, {"empty"}),
    ({"v": "it's \"so\" %_*"}, {"quote"}),
    ({"v": "B"}, set()),
    ({"v": "%"}, set()),
    ({"v": None}, ABSENT),
    ({"x": None}, set(DOCS)),
    ({"v": 2**60}, set()),
    ({"v": 2**60 + 1}, {"big"}),
    ({"v": 2**64}, set()),
    ({"v": 2**64 + 1}, {"bigger"}),
    ({"v": 10**30}, {"biggest"}),
    ({"v": []}, {"nothing"}),
    ({"v": [1, "b", [2], {"a": 1}]}, {"list"}),
    ({"v": [1, "b", [2], {"a": True}]}, set()),
    ({"v": [1.0, "b", [2.0], {"a": 1}]}, {"list"}),
    ({"v": ["b", 1, [2], {"a": 1}]}, set()),
    ({"v": [1, "b", {"$ne": None}, {}]}, {"list"}),
    ({"v": [{"$gt": 1}, "b", [2], {"a": 1}]}, set()),
    ({"v": [{"$gte": 1}, "b", [{"$lt": 3}], {"a": {"$eq": 1}, "x": None}]}, {"list"}),
    ({"v": [1, "b", [2], {"b": 1}]}, set()),
    ({"v": [{"$ne": 1}, {"$gt": 1}, None]}, {"flags"}),
    ({"v": {"a": 1}}, {"dict"}),
    ({"v": {"b": {"c": [1, 2]}}}, {"dict"}),
    ({"v": {"b": {"c": [2, 1]}}}, set()),
    ({"v": {"a": {"$gte": 1}, "b": {"c": {"$contains": [2]}}}}, {"dict"}),
    ({"v": {"x": None}}, {"dict", "bare", "names"}),
    ({"v": {}}, {"dict", "bare", "names"}),
    ({"v": {"a.b": 2}}, {"names"}),
    ({"v": {"'; --": 3}}, {"names"}),
    ({"v.a": 1}, {"names"}),
    ({"'": None, '"': None, "%": None, "": None}, set(DOCS)),
    ({"v": 1, "x": None}, ONES),
    ({"v": 1, "w": 1}, set()),
    ({}, set(DOCS)),
    # Operators
    ({"v": {"$eq": 1}}, ONES),
    ({"v": {"$eq": None}}, ABSENT),
    ({"v": {"$eq": True}}, {"true"}),
    ({"v": {"$eq": {"a": 1}}}, set()),
    ({"v": {"$eq": {}}}, {"bare"}),
    ({"v": {"$ne": None}}, set(DOCS) - ABSENT),
    ({"v": {"$ne": 1}}, set(DOCS) - ONES),
    ({"v": {"$gt": 1}}, {"half", "nine", "ten", "big", "bigger", "biggest"}),
    ({"v": {"$gte": 9}}, {"nine", "ten", "big", "bigger", "biggest"}),
    ({"v": {"$gt": 9.5}}, {"ten", "big", "bigger", "biggest"}),
    ({"v": {"$lt": 0}}, {"minus"}),
    ({"v": {"$lte": 0}}, {"minus", "zero"}),
    ({"v": {"$gt": 2**60}}, {"big", "bigger", "biggest"}),
    ({"v": {"$gt": 2**60 + 1}}, {"bigger", "biggest"}),
    ({"v": {"$gt": 2**64}}, {"bigger", "biggest"}),
    ({"v": {"$gte": 2**64 + 2}}, {"biggest"}),
    ({"v": {"$gt": "1"}}, {"word", "quote"}),
    ({"v": {"$gte": "1", "$lt": "b"}}, {"str"}),
    ({"v": {"$gte": "b", "$lte": "j"}}, {"word", "quote"}),
    ({"v": {"$lt": "1"}}, {"empty"}),
    ({"v": {"$gt": True}}, set()),
    ({"v": {"$gte": None}}, set()),
    ({"v": {"$gt": []}}, set()),
    ({"v": {"$gt": 0, "$lt": 2, "$ne": 1}}, {"half"}),
    ({"v": {"$contains": 1}}, {"list"}),
    ({"v": {"$contains": ["b", 1]}}, {"list"}),
    ({"v": {"$contains": ["b", 7]}}, set()),
    ({"v": {"$contains": True}}, {"flags"}),
    ({"v": {"$contains": [None, 1.5]}}, {"flags"}),
    ({"v": {"$contains": {"a": 1}}}, {"list"}),
    ({"v": {"$contains": [[2]]}}, {"list"}),
    ({"v": {"$contains": []}}, {"list", "nothing", "flags"}),
    ({"v": {"$contains": "1"}}, set()),
]  # fmt: skip


class FilterContract(ContractBase):
    """LangGraph's filters and `$contains`, compared as JSON."""

    def test_filters(self, db: Driver) -> None:
        db(*(Put(NS, key, doc=doc) for key, doc in DOCS.items()))
        for filter, wanted in CASES:
            found = db.keys(Query(NS, filter=filter))
            assert found == sorted(wanted), filter
            assert db.one(Count(NS, filter=filter)) == len(wanted), filter
        queries: list[Op] = [Query(NS, filter=filter) for filter, _ in CASES]
        together = [[record.key for record in records] for records in db(*queries)]
        assert together == [sorted(wanted) for _, wanted in CASES]

    def test_filters_with_limits_and_offsets(self, db: Driver) -> None:
        db(*(Put(NS, key, doc=doc) for key, doc in DOCS.items()))
        wanted = sorted(set(DOCS) - ONES)
        query = Query(NS, filter={"v": {"$ne": 1}})
        assert db.keys(query._replace(limit=4)) == wanted[:4]
        assert db.keys(query._replace(limit=4, offset=3)) == wanted[3:7]
        assert db.keys(query._replace(descending=True, limit=2)) == wanted[:-3:-1]

    def test_what_is_no_filter_is_refused_whatever_is_stored(self, db: Driver) -> None:
        deep: Any = 1
        for _ in range(1_200):
            deep = {"v": deep}
        no_filters: list[Any] = [
            {"v": {"$foo": 1}},
            {"v": {"$gt": 0, "$or": []}},
            {"v": {"$": 1}},
            {"w": 2, "v": {"$foo": 1}},
            {"v": {"$fields": 1}},
            {"v": [1, {"$foo": 1}]},
            {1: 2},
            deep,
        ]
        for number in range(2):
            for filter in no_filters:
                for op in (Query(NS, filter=filter), Count(NS, filter=filter)):
                    with pytest.raises(InvalidKey):
                        db.one(op)
            db.one(Put(NS, f"{number}", doc={"v": 1}))

    def test_a_filter_of_many_fields(self, db: Driver) -> None:
        doc = {f"f{number}": number for number in range(1_500)}
        db(Put(NS, "1", doc=doc), Put(NS, "2", doc=doc | {"f1400": 0}))
        assert db.keys(Query(NS, filter=doc)) == ["1"]
        assert db.one(Count(NS, filter=doc)) == 1

    def test_a_field_may_be_called_like_an_operator(self, db: Driver) -> None:
        db(Put(NS, "1", doc={"$fields": {"x": 1}}), Put(NS, "2", doc={"$eq": 1}))
        assert db.keys(Query(NS, filter={"$fields": {"x": 1}})) == ["1"]
        assert db.keys(Query(NS, filter={"$eq": 1})) == ["2"]
