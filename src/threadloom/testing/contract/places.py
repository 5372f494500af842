"""Keys and namespaces: any text, compared exactly, ordered by code points."""

from __future__ import annotations

from threadloom.ops import Count, Delete, DropTree, Get, ListNamespaces, Match, Put, Query, Scan
from threadloom.testing.contract.base import ContractBase
from threadloom.testing.driver import Driver

NS = ("notes",)

KEYS = [
    "", " ", "  ", "a", "A", "a ", " a", "a\t", "a\n", "aa", "a.b", "a/b", "../a", "a:b", "a::b",
    "%", "a%", "%61", "_", "a_", "*", "a*", "?", "[a]", "{a}", "'", '"', "''", "\\", "a\\", "`",
    "--", ";", "'; DROP TABLE rec; --", "$a", "~a", "!", "#", "\x01", "\x7f", "null", "None",
    "1", "01", "10", "2", "1.0", "-1", "true", "NaN", "é", "e\u0301", "É", "ß", "SS", "\u017f", "K",
    "\u212a", "İ", "i", "\u0131", "日本", "עברית", "\u200b", "\ufeff", "\uffee", "\ufffd", "\uffff",
    "\U00010000", "😀", "👩‍👩‍👧", "\U0010ffff", "x" * 3_000, "x" * 2_999 + "y", "🧵" * 3_000,
]  # fmt: skip
LABELS = [key for key in KEYS if key and "." not in key]


