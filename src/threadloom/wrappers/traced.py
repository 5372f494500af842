"""`TracedStore`: tells a hook of every batch."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from threadloom.documents import encode_doc
from threadloom.errors import InvalidKey, SerializationError
from threadloom.plans import Batch, Results
from threadloom.store import OnOperation, Store
from threadloom.wrappers.base import Wrapper

logger = logging.getLogger("threadloom.wrappers")


class TracedStore(Wrapper):
    """Tells a hook how every batch went, sync and async, from whichever thread it ran on.

    The hook is called as ``hook(name, seconds, bytes, error)`` once the batch is over:

    * ``name``: the kinds of operations in it, each once, in order, joined by ``+``:
      ``"Get"``, ``"Check+Put+Patch"``. There are few different ones, and nothing of what is
      stored is in them, so they serve as labels of metrics.
    * ``seconds``: how long it took, waiting for locks included.
    * ``bytes``: documents, blobs, texts and keys that were handed over and given back. Of a
      batch that failed, those that were handed over.
    * ``error``: what it raised, ``asyncio.CancelledError`` included, or None.

    What the hook itself raises is logged once and otherwise ignored: metrics never break an
    operation. A hook should be quick, for it runs on the caller's thread or event loop.

    Args:
        inner: the store that does the work; closing this one closes it.
        on_operation: the hook.

    Raises:
        InvalidKey: `on_operation` cannot be called, or is an async function.
    """

    def __init__(self, inner: Store, on_operation: OnOperation) -> None:
        super().__init__(inner)
        if not callable(on_operation):
            raise InvalidKey(f"on_operation is a function, not a {type(on_operation).__name__}")
        if inspect.iscoroutinefunction(on_operation):
            raise InvalidKey("on_operation is called, not awaited: it cannot be an async function")
        self._hook = on_operation
        self._has_warned = False

    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch with the store inside, and tell of it. See `Store.execute`."""
        start = time.perf_counter()
        try:
            results = self.inner.execute(ops)
        except BaseException as error:
            self._tell(ops, (), start, error)
            raise
        self._tell(ops, results, start, None)
        return results

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute`, from an event loop."""
        start = time.perf_counter()
        try:
            results = await self.inner.aexecute(ops)
        except BaseException as error:
            self._tell(ops, (), start, error)
            raise
        self._tell(ops, results, start, None)
        return results

    def _tell(
        self, ops: Batch, results: Iterable[Any], start: float, error: BaseException | None
    ) -> None:
        seconds = time.perf_counter() - start
        try:
            name = "+".join(dict.fromkeys(type(op).__name__ for op in ops))
            self._hook(name, seconds, _size(ops) + _size(results), error)
        except Exception:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "on_operation raised; operations go on without it being heard, and this is "
                    "not said again",
                    exc_info=True,
                )


def _size(items: Iterable[Any]) -> int:
    """The bytes in operations, records, hits, and lists of them."""
    total = 0
    for item in items:
        if isinstance(item, list):
            total += _size(item)
            continue
        record = getattr(item, "record", item)
        if (key := getattr(record, "key", None)) is not None:
            total += len(key.encode("utf-8", "surrogatepass"))
        for doc in (getattr(record, "doc", None), getattr(record, "set", None)):
            if isinstance(doc, Mapping) and doc:
                total += _doc_size(doc)
        total += len(getattr(record, "blob", None) or b"") if not _is_flag(record) else 0
        total += len((getattr(record, "text", None) or "").encode("utf-8", "surrogatepass"))
    return total


def _doc_size(doc: Mapping[str, Any]) -> int:
    try:
        return len(encode_doc(doc))
    except SerializationError:
        return 0  # the store has refused it


def _is_flag(record: Any) -> bool:
    return isinstance(getattr(record, "blob", None), bool)
