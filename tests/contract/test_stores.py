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
from threadloom.store import Store
from threadloom.stores.file import FileStore
from threadloom.stores.memory import MemoryStore
from threadloom.stores.sqlite import SQLiteStore
from threadloom.testing import FaultyStore, FrozenClock, StoreContract


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


class TestFileStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
        with FileStore(tmp_path / "sessions", clock=clock) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        return FileStore(cast(FileStore, store).path, clock=store.clock)


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
