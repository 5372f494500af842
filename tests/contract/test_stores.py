"""Every store and every wrapper keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from contract.broken import (
    OnlyAsync,
    WithoutAtomicBatches,
    WithoutCompareAndSet,
    WithoutCopies,
)
from engines import KEYS, ReadsReadOnly
from threadloom import EncryptedStore, TracedStore
from threadloom.store import Store
from threadloom.stores.memory import MemoryStore
from threadloom.stores.sqlite import SQLiteStore
from threadloom.testing import FaultyStore, FrozenClock, StoreContract


def _nothing(name: str, seconds: float, bytes: int, error: BaseException | None) -> None:
    pass


class TestMemoryStore(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return MemoryStore(clock=clock)


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
        with SQLiteStore(tmp_path / "sessions.db", clock=clock) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        return SQLiteStore(cast(SQLiteStore, store).path, clock=store.clock)


class TestFaultyMemoryStore(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return FaultyStore(MemoryStore(clock=clock))


class TestFaultySQLiteStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
        with FaultyStore(SQLiteStore(tmp_path / "sessions.db", clock=clock)) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        inner = cast(SQLiteStore, cast(FaultyStore, store).inner)
        return FaultyStore(SQLiteStore(inner.path, clock=store.clock))


class TestTracedMemoryStore(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return TracedStore(MemoryStore(clock=clock), lambda name, seconds, bytes, error: None)


class TestReadOnlyMemoryStore(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return ReadsReadOnly(MemoryStore(clock=clock))


class TestEncryptedMemoryStore(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return EncryptedStore(MemoryStore(clock=clock), KEYS)


class TestEncryptedSQLiteStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
        inner = SQLiteStore(tmp_path / "sessions.db", clock=clock)
        with EncryptedStore(inner, KEYS) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        inner = cast(SQLiteStore, cast(EncryptedStore, store).inner)
        return EncryptedStore(SQLiteStore(inner.path, clock=store.clock), KEYS)


# Stores that promise less pass too, as long as they say so and refuse what they cannot do.


class TestOnlyAsync(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return OnlyAsync(clock=clock)


class TestWithoutCompareAndSet(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return WithoutCompareAndSet(clock=clock)


class TestWithoutAtomicBatches(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return WithoutAtomicBatches(clock=clock)


class TestWithoutCopies(StoreContract):
    def open_store(self, clock: FrozenClock) -> Store:
        return WithoutCopies(clock=clock)
