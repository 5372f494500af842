"""Two functions of the schema write: what the one does at once, the other does step by step."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from servers import postgres
from threadloom.errors import ThreadloomError
from threadloom.ops import Check, Delete, Expect, ExpectationFailed, Get, Op, Patch, Put, Query
from threadloom.testing import FrozenClock
from threadloom_postgres import PostgresStore, usual

SESSIONS = ("sessions",)
PLACES = [("memory", "s", "a"), ("memory", "s", "b"), ("memory", "t", "a"), ("notes",)]
KEYS = ["k", "l", "m", "long " * 200]
TEXTS = [None, "window seat", "\0 odd \ud800", ""]
NUMBERS: list[Any] = [0, 1, 5, 2**40, 1.5, -0.0]
VALUES: list[Any] = [*NUMBERS, "idle", None, ["x"], {"a": 1}, "\0"]
FIELDS = {"n": NUMBERS, "updated_at": NUMBERS, "status": VALUES, "note": VALUES}


class Batches:
    """Random batches, the same for the same seed."""

    def __init__(self, seed: int, now: int) -> None:
        self._random = random.Random(seed)
        self._now = now

    def next(self) -> list[Op]:
        count = self._random.choice([1, 2, 3, 5, 8])
        together = self._random.random() < 0.8  # in one partition
        places = [(place, key) for place in PLACES[: 2 if together else None] for key in KEYS]
        ops: list[Op] = [self._op(*place) for place in self._random.sample(places, count)]
        if self._random.random() < 0.5:
            ops.append(self._patch(SESSIONS, "s" if together else self._random.choice("st")))
        return ops

    def _op(self, place: tuple[str, ...], key: str) -> Op:
        chance = self._random.random()
        if chance < 0.65:
            doc = self._random.choice([None, self._fields()])
            blob = self._random.choice([None, b"", b"\0blob"])
            life = self._random.choice([None, None, 5_000_000])
            expires = None if life is None else self._now + life
            kept, text = self._random.random() < 0.3, self._random.choice(TEXTS)
            return Put(place, key, doc, blob, text, expires, self._expects(), kept)
        if chance < 0.8:
            return Check(place, key, self._expects())
        return self._patch(place, key)

    def _patch(self, place: tuple[str, ...], key: str) -> Op:
        field = self._random.choice(["n", "updated_at"])
        numbers = [{}, {field: self._random.choice([0, 3, -7, 2**41])}]
        return Patch(
            place,
            key,
            set=self._fields(),
            maximum=self._random.choice(numbers),
            increment=self._random.choice(numbers),
            expires_at=self._random.choice([None, -1, -1, self._now + 9_000_000]),
            expect=self._expects(),
            life=self._random.choice([None, None, "n", "missing"]),
        )

    def _fields(self) -> dict[str, Any]:
        names = self._random.sample(list(FIELDS), self._random.randrange(3))
        return {name: self._random.choice(FIELDS[name]) for name in names}

    def _expects(self) -> Expect:
        return self._random.choice([None, None, None, None, "absent", "present", 3, 0])


def _all(store: PostgresStore) -> list[Any]:
    found = store.execute([Query((), deep=True), Query(SESSIONS, filter={"status": "idle"})])
    places = [(*PLACES, SESSIONS), (*KEYS, "s", "t")]
    gone = store.execute(
        [Get(place, key, expired=True) for place in places[0] for key in places[1]]
    )
    return [[record and record._replace(version=0) for record in some] for some in (*found, gone)]


@pytest.mark.parametrize("seed", range(6))
def test_both_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    clock = FrozenClock()
    sort = usual.sort
    at_once = 0
    with (
        PostgresStore(postgres.place(f"{tmp_path} one"), clock=clock) as one,
        PostgresStore(postgres.place(f"{tmp_path} other"), clock=clock) as other,
    ):
        batches = Batches(seed, one.now())
        for store in (one, other):
            store.execute([Put(SESSIONS, key, doc={"status": "idle"}) for key in "st"])
        for number in range(60):
            batch = batches.next()
            at_once += sort(batch) is not None
            outcomes = []
            for store, way in ((one, sort), (other, lambda ops: None)):
                monkeypatch.setattr(usual, "sort", way)
                outcomes.append(_outcome(store, batch))
            assert outcomes[0] == outcomes[1], batch
            if number % 10 == 9:
                assert _all(one) == _all(other)
                clock.advance(3)
                for store in (one, other):
                    store.execute([Delete(PLACES[number % 4], KEYS[0])])
        assert _all(one) == _all(other)
    assert at_once > 20


def _outcome(store: PostgresStore, batch: list[Op]) -> object:
    """What a batch gives, but for the versions themselves."""
    try:
        return [result and True for result in store.execute(batch)]
    except ExpectationFailed as error:
        return ("failed", error.op)
    except ThreadloomError as error:
        return (type(error), str(error))
