"""Many records: `Scan`, `Query`, `Count`, `ListNamespaces`."""

from __future__ import annotations

from threadloom.ops import (
    Count,
    Delete,
    DropTree,
    ListNamespaces,
    Measure,
    Put,
    Query,
    Record,
    Scan,
)
from threadloom.testing.contract.base import ContractBase
from threadloom.testing.driver import Driver

NS = ("notes",)


def _letters(db: Driver) -> None:
    db(*(Put(NS, key, doc={"key": key}, blob=key.encode(), text=key) for key in "dbace"))
    db(Put(("notes", "below"), "c", doc={}), Put(("other",), "c", doc={}))


def _pages(db: Driver, query: Query) -> list[str]:
    """The keys of all pages of a query, one after another."""
    assert query.order_by is not None
    assert query.limit is not None
    found: list[str] = []
    for _ in range(1_000):
        page: list[Record] = db.one(query)
        assert len(page) <= query.limit
        found += [record.key for record in page]
        if len(page) < query.limit:
            return found
        last = page[-1]
        query = query._replace(after=((last.doc or {}).get(query.order_by) or 0, last.key))
    raise AssertionError("the pages have no end")


class ListingContract(ContractBase):
    """Reads of many records: their order, their bounds, their pages."""

    # Scan

    def test_scan_is_one_namespace_in_order(self, db: Driver) -> None:
        _letters(db)
        records = db.one(Scan(NS))
        assert [record.key for record in records] == ["a", "b", "c", "d", "e"]
        assert records == [db.get(NS, key) for key in "abcde"]
        assert db.one(Scan(("nowhere",))) == []

    def test_scan_ranges_directions_and_limits(self, db: Driver) -> None:
        _letters(db)
        for start in (None, "", "a", "b", "bb", "z"):
            for end in (None, "", "b", "c", "z"):
                inside = [
                    key
                    for key in "abcde"
                    if (start is None or key >= start) and (end is None or key < end)
                ]
                for reverse in (False, True):
                    for limit in (None, 0, 1, 2, 9):
                        op = Scan(NS, start, end, reverse, limit)
                        assert db.keys(op) == inside[:: -1 if reverse else 1][:limit], op

    def test_scan_without_blobs(self, db: Driver) -> None:
        _letters(db)
        assert db.one(Scan(NS, blobs=False)) == [
            record._replace(blob=None) for record in db.one(Scan(NS))
        ]

    # Query

    def test_query_is_one_namespace_or_all_below(self, db: Driver) -> None:
        _letters(db)
        assert db.keys(Query(NS)) == ["a", "b", "c", "d", "e"]
        deep = db.one(Query(NS, deep=True))
        assert [(r.namespace, r.key) for r in deep] == [
            *((NS, key) for key in "abcde"),
            (("notes", "below"), "c"),
        ]
        assert db.one(Query(("nowhere",), deep=True)) == []
        assert db.keys(Query((), deep=True)) == [*"abcde", "c", "c"]

    def test_query_leaves_blobs_out_and_nothing_else(self, db: Driver) -> None:
        _letters(db)
        assert db.one(Query(NS)) == [record._replace(blob=None) for record in db.one(Scan(NS))]

    def test_query_with_blobs(self, db: Driver) -> None:
        _letters(db)
        every = [db.get(NS, key) for key in "abcde"]
        below = db.get(("notes", "below"), "c")
        assert db.one(Query(NS, blobs=True)) == every
        assert db.one(Query(NS, deep=True, blobs=True)) == [*every, below]
        for limit in range(7):
            for offset in range(3):
                query = Query(NS, deep=True, blobs=True, limit=limit, offset=offset)
                assert db.one(query) == [*every, below][offset : offset + limit]
                backwards = [below, *every[::-1]][offset : offset + limit]
                assert db.one(query._replace(descending=True)) == backwards
        ordered = Query(NS, order_by="n", filter={"key": {"$gt": "b"}}, blobs=True, limit=2)
        assert db.one(ordered) == every[2:4]
        db.one(Put(("sessions",), "s", doc={"created_at": 1}, blob=b"s"))
        for order in (None, "created_at"):
            [found] = db.one(Query(("sessions",), order_by=order, blobs=True))
            assert found == db.get(("sessions",), "s")
        db.one(Put(NS, "f", blob=b"f", expires_at=db.clock.micros))
        assert [r.blob for r in db.one(Query(NS, expired=True, blobs=True))] == [b"f"]
        assert [r.blob for r in db.one(Query(NS, expired=True, blobs=True, limit=1))] == [b"f"]

    def test_query_orders_by_a_field_then_by_place(self, db: Driver) -> None:
        numbers = {"a": 10, "b": 9, "c": 10, "d": -1, "e": 2**62, "f": 9, "g": 1}
        db(*(Put(NS, key, doc={"n": n}) for key, n in numbers.items()))
        db.one(Put(("notes", "below"), "b", doc={"n": 9}))
        wanted = sorted(numbers, key=lambda key: (numbers[key], key))
        assert wanted == ["d", "g", "b", "f", "a", "c", "e"]
        assert db.keys(Query(NS, order_by="n")) == wanted
        assert db.keys(Query(NS, order_by="n", descending=True)) == wanted[::-1]
        deep = ["d", "g", "b", "f", "b", "a", "c", "e"]
        assert db.keys(Query(NS, deep=True, order_by="n")) == deep
        assert db.keys(Query(NS, deep=True, order_by="n", descending=True)) == deep[::-1]

    def test_a_missing_field_is_ordered_as_zero(self, db: Driver) -> None:
        docs = {"a": {"n": 1}, "b": None, "c": {}, "d": {"n": -1}, "e": {"n": None}, "f": {"n": 0}}
        db(*(Put(NS, key, doc=doc) for key, doc in docs.items()))
        assert db.keys(Query(NS, order_by="n")) == ["d", "b", "c", "e", "f", "a"]
        assert db.keys(Query(NS, order_by="nothing")) == ["a", "b", "c", "d", "e", "f"]

    def test_query_limits_and_offsets(self, db: Driver) -> None:
        _letters(db)
        for descending in (False, True):
            keys = list("abcde")[:: -1 if descending else 1]
            for limit in (None, 0, 1, 3, 9):
                for offset in (0, 1, 4, 5, 9):
                    op = Query(NS, descending=descending, limit=limit, offset=offset)
                    assert db.keys(op) == keys[offset:][:limit], op

    def test_query_goes_on_behind_a_place(self, db: Driver) -> None:
        numbers = {"a": 1, "b": 1, "c": 1, "d": 2, "e": 3}
        db(*(Put(NS, key, doc={"n": n}) for key, n in numbers.items()))
        up = Query(NS, order_by="n")
        down = Query(NS, order_by="n", descending=True)
        for after, behind, before in (
            ((1, "b"), ["c", "d", "e"], ["a"]),
            ((1, "bb"), ["c", "d", "e"], ["b", "a"]),
            ((0, "z"), ["a", "b", "c", "d", "e"], []),
            ((2, ""), ["d", "e"], ["c", "b", "a"]),
            ((3, "e"), [], ["d", "c", "b", "a"]),
            ((9, "a"), [], ["e", "d", "c", "b", "a"]),
        ):
            assert db.keys(up._replace(after=after)) == behind
            assert db.keys(down._replace(after=after)) == before
            assert db.keys(up._replace(after=after, limit=1)) == behind[:1]
            assert db.keys(down._replace(after=after, limit=2, offset=1)) == before[1:3]

    def test_pages_are_complete_and_do_not_repeat(self, db: Driver) -> None:
        docs = {f"k{number}": {"n": number * 7 % 5, "odd": number % 2} for number in range(40)}
        db(*(Put(NS, key, doc=doc) for key, doc in docs.items()))
        for filter, keys in (
            (None, list(docs)),
            ({"odd": 1}, [key for key, doc in docs.items() if doc["odd"]]),
        ):
            wanted = sorted(keys, key=lambda key: (docs[key]["n"], key))
            for limit in (1, 3, 7, 40, 41):
                query = Query(NS, filter=filter, order_by="n", limit=limit)
                assert _pages(db, query) == wanted
                assert _pages(db, query._replace(descending=True)) == wanted[::-1]

    def test_pages_stay_right_while_records_come_and_go(self, db: Driver) -> None:
        db(*(Put(NS, f"{number:02}", doc={"n": number}) for number in range(10)))
        query = Query(NS, order_by="n", limit=3)
        assert db.keys(query) == ["00", "01", "02"]
        db(Delete(NS, "02"), Delete(NS, "03"), Put(NS, "000", doc={"n": 0}))
        db.one(Put(NS, "05b", doc={"n": 5}))
        assert db.keys(query._replace(after=(2, "02"))) == ["04", "05", "05b"]

    # Count

    def test_count_is_the_length_of_the_query(self, db: Driver) -> None:
        _letters(db)
        assert db.one(Count(NS)) == 5
        assert db.one(Count(NS, deep=True)) == 6
        assert db.one(Count((), deep=True)) == 7
        assert db.one(Count(NS, filter={"key": "a"})) == 1
        assert db.one(Count(("nowhere",), deep=True)) == 0

    # Namespaces

    def test_list_namespaces_at_or_below(self, db: Driver) -> None:
        places = [("a",), ("a", "b"), ("a", "b", "c", "d"), ("ab",), ("b", "a")]
        db(*(Put(place, key) for place in reversed(places) for key in ("1", "2")))
        assert db.one(ListNamespaces()) == places
        assert db.one(ListNamespaces(("a",))) == places[:3]
        assert db.one(ListNamespaces(("a", "b"))) == places[1:3]
        assert db.one(ListNamespaces(("a", "b", "c"))) == [("a", "b", "c", "d")]
        assert db.one(ListNamespaces(("nowhere",))) == []

    def test_measure_counts_records_and_bytes(self, db: Driver) -> None:
        assert db.one(Measure()) == []
        db(
            Put(("a",), "é", doc={"n": 1}),
            Put(("a",), "2", blob=b"123", text="ü"),
            Put(("a", "b"), "1", expires_at=0),
            Put(("a", "c"), "1"),
            Put(("ab",), "12"),
        )
        size = len("é".encode()) + len('{"n":1}') + 1 + 3 + 2
        assert db.one(Measure(("a",))) == [(("a",), 2, size), (("a", "c"), 1, 1)]
        assert db.one(Measure())[-1] == (("ab",), 1, 2)

    def test_an_emptied_namespace_is_gone(self, db: Driver) -> None:
        db(Put(("a",), "1"), Put(("a",), "2"), Put(("a", "b"), "1"))
        db.one(Delete(("a",), "1"))
        assert db.one(ListNamespaces()) == [("a",), ("a", "b")]
        db.one(Delete(("a",), "2"))
        assert db.one(ListNamespaces()) == [("a", "b")]
        db.one(DropTree(("a",)))
        assert db.one(ListNamespaces()) == []
        db.one(Put(("a",), "1"))
        assert db.one(ListNamespaces()) == [("a",)]

    # What is not the user's

    def test_user_only_leaves_out_threadlooms_own(self, db: Driver) -> None:
        own = [("sessions",), ("memory", "s"), ("memory", "s", "index"), ("checkpoints", "s", "%")]
        users = [("notes",), ("notes", "memory"), ("users", "sessions"), ("sessionsx",)]
        tenants = [("~t", *place) for place in (*own, *users)]
        db(*(Put(place, "k", doc={}) for place in (*own, *users, *tenants)))

        def seen(root: tuple[str, ...]) -> list[tuple[str, ...]]:
            records = db.one(Query(root, deep=True, user_only=True))
            namespaces = [record.namespace for record in records]
            assert db.one(ListNamespaces(root, user_only=True)) == namespaces
            return namespaces

        assert seen(()) == sorted(users)
        assert seen(("~t",)) == sorted(("~t", *place) for place in users)
        # The three words are reserved directly below the root, not further down.
        assert seen(("notes",)) == [("notes",), ("notes", "memory")]
        assert seen(("users",)) == [("users", "sessions")]
        assert seen(("~t", "users")) == [("~t", "users", "sessions")]
        assert db.one(ListNamespaces(("~t",))) == sorted(tenants)
        assert len(db.one(Query((), deep=True))) == 2 * (len(own) + len(users))
