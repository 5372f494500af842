"""`TenantStore`: a store's long-term memory as one tenant sees it."""

from __future__ import annotations

from threadloom.itemstore import ItemStore, Settings
from threadloom.keys import Namespace
from threadloom.store import Store


class TenantStore(ItemStore):
    """A LangGraph store below one root of a Threadloom store.

    Pass it to `compile(store=…)`. It cannot name anything outside its root. The records of
    sessions can be read by their documented namespaces; they are never written through it,
    nor returned by a search that did not name them.

    Args:
        store: the store behind it; it stays its owner's to close.
        root: the namespace below which everything lies.
        settings: how items are embedded and how long they live; what is not said here is as
            the store says.
    """

    _tenants = False

    def __init__(self, store: Store, root: Namespace, settings: Settings | None = None) -> None:
        self._store = store
        self._root = root
        self._configure((settings or Settings()).over(store._settings))

    def _engine(self) -> Store:
        return self._store

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r}, {self._root!r})"
