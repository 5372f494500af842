"""`TenantStore`: a store's long-term memory as one tenant sees it."""

from __future__ import annotations

from collections.abc import Iterable

from langgraph.store.base import BaseStore
from langgraph.store.base import Op as LangGraphOp
from langgraph.store.base import Result as LangGraphResult

from threadloom.basestore import batch_plan
from threadloom.keys import Namespace
from threadloom.plans import arun, run
from threadloom.store import Store


class TenantStore(BaseStore):
    """A LangGraph store below one root of a Threadloom store.

    Pass it to `compile(store=…)`. It cannot name anything outside its root. The records of
    sessions can be read by their documented namespaces; they are never written through it,
    nor returned by a search that did not name them.

    Args:
        store: the store behind it; it stays its owner's to close.
        root: the namespace below which everything lies.
    """

    def __init__(self, store: Store, root: Namespace) -> None:
        self._store = store
        self._root = root

    def batch(self, ops: Iterable[LangGraphOp]) -> list[LangGraphResult]:
        """LangGraph's batch: all reads see the state before the batch's writes."""
        return run(batch_plan(ops, self._root, tenants=False), self._store)

    async def abatch(self, ops: Iterable[LangGraphOp]) -> list[LangGraphResult]:
        """`batch`, from an event loop."""
        return await arun(batch_plan(ops, self._root, tenants=False), self._store)
