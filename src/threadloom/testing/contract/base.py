"""What all parts of the contract share: the hooks, the fixtures, and `needs`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import pytest

from threadloom.errors import UnsupportedByStore
from threadloom.store import Store
from threadloom.testing.clock import FrozenClock
from threadloom.testing.driver import MODES, Driver

Test = TypeVar("Test", bound=Callable[..., None])


class ContractBase:
    """The hooks that a subclass fills in, and the fixtures that the tests take."""

    def open_store(self, clock: FrozenClock) -> Store:
        """An empty store that tells the time by `clock`. Or override the fixture `store`."""
        raise NotImplementedError("define open_store(self, clock), or a fixture named store")

    def reopen(self, store: Store) -> Store:
        """The data of `store` opened once more; `store` may be closed by now, or not.

        Only asked for where the capabilities say `durable` or `shared`.
        """
        raise NotImplementedError("a store that is durable or shared needs reopen(self, store)")

    @pytest.fixture
    def clock(self) -> FrozenClock:
        """The clock that the store is to be opened with."""
        return FrozenClock()

    @pytest.fixture
    def store(self, clock: FrozenClock) -> Iterator[Store]:
        """An empty store, closed afterwards."""
        store = self.open_store(clock)
        yield store
        store.close()

    @pytest.fixture(params=MODES)
    def db(
        self, request: pytest.FixtureRequest, store: Store, clock: FrozenClock
    ) -> Iterator[Driver]:
        """The store, used in each of the three ways."""
        if store.now() != clock.micros:
            pytest.fail("the store does not tell the time by the fixture `clock`", pytrace=False)
        with Driver(store, request.param, clock) as driver:
            yield driver


def needs(capability: str) -> Callable[[Test], Test]:
    """Mark a test of something that a store may declare it cannot do.

    On a store that does not declare the capability, the test passes only if the store
    refuses with `UnsupportedByStore`.
    """

    def mark(test: Test) -> Test:
        @functools.wraps(test)
        def checked(self: ContractBase, db: Driver) -> None:
            if getattr(db.store.capabilities, capability):
                test(self, db)
            else:
                with pytest.raises(UnsupportedByStore):
                    test(self, db)

        return cast(Test, checked)

    return mark


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON, types included: 1, 1.0 and true all differ."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)