class PlacesContract(ContractBase):
    """What is stored in one place is found there, and nowhere else."""

    def test_any_text_is_a_key(self, db: Driver) -> None:
        db(*(Put(NS, key, doc={"key": key}, blob=key.encode()) for key in KEYS))
        found = db(*(Get(NS, key) for key in KEYS))
        assert [(r.key, r.doc["key"], r.blob.decode()) for r in found] == [
            (key, key, key) for key in KEYS
        ]

    def test_keys_are_compared_exactly(self, db: Driver) -> None:
        for key in KEYS:
            db.one(Put(NS, key))
            others = db(*(Get(NS, other) for other in KEYS if other != key))
            assert others == [None] * len(others), key
            assert db.one(Delete(NS, key)) is True

    def test_keys_are_ordered_by_code_points(self, db: Driver) -> None:
        db(*(Put(NS, key) for key in reversed(KEYS)))
        ordered = sorted(KEYS)
        assert db.keys(Scan(NS)) == ordered
        assert db.keys(Scan(NS, reverse=True)) == ordered[::-1]
        assert db.keys(Query(NS)) == ordered
        assert db.keys(Query(NS, descending=True)) == ordered[::-1]

    def test_ranges_are_by_code_points(self, db: Driver) -> None:
        db(*(Put(NS, key) for key in KEYS))
        for low, high in (("a", "b"), ("\uffee", "😀"), ("", "!"), ("é", "\U0010ffff"), ("b", "a")):
            wanted = sorted(key for key in KEYS if low <= key < high)
            assert db.keys(Scan(NS, start=low, end=high)) == wanted, (low, high)
            assert db.keys(Scan(NS, start=low, end=high, reverse=True)) == wanted[::-1]

    def test_any_text_without_a_dot_is_a_label(self, db: Driver) -> None:
        for label in LABELS:
            db(Put((label,), "k", doc={"in": label}), Put(("in", label), "k", doc={"in": label}))
        for label in LABELS:
            assert db.get((label,), "k").doc == {"in": label}
            [record] = db.one(Query(("in", label), deep=True))
            assert (record.namespace, record.doc) == (("in", label), {"in": label})
        wanted = sorted([(label,) for label in LABELS] + [("in", label) for label in LABELS])
        assert db.one(ListNamespaces()) == wanted

    def test_the_root_has_everything_below_it(self, db: Driver) -> None:
        places = [(label,) for label in LABELS] + [(label, "x") for label in LABELS]
        db(*(Put(place, "k", text="word") for place in places))
        assert [r.namespace for r in db.one(Query((), deep=True))] == sorted(places)
        assert db.one(Count((), deep=True)) == len(places)
        assert len(db.one(Match((), "word", limit=1_000))) == len(places)
        assert db.one(DropTree(())) == len(places)
        assert db.everything() == []

    def test_namespaces_are_ordered_label_by_label(self, db: Driver) -> None:
        places = [
            ("a",), ("a", "b"), ("a", "b", "a"), ("a", "c"), ("a-",), ("a-", "b"), ("a!",),
            ("ab",), ("A",), ("a", "\uffee"), ("a", "😀"), ("a\uffee",), ("a😀",),
        ]  # fmt: skip
        db(*(Put(place, key) for place in places for key in ("2", "1")))
        assert db.one(ListNamespaces()) == sorted(places)
        wanted = [(place, key) for place in sorted(places) for key in ("1", "2")]
        assert [(r.namespace, r.key) for r in db.one(Query((), deep=True))] == wanted

    def test_a_prefix_is_whole_labels(self, db: Driver) -> None:
        neighbours = [
            ("apple",), ("apple", "x"), ("app2",), ("ap",), ("App",), ("app ",), ("app-",),
            ("app/",), ("app!",), ("app%",), ("app_",), ("app*",), ("app\U0010ffff",), ("x", "app"),
        ]  # fmt: skip
        for namespace in (("app",), ("app", "x"), ("app", "x", "y"), *neighbours):
            db.one(Put(namespace, "k", doc={"a": 1}, text="word"))
        inside = [("app",), ("app", "x"), ("app", "x", "y")]
        for prefix, wanted in ((inside[0], inside), (inside[1], inside[1:]), (("pp",), [])):
            assert db.one(ListNamespaces(prefix)) == wanted
            assert [r.namespace for r in db.one(Query(prefix, deep=True))] == wanted
            filtered = Query(prefix, deep=True, filter={"a": 1})
            assert [r.namespace for r in db.one(filtered)] == wanted
            assert db.one(Count(prefix, deep=True)) == len(wanted)
            hits = db.one(Match(prefix, "word"))
            assert sorted(hit.record.namespace for hit in hits) == wanted
        assert db.one(DropTree(("app",))) == 3
        assert db.one(ListNamespaces()) == sorted(neighbours)

    def test_a_prefix_is_no_pattern(self, db: Driver) -> None:
        for label in ("ax", "a%", "a_", "a*", "a?", "[ax]"):
            db(Put((label,), "k", text="word"), Put((label, "x"), "k", text="word"))
        for label in ("a%", "a_", "a*", "a?", "[ax]"):
            wanted = [(label,), (label, "x")]
            assert db.one(ListNamespaces((label,))) == wanted
            assert [r.namespace for r in db.one(Query((label,), deep=True))] == wanted
            assert len(db.one(Match((label,), "word"))) == 2
            assert db.one(DropTree((label,))) == 2
        assert db.one(ListNamespaces()) == [("ax",), ("ax", "x")]

    def test_labels_and_keys_do_not_run_together(self, db: Driver) -> None:
        places = [
            (("a",), "b"), (("a", "b"), ""), (("a", "b"), "c"), (("a",), "b.c"), (("a",), "b/c"),
            (("a/b",), "c"), (("a", "b/c"), ""), (("a::b",), "c"), (("a",), "b::c"),
            (("a!b",), "c"), (("a",), "b!c"), (("a\x01b",), "c"), (("a",), "b\x01c"),
        ]  # fmt: skip
        db(*(Put(namespace, key, doc={"n": n}) for n, (namespace, key) in enumerate(places)))
        found = db(*(Get(namespace, key) for namespace, key in places))
        assert [record.doc["n"] for record in found] == list(range(len(places)))
        assert db.one(Count((), deep=True)) == len(places)

    def test_session_1_never_sees_session_10(self, db: Driver) -> None:
        for name in ("1", "10", "100", "2"):
            db(
                Put(("memory", name), "1", doc={"of": name}, text="word"),
                Put(("memory", name, "index"), "next", doc={"of": name}),
                Put(("checkpoints", name, "%"), "c", doc={"of": name}),
            )
        assert {r.doc["of"] for r in db.one(Query(("memory", "1"), deep=True))} == {"1"}
        assert {r.doc["of"] for r in db.one(Query(("checkpoints", "1"), deep=True))} == {"1"}
        assert len(db.one(Match(("memory", "10"), "word"))) == 1
        assert db.one(DropTree(("memory", "1"))) == 2
        assert db.one(DropTree(("checkpoints", "10"))) == 1
        left = {(r.namespace[0], r.doc["of"]) for r in db.one(Query((), deep=True))}
        assert left == {
            *(("memory", name) for name in ("10", "100", "2")),
            *(("checkpoints", name) for name in ("1", "100", "2")),
        }
