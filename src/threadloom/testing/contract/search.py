"""Full-text search: words, not query syntax; up to date; within its prefix."""

from __future__ import annotations

from threadloom.ops import Delete, DropTree, Get, Match, Op, Patch, Put
from threadloom.testing.contract.base import ContractBase
from threadloom.testing.driver import Driver

NS = ("notes",)


def _texts(db: Driver, **texts: str) -> None:
    db(*(Put(NS, key, doc={"key": key}, blob=b"x", text=text) for key, text in texts.items()))


class SearchContract(ContractBase):
    """`Match` finds the records whose text has one of the words."""

    def test_words_are_or_ed(self, db: Driver) -> None:
        _texts(db, a="red apples", b="green pears", c="red wine", d="")
        for words, wanted in (
            ("red", ["a", "c"]),
            ("red pears", ["a", "b", "c"]),
            ("  pears\n\tred ", ["a", "b", "c"]),
            ("red red red", ["a", "c"]),
            ("apples nothing", ["a"]),
            ("nothing", []),
        ):
            assert db.found(words) == wanted, words

    def test_hits_are_whole_records_without_blobs(self, db: Driver) -> None:
        _texts(db, a="red apples", b="green pears")
        [hit] = db.one(Match(NS, "apples"))
        assert hit.record == db.get(NS, "a")._replace(blob=None)
        assert isinstance(hit.score, float)

    def test_the_best_comes_first(self, db: Driver) -> None:
        _texts(db, **{f"filler{number}": f"nothing about it {number}" for number in range(20)})
        _texts(db, one="a red thing", both="a red apple", other="one apple more")
        hits = db.one(Match(NS, "red apple"))
        assert hits[0].record.key == "both"
        assert len(hits) == 3
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert [hit.record.key for hit in db.one(Match(NS, "red apple", limit=1))] == ["both"]

    def test_a_word_is_a_whole_word(self, db: Driver) -> None:
        _texts(db, a="cat", b="category", c="concat", d="cats", e="cat_flap", f="cat-like", g="42")
        assert db.found("cat") == ["a", "e", "f"]
        assert db.found("4") == []
        assert db.found("42") == ["g"]

    def test_nothing_is_query_syntax(self, db: Driver) -> None:
        _texts(db, cat="a cat", dog="a dog", both="cat and dog", near="near or not", q='say "cat"')
        cats, dogs = {"cat", "both", "q"}, {"dog", "both"}
        for words, wanted in (
            ("cat AND dog", cats | dogs),
            ("cat OR dog", cats | dogs | {"near"}),
            ("cat NOT dog", cats | dogs | {"near"}),
            ("NEAR(cat dog)", cats | dogs | {"near"}),
            ("NEAR", {"near"}),
            ("AND", {"both"}),
            ("OR", {"near"}),
            ("cat -dog", cats | dogs),
            ("-cat", cats),
            ("+cat", cats),
            ("^cat", cats),
            ("(cat", cats),
            ("cat)", cats),
            ('"cat', cats),
            ('"cat" "dog"', cats | dogs),
            ('cat"dog', cats | dogs),
            ("'cat'", cats),
            ("cat''; DROP TABLE rec; --", cats),
            ("words:cat", cats),
            ("cat:*", cats),
            ("{a b}: cat", cats | {"dog"}),
            ("ca*", set()),
            ("*", set()),
            ('"', set()),
            ('""', set()),
            ("% _ * ? [a-z]", {"cat", "dog"}),
            ("ca%", set()),
            ("c_t", set()),
            ("cat & dog | !x", cats | dogs),
            ("cat <-> dog", cats | dogs),
            ("@cat $dog ~x", cats | dogs),
            ("\\cat", cats),
            ("cat\x00dog", cats | dogs),
            ("ca\ud800t", set()),
        ):
            assert db.found(words) == sorted(wanted), words

    def test_no_words_find_nothing(self, db: Driver) -> None:
        _texts(db, a="something", b="")
        for words in ("", " ", "\n", "!?", "…", "_", "🧵", "\x00"):
            assert db.one(Match((), words)) == [], words

    def test_case_and_compatibility_do_not_matter(self, db: Driver) -> None:
        _texts(
            db,
            a="Straße",
            b="ÉCOLE",
            c="e\u0301cole",
            d="\uff26\uff35\uff2c\uff2c",
            e="ﬁne",
            f="ΣΟΦΟΣ",
        )
        for words, wanted in (
            ("STRASSE", ["a"]),
            ("straße", ["a"]),
            ("école", ["b", "c"]),
            ("E\u0301COLE", ["b", "c"]),
            ("ecole", []),
            ("full", ["d"]),
            ("FINE", ["e"]),
            ("σοφος", ["f"]),
            ("σοφοσ", ["f"]),
        ):
            assert db.found(words) == wanted, words

    def test_scripts_without_spaces(self, db: Driver) -> None:
        _texts(
            db,
            tokyo="東京タワーに行きました",
            osaka="大阪城",
            beijing="我在北京2024年工作",
            thai="สวัสดีครับ",
            rare="\U00020000\U00020001",
            korean="서울 타워",
            hindi="हिन्दी में",
        )
        for words, wanted in (
            ("東京", ["beijing", "tokyo"]),  # 京 is a word of its own
            ("タワー", ["tokyo"]),
            ("行きました", ["tokyo"]),
            ("大阪", ["osaka"]),
            ("名古屋", []),
            ("北京", ["beijing", "tokyo"]),
            ("工作", ["beijing"]),
            ("2024", ["beijing"]),
            ("สวัสดี", ["thai"]),
            ("\U00020001", ["rare"]),
            ("서울", ["korean"]),
            ("서", []),
            ("हिन्दी", ["hindi"]),
            ("हि", []),
        ):
            assert db.found(words) == wanted, words
        assert db.one(Match(NS, "東京"))[0].record.key == "tokyo"

    def test_limit(self, db: Driver) -> None:
        _texts(db, **{f"k{number:03}": "word" for number in range(70)})
        for limit, count in ((0, 0), (1, 1), (50, 50), (70, 70), (1_000, 70)):
            assert len(db.one(Match(NS, "word", limit))) == count
        assert len(db.one(Match(NS, "word"))) == 50

    def test_search_stays_within_its_prefix(self, db: Driver) -> None:
        places = [("memory", "1"), ("memory", "10"), ("memory",), ("memory", "1", "x"), ("x",)]
        db(*(Put(place, "k", text="word") for place in places))
        for prefix, wanted in (
            (("memory", "1"), [("memory", "1"), ("memory", "1", "x")]),
            (("memory",), [place for place in places if place[0] == "memory"]),
            ((), places),
            (("mem",), []),
            (("nowhere",), []),
        ):
            hits = db.one(Match(prefix, "word"))
            assert sorted(hit.record.namespace for hit in hits) == sorted(wanted), prefix

    def test_a_limit_counts_within_the_prefix(self, db: Driver) -> None:
        for number in range(30):
            db.one(Put(("crowd",), f"{number}", text="word word word"))
        db.one(Put(("quiet",), "k", text="one word among many others here"))
        hits = db.one(Match(("quiet",), "word", limit=1))
        assert [hit.record.namespace for hit in hits] == [("quiet",)]

    def test_search_follows_every_write(self, db: Driver) -> None:
        steps: list[tuple[Op, list[str], list[str]]] = [
            (Put(NS, "k", text="first"), ["k"], []),
            (Put(NS, "k", text="first", doc={"again": True}), ["k"], []),
            (Patch(NS, "k", set={"more": 1}), ["k"], []),
            (Put(NS, "k", text="second"), [], ["k"]),
            (Put(NS, "l", text="first second"), ["l"], ["k", "l"]),
            (Delete(NS, "k"), ["l"], ["l"]),
            (Put(NS, "k", text="first"), ["k", "l"], ["l"]),
            (Put(NS, "l"), ["k"], []),
            (Put(NS, "l", text=""), ["k"], []),
            (DropTree(NS), [], []),
            (Put(NS, "k", text="second"), [], ["k"]),
        ]
        for search_between in (True, False):
            for op, first, second in steps:
                db.one(op)
                if search_between:
                    assert (db.found("first"), db.found("second")) == (first, second), op
            assert (db.found("first"), db.found("second")) == ([], ["k"])
            db.one(DropTree(NS))

    def test_a_text_put_again_is_found_once(self, db: Driver) -> None:
        for number in range(3):
            db.one(Put(NS, "k", doc={"n": number}, text="the same"))
            [hit] = db.one(Match(NS, "same"))
            assert hit.record.doc == {"n": number}
        assert db.get(NS, "k").text == "the same"

    def test_texts_that_are_equal_are_found_all(self, db: Driver) -> None:
        _texts(db, a="equal", b="equal")
        db.one(Delete(NS, "a"))
        assert db.found("equal") == ["b"]
        db.one(Put(NS, "b", text="else"))
        assert db.found("equal") == []

    def test_many_texts_and_many_words(self, db: Driver) -> None:
        _texts(db, **{f"k{number:04}": f"number{number} common" for number in range(900)})
        assert db.found("number0 number450 number899") == ["k0000", "k0450", "k0899"]
        many = " ".join(f"number{number}" for number in range(0, 2_000, 2))
        assert len(db.one(Match(NS, many, limit=2_000))) == 450
        db(*(Delete(NS, f"k{number:04}") for number in range(0, 900, 2)))
        assert len(db.one(Match(NS, "common", limit=2_000))) == 450
        assert db.found("number2 number3") == ["k0003"]

    def test_a_long_text_and_a_long_word(self, db: Driver) -> None:
        long = "x" * 50_000
        text = f"{' '.join(f'w{number}' for number in range(20_000))} {long} end"
        db.one(Put(NS, "k", text=text))
        assert db.get(NS, "k").text == text
        for words in ("w0", "w19999", "end", long):
            assert db.found(words) == ["k"], words[:20]
        db.one(Delete(NS, "k"))
        assert db.one(Get(NS, "k")) is None
        assert db.found("w0 w19999 end") == []
