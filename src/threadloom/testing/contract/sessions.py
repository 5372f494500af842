"""Session records, which engines index: listings by time, owner, tag, agent and status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from threadloom.ops import Count, Delete, DropTree, Get, Patch, Put, Query, Record, Scan
from threadloom.testing.contract.base import ContractBase
from threadloom.testing.driver import Driver

SESSIONS = ("sessions",)
TENANT = ("~t", "sessions")
Doc = dict[str, Any]


def _docs() -> dict[str, Doc]:
    """Thirty sessions with many ties, and keys that do not sort like numbers."""
    return {
        f"s{number}": {
            "owner": ("ana", "bo", None)[number % 3],
            "agent_name": "guide" if number % 2 else None,
            "status": ("idle", "running", "error")[number % 7 % 3],
            "tags": [tag for tag, every in (("x", 2), ("y", 5), ("z z", 9)) if not number % every],
            "metadata": {"number": number, "nested": {"even": number % 2 == 0}},
            "created_at": 1_000 + number % 4,
            "updated_at": 2_000 - number % 5,
        }
        for number in range(30)
    }


def _write(db: Driver, docs: dict[str, Doc]) -> None:
    for key, doc in docs.items():
        db.one(Put(SESSIONS, key, doc=doc))


def _order(docs: dict[str, Doc], field: str, keep: Callable[[Doc], bool]) -> list[str]:
    kept = [key for key, doc in docs.items() if keep(doc)]
    return sorted(kept, key=lambda key: (docs[key].get(field) or 0, key))


FILTERS: list[tuple[Doc | None, Callable[[Doc], bool]]] = [
    (None, lambda doc: True),
    ({}, lambda doc: True),
    ({"owner": "ana"}, lambda doc: doc["owner"] == "ana"),
    ({"owner": None}, lambda doc: doc["owner"] is None),
    ({"owner": "nobody"}, lambda doc: False),
    ({"owner": "Ana"}, lambda doc: False),
    ({"owner": {"$ne": "ana"}}, lambda doc: doc["owner"] != "ana"),
    ({"owner": {"$eq": "bo"}}, lambda doc: doc["owner"] == "bo"),
    ({"agent_name": "guide"}, lambda doc: doc["agent_name"] == "guide"),
    ({"status": "running"}, lambda doc: doc["status"] == "running"),
    ({"tags": {"$contains": ["x"]}}, lambda doc: "x" in doc["tags"]),
    ({"tags": {"$contains": "x"}}, lambda doc: "x" in doc["tags"]),
    ({"tags": {"$contains": ["y", "x"]}}, lambda doc: {"x", "y"} <= set(doc["tags"])),
    ({"tags": {"$contains": ["z z"]}}, lambda doc: "z z" in doc["tags"]),
    ({"tags": {"$contains": ["z"]}}, lambda doc: False),
    ({"tags": {"$contains": []}}, lambda doc: True),
    ({"tags": []}, lambda doc: doc["tags"] == []),
    ({"tags": ["x", "y"]}, lambda doc: doc["tags"] == ["x", "y"]),
    ({"metadata": {"nested": {"even": True}}}, lambda doc: doc["metadata"]["nested"]["even"]),
    ({"metadata": {"number": {"$lt": 9}}}, lambda doc: doc["metadata"]["number"] < 9),
    ({"created_at": {"$gte": 1_002}}, lambda doc: doc["created_at"] >= 1_002),
    ({"created_at": {"$gt": 1_000.5}}, lambda doc: doc["created_at"] > 1_000.5),
    ({"created_at": {"$gt": 1_000, "$lt": 1_003}}, lambda doc: 1_000 < doc["created_at"] < 1_003),
    ({"created_at": 1_001}, lambda doc: doc["created_at"] == 1_001),
    ({"updated_at": {"$lte": 1_997}}, lambda doc: doc["updated_at"] <= 1_997),
    ({"updated_at": {"$lt": 2**70}}, lambda doc: True),
    (
        {"owner": "bo", "status": "idle", "tags": {"$contains": ["x"]}},
        lambda doc: doc["owner"] == "bo" and doc["status"] == "idle" and "x" in doc["tags"],
    ),
    (
        {"agent_name": "guide", "created_at": {"$lt": 1_003}, "updated_at": {"$gte": 1_998}},
        lambda doc: (
            doc["agent_name"] == "guide"
            and doc["created_at"] < 1_003
            and doc["updated_at"] >= 1_998
        ),
    ),
]


class SessionsContract(ContractBase):
    """Listings of sessions are right, whatever they filter and order by."""

    def test_sessions_by_every_order_and_filter(self, db: Driver) -> None:
        docs = _docs()
        _write(db, docs)
        for filter, keep in FILTERS:
            assert db.one(Count(SESSIONS, filter=filter)) == sum(map(keep, docs.values())), filter
            for field in ("created_at", "updated_at", "turn_count"):
                wanted = _order(docs, field, keep)
                query = Query(SESSIONS, filter=filter, order_by=field)
                assert db.keys(query) == wanted, query
                assert db.keys(query._replace(limit=4)) == wanted[:4], query
                assert db.keys(query._replace(limit=3, offset=2)) == wanted[2:5], query
                assert db.keys(query._replace(descending=True)) == wanted[::-1], query

    def test_pages_of_sessions_are_complete_and_do_not_repeat(self, db: Driver) -> None:
        docs = _docs()
        _write(db, docs)
        for filter, keep in FILTERS:
            for field in ("created_at", "updated_at"):
                for descending in (False, True):
                    query = Query(
                        SESSIONS, filter=filter, order_by=field, descending=descending, limit=4
                    )
                    found: list[Record] = []
                    while page := db.one(query):
                        found += page
                        last = page[-1]
                        query = query._replace(after=(last.doc[field], last.key))
                        assert len(found) <= len(docs), query
                    wanted = _order(docs, field, keep)[:: -1 if descending else 1]
                    assert [record.key for record in found] == wanted, query

    def test_session_records_come_back_whole(self, db: Driver) -> None:
        doc = {"owner": "ana", "created_at": 1, "updated_at": 1}
        db.one(Put(SESSIONS, "s", doc=doc, blob=b"x", text="name"))
        [record] = db.one(Query(SESSIONS, order_by="created_at"))
        assert record == db.get(SESSIONS, "s")._replace(blob=None)

    def test_listings_follow_a_patch(self, db: Driver) -> None:
        _write(db, _docs())
        db.one(
            Patch(
                SESSIONS,
                "s4",
                set={"owner": "cy", "tags": ["new"], "status": "interrupted", "agent_name": None},
                maximum={"updated_at": 9_000, "created_at": 500},
            )
        )
        for filter in (
            {"owner": "cy"},
            {"tags": {"$contains": ["new"]}},
            {"status": "interrupted"},
            {"updated_at": {"$gt": 8_000}},
        ):
            for field in ("created_at", "updated_at"):
                assert db.keys(Query(SESSIONS, filter=filter, order_by=field)) == ["s4"], filter
        for filter in ({"owner": "bo"}, {"tags": {"$contains": ["x"]}}):
            for field in ("created_at", "updated_at"):
                assert "s4" not in db.keys(Query(SESSIONS, filter=filter, order_by=field))
        newest = Query(SESSIONS, order_by="updated_at", descending=True, limit=1)
        assert db.keys(newest) == ["s4"]
        db.one(Patch(SESSIONS, "s9", increment={"updated_at": 10_000}))
        assert db.keys(newest) == ["s9"]
        assert db.one(Count(SESSIONS)) == 30

    def test_listings_follow_a_put(self, db: Driver) -> None:
        db.one(Put(SESSIONS, "s", doc={"owner": "ana", "tags": ["a", "b"], "created_at": 5}))
        db.one(Put(SESSIONS, "t", doc={"owner": "ana", "tags": ["a"], "created_at": 6}))
        db.one(Put(SESSIONS, "s", doc={"owner": "bo", "tags": ["b", "c"], "created_at": 7}))
        for filter, wanted in (
            (None, ["t", "s"]),
            ({"owner": "ana"}, ["t"]),
            ({"owner": "bo"}, ["s"]),
            ({"tags": {"$contains": ["a"]}}, ["t"]),
            ({"tags": {"$contains": ["b"]}}, ["s"]),
            ({"tags": {"$contains": ["c"]}}, ["s"]),
        ):
            assert db.keys(Query(SESSIONS, filter=filter, order_by="created_at")) == wanted
        db.one(Put(SESSIONS, "s"))
        assert db.keys(Query(SESSIONS, order_by="created_at")) == ["s", "t"]
        assert db.one(Query(SESSIONS, filter={"owner": "bo"}, order_by="created_at")) == []

    def test_listings_follow_a_delete(self, db: Driver) -> None:
        _write(db, _docs())
        assert db.one(Delete(SESSIONS, "s3")) is True
        listing = Query(SESSIONS, filter={"owner": "ana"}, order_by="created_at")
        assert "s3" not in db.keys(listing)
        assert len(db.keys(listing)) == 9
        db.one(Put(SESSIONS, "s3", doc={"owner": "ana", "created_at": 0}))
        assert db.keys(listing)[0] == "s3"
        assert len(db.keys(listing)) == 10

    def test_listings_follow_a_dropped_tree(self, db: Driver) -> None:
        doc = {"owner": "ana", "tags": ["a"], "created_at": 1, "updated_at": 1}
        for namespace in (SESSIONS, TENANT, ("~u", "sessions")):
            db.one(Put(namespace, "s", doc=doc))
        listing = Query(TENANT, filter={"owner": "ana"}, order_by="updated_at")
        assert db.one(DropTree(("~t",))) == 1
        assert db.one(listing) == []
        assert db.keys(listing._replace(namespace=SESSIONS)) == ["s"]
        assert db.one(DropTree(SESSIONS)) == 1
        assert db.one(listing._replace(namespace=SESSIONS)) == []
        db.one(Put(TENANT, "s", doc={"owner": "bo", "created_at": 2}))
        assert db.one(listing) == []
        assert db.keys(listing._replace(filter={"owner": "bo"})) == ["s"]
        assert db.keys(listing._replace(namespace=("~u", "sessions"))) == ["s"]

    def test_tenants_are_apart(self, db: Driver) -> None:
        db.one(Put(SESSIONS, "s", doc={"owner": "ana", "created_at": 1, "of": "root"}))
        db.one(Put(TENANT, "s", doc={"owner": "ana", "created_at": 2, "of": "t"}))
        db.one(Put(("~t2", "sessions"), "s", doc={"owner": "ana", "created_at": 3, "of": "t2"}))
        for namespace, of in ((SESSIONS, "root"), (TENANT, "t"), (("~t2", "sessions"), "t2")):
            for filter in (None, {"owner": "ana"}):
                [record] = db.one(Query(namespace, filter=filter, order_by="created_at"))
                assert record.doc["of"] == of
        db.one(Delete(TENANT, "s"))
        assert db.one(Get(SESSIONS, "s")) is not None
        assert db.keys(Query(("~t2", "sessions"), order_by="created_at")) == ["s"]

    def test_what_lies_below_is_no_session(self, db: Driver) -> None:
        db.one(Put((*SESSIONS, "0123"), "deleted", doc={"at": 1, "created_at": 1, "owner": "ana"}))
        db.one(Put(SESSIONS, "s", doc={"created_at": 2, "owner": "ana"}))
        for filter in (None, {"owner": "ana"}):
            assert db.keys(Query(SESSIONS, filter=filter, order_by="created_at")) == ["s"]
        assert db.keys(Scan(SESSIONS)) == ["s"]
        assert db.one(Count(SESSIONS)) == 1

    def test_fields_of_another_kind_are_listed_all_the_same(self, db: Driver) -> None:
        docs: dict[str, Doc | None] = {
            "none": None,
            "empty": {},
            "nulls": {"owner": None, "tags": None, "created_at": None, "updated_at": None},
            "number": {"owner": 7, "tags": [7, True, None, "7"], "created_at": 7},
            "nested": {"owner": {"id": "ana"}, "tags": [["a"], {"b": 1}], "created_at": -1},
            "twice": {"owner": "7", "tags": ["a", "a"], "created_at": 8},
            "text": {"tags": "abc", "created_at": 9},
        }
        for key, doc in docs.items():
            db.one(Put(SESSIONS, key, doc=doc))
        for filter, wanted in (
            (None, ["nested", "empty", "none", "nulls", "number", "twice", "text"]),
            ({"owner": 7}, ["number"]),
            ({"owner": "7"}, ["twice"]),
            ({"owner": {"id": "ana"}}, ["nested"]),
            ({"tags": {"$contains": ["7"]}}, ["number"]),
            ({"tags": {"$contains": [7]}}, ["number"]),
            ({"tags": {"$contains": [True]}}, ["number"]),
            ({"tags": {"$contains": ["True"]}}, []),
            ({"tags": {"$contains": ["a"]}}, ["twice"]),
            ({"tags": "abc"}, ["text"]),
            ({"created_at": {"$gte": 0}}, ["number", "twice", "text"]),
            ({"created_at": {"$lt": 5}}, ["nested"]),
            ({"created_at": None}, ["empty", "none", "nulls"]),
            ({"created_at": {}}, []),
            ({"created_at": {"$gt": "0"}}, []),
        ):
            query = Query(SESSIONS, filter=filter, order_by="created_at")
            assert db.keys(query) == wanted, filter
            assert db.one(Count(SESSIONS, filter=filter)) == len(wanted), filter

    def test_many_sessions(self, db: Driver) -> None:
        def doc(number: int) -> Doc:
            metadata = {"rare": number % 100 == 0}
            return {"owner": "ana", "created_at": number // 10, "metadata": metadata}

        count = 1_300
        for low in range(0, count, 260):
            db(*(Put(SESSIONS, f"{n:04}", doc=doc(n)) for n in range(low, low + 260)))
        wanted = [f"{number:04}" for number in range(0, count, 100)]
        rare = Query(SESSIONS, filter={"metadata": {"rare": True}}, order_by="created_at")
        assert db.keys(rare) == wanted
        assert db.keys(rare._replace(limit=3, offset=8)) == wanted[8:11]
        assert db.keys(rare._replace(descending=True, limit=2)) == ["1200", "1100"]
        assert db.keys(rare._replace(after=(50, "0500"), limit=2)) == ["0600", "0700"]
        assert len(db.keys(Query(SESSIONS, order_by="updated_at"))) == count
        assert len(db.keys(Query(SESSIONS, order_by="created_at", limit=700))) == 700
        assert db.one(Count(SESSIONS, filter={"owner": "ana"})) == count
