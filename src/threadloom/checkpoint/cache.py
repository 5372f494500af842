"""What a process remembers of checkpoints that it has read or written.

Elements of logs never change, and their names are never used again. So it does not matter what
other processes do meanwhile; whether an element still belongs to the conversation is asked of the
store each time. How a namespace stood after a put is remembered with the versions that prove it.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from threadloom.checkpoint.comparing import Block
from threadloom.checkpoint.frozen import Frozen
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.spans import new_log, number_key
from threadloom.checkpoint.standing import Standing
from threadloom.ops import ExpectationFailed, Op
from threadloom.plans import Plan
from threadloom.store import Store
from threadloom.values import Values

CACHE_BYTES = 64 * 1024 * 1024
"""About how many bytes of elements are remembered for one store."""

_RECENT = 256
_RECENT_BYTES = 1024 * 1024
_ELEMENT = 200
"""About how many bytes an element takes besides its content."""
_HELD = 1024
"""About how many bytes are remembered of a session, and of a namespace, besides elements."""
_NAMESPACES = 64
"""How many namespaces of a session are remembered; a subgraph's run mostly has its own."""


class Element:
    """One element of a list, or one entry of a dict; never changed.

    Attributes:
        frozen: the value; None where an entry of a dict says that its key was deleted.
        key: the key of an entry of a dict.
        id: the id of a message that has one.
        tokens: the tokens of a message; -1 for what is no message.
        text_key: the text that is the content of a message, where it is kept apart.
    """

    __slots__ = ("frozen", "id", "key", "text_key", "tokens")

    def __init__(
        self,
        frozen: Frozen | None,
        key: Any = None,
        tokens: int = -1,
        text_key: str | None = None,
        id: str | None = None,
    ) -> None:
        self.frozen = frozen
        self.key = key
        self.tokens = tokens
        self.text_key = text_key
        self.id = id

    @property
    def size(self) -> int:
        return _ELEMENT + (self.frozen.size if self.frozen is not None else 0)


Log = list[Element | None]
ShelfKey = tuple[int, tuple[str, ...]]
"""A codec, and the checkpoints of a session."""


class Held:
    """What is remembered of one checkpoint namespace.

    Attributes:
        shelf: what is remembered of all namespaces of the session together.
        logs: elements by position, None where they are not known.
        whole: up to where all elements of a log are known.
        standing: how it stood after the last put of this process, if nothing since says
            otherwise.
    """

    __slots__ = ("_left", "logs", "shelf", "standing", "whole")

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.logs = shelf.logs
        self.whole = shelf.whole
        self.standing: Standing | None = None
        self._left = False

    def leave(self) -> None:
        """Be remembered no more; who works with it still has it."""
        self.forget_standing()
        self._left = True

    def unless_overtaken(self, standing: Standing | None, ops: list[Op]) -> Plan[list[Any]]:
        """A write; if anybody else wrote meanwhile, how things stood is forgotten."""
        try:
            return (yield ops)
        except ExpectationFailed:
            if standing is not None and self.standing is standing:
                self.forget_standing()
            raise

    def forget_standing(self) -> None:
        """Look again before the next write."""
        self.shelf.unpaid -= 0 if self.standing is None else self.standing.size
        self.standing = None

    def stand(self, standing: Standing) -> None:
        """Remember how things stand now."""
        if self._left:
            return
        before = 0 if self.standing is None else self.standing.size
        self.standing = standing
        self.shelf.unpaid += standing.size - before


