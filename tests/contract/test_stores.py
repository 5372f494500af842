"""Every store and every wrapper keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
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
from guests import open_guest
from threadloom import EncryptedStore, TracedStore
from threadloom.store import Store
from threadloom.stores.file import FileStore
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


# LangGraph's stores, and one of a third party, with ours on top.


class Guests(StoreContract):
    kind: str

    @pytest.fixture
    def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
        with open_guest(self.kind, tmp_path, clock=clock) as store:
            yield store

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> Iterator[None]:
        self._folder = tmp_path
        with ExitStack() as self._stack:
            yield

    def reopen(self, store: Store) -> Store:
        return self._stack.enter_context(open_guest(self.kind, self._folder, clock=store.clock))


class TestOverInMemoryStore(Guests):
    kind = "langgraph-memory"


class TestOverSqliteStore(Guests):
    kind = "langgraph-sqlite"


class TestOverAsyncSqliteStore(Guests):
    kind = "langgraph-aio"


class TestOverPlainStore(Guests):
    kind = "langgraph-plain"
