"""`StoreContract`: every promise of the port, as tests to inherit."""

from __future__ import annotations

from threadloom.testing.contract.batches import BatchContract
from threadloom.testing.contract.concurrency import ConcurrencyContract
from threadloom.testing.contract.expiry import ExpiryContract
from threadloom.testing.contract.filters import FilterContract
from threadloom.testing.contract.items import ItemContract
from threadloom.testing.contract.langgraph import LangGraphContract
from threadloom.testing.contract.lifecycle import LifecycleContract
from threadloom.testing.contract.listing import ListingContract
from threadloom.testing.contract.places import PlacesContract
from threadloom.testing.contract.records import RecordContract
from threadloom.testing.contract.search import SearchContract
from threadloom.testing.contract.sessions import SessionsContract
from threadloom.testing.contract.versions import VersionContract


class StoreContract(
    RecordContract,
    VersionContract,
    BatchContract,
    PlacesContract,
    ExpiryContract,
    ListingContract,
    FilterContract,
    SessionsContract,
    SearchContract,
    LangGraphContract,
    ItemContract,
    ConcurrencyContract,
    LifecycleContract,
):
    """What every store must do. Subclass it, and say how to open yours.

    ::

        class TestMyStore(StoreContract):
            def open_store(self, clock: FrozenClock) -> Store:
                return MyStore(clock=clock)

    or, where other fixtures are needed, and for a store that is durable::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
                with MyStore(tmp_path / "data", clock=clock) as store:
                    yield store

            def reopen(self, store: MyStore) -> Store:
                return MyStore(store.path, clock=store.clock)

    Every test gets an empty store and runs three times: with `execute`, with `aexecute`, and
    written with one and read with the other. Nothing is skipped. A test that needs
    `compare_and_set`, `atomic_batch` or `copies_trees` passes on a store that does not declare
    it only if that store refuses with `UnsupportedByStore`; likewise `execute` where
    `async_only` is declared. A store without `atomic_batch` refuses batches that write and
    expect something, and may apply others one operation after another. What is said about
    cost (`ordered_scan`, `indexed_filters`, `full_text`) makes no difference here: the
    operations must work, fast or slow.
    """


__all__ = ["StoreContract"]