class Shelf:
    """What is remembered of one session: elements and texts, and how its namespaces stand.

    Attributes:
        key: what it is remembered under.
        logs: elements by position, None where they are not known.
        whole: up to where all elements of a log are known.
        unpaid: bytes that the cache has not been told of.
        size: bytes that it has been told of.
    """

    def __init__(self, key: ShelfKey) -> None:
        self.key = key
        self.logs: dict[str, Log] = {}
        self.whole: dict[str, int] = {}
        self.unpaid = 0
        self._namespaces: OrderedDict[str, Held] = OrderedDict()
        self._blocks: dict[tuple[str, int], Block] = {}
        self._recent: OrderedDict[str | bytes, str] = OrderedDict()
        self.size = 0
        self._recent_size = 0
        self._writer = new_log()
        self._numbers = count()
        self._lock = threading.Lock()

    def held(self, ns: str) -> Held:
        """What is remembered of one of its namespaces."""
        with self._lock:
            found = self._namespaces.get(ns)
            if found is None:
                found = self._namespaces[ns] = Held(self)
                self.unpaid += _HELD
                if len(self._namespaces) > _NAMESPACES:
                    oldest = next(name for name in self._namespaces if name)
                    self._namespaces.pop(oldest).leave()
                    self.unpaid -= _HELD
            else:
                self._namespaces.move_to_end(ns)
            return found

    def key_of(self, text: str | bytes) -> str:
        """The key of a text: the one that it went by lately, or one that nobody else uses.

        New keys sort as they are given out.
        """
        with self._lock:
            key = self._recent.get(text)
            if key is None:
                key = self._recent[text] = self._writer + number_key(next(self._numbers), 4)
                self._recent_size += len(text)
                while len(self._recent) > _RECENT or self._recent_size > _RECENT_BYTES:
                    self._recent_size -= len(self._recent.popitem(last=False)[0])
            return key

    def block(self, log: str, start: int, size: int) -> Block | None:
        """Elements of a log from a multiple of `BLOCK` on, prepared; None where they are odd.

        Whole blocks stay prepared; of what is behind the last one what was asked for last does,
        and grows.
        """
        key = (log, start)
        known = self._blocks.get(key)
        if known is not None and known.length >= size:
            return known if known.length == size else None
        done = 0 if known is None else known.length
        frozen = [
            element.frozen
            for element in self.logs[log][start + done : start + size]
            if element is not None and element.frozen is not None
        ]
        if len(frozen) < size - done:
            return None
        block = Block(frozen) if known is None else known.extended(frozen)
        self._blocks[key] = block
        self.unpaid += block.size - (0 if known is None else known.size)
        return block

    def add(self, log: str, position: int, elements: list[Element | None]) -> int:
        """Remember elements from a position on; how many bytes they take."""
        if not elements:
            return 0
        end = position + len(elements)
        with self._lock:
            known = self.logs.setdefault(log, [])
            known.extend([None] * (end - len(known)))
            known[position:end] = [
                new or old for new, old in zip(elements, known[position:end], strict=True)
            ]
            whole = self.whole.get(log, 0)
            if position <= whole:
                while whole < len(known) and known[whole] is not None:
                    whole += 1
                self.whole[log] = whole
        return sum(element.size for element in elements if element is not None)


class Cache:
    """What is remembered of one store: the most recently used, up to a number of bytes.

    Args:
        limit: the number of bytes.
        guarded: whether the store refuses a batch whose expectations fail. Only then may a
            put go on from how things stood.
    """

    def __init__(self, limit: int = CACHE_BYTES, *, guarded: bool = False) -> None:
        self.limit = limit
        self.guarded = guarded
        self.size = 0
        self._shelves: OrderedDict[ShelfKey, tuple[Values, Shelf]] = OrderedDict()
        self._lock = threading.Lock()

    def held(self, values: Values, place: Place) -> Held:
        """What is remembered of a checkpoint namespace, as one codec reads it."""
        key = (id(values), place.paths.checkpoints)
        with self._lock:
            found = self._shelves.get(key)
            if found is None:
                found = self._shelves[key] = (values, Shelf(key))
                self._add(found[1], _HELD)
            else:
                self._shelves.move_to_end(key)
            return found[1].held(place.ns)

    def charge(self, held: Held, size: int) -> None:
        """Count what was remembered, and forget what was not used for longest."""
        shelf = held.shelf
        with self._lock:
            if self._shelves.get(shelf.key, (None, None))[1] is not shelf:
                return  # it was forgotten meanwhile; who works with it still has it
            size, shelf.unpaid = size + shelf.unpaid, 0
            self._add(shelf, size)

    def _add(self, shelf: Shelf, size: int) -> None:
        shelf.size += size
        self.size += size
        while self.size > self.limit and self._shelves:
            _, (_, oldest) = self._shelves.popitem(last=False)
            self.size -= oldest.size
            oldest.size = 0

    def __len__(self) -> int:
        return len(self._shelves)


_caches: WeakKeyDictionary[Store, tuple[int, Cache]] = WeakKeyDictionary()


def cache_of(store: Store) -> Cache:
    """The cache of a store in this process; a forked child begins with an empty one."""
    found = _caches.get(store)
    if found is None or found[0] != os.getpid():
        can = store.capabilities
        guarded = can.atomic_batch and can.compare_and_set
        found = _caches[store] = (os.getpid(), Cache(guarded=guarded))
    return found[1]
