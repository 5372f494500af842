"""What things are called in Redis: keys, and the places of records inside a partition.

A partition is two keys with one hash tag: a hash with its records (``:r``) and a sorted set with
their places in order (``:o``). The index has a hash tag of its own. Behind the prefix always comes
``:{``, and braces in names are escaped, so no prefix's keys begin as those of another.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from threadloom import keys
from threadloom.ops import Namespace

_FROM, _BEHIND = b"\x00", b"\x01"
"""What stands between a namespace and a key, and the byte that follows it."""
_GLOB = frozenset("*?[]\\^-")

Range = tuple[bytes, bytes]
"""Bounds of a part of the places, as Redis's lexicographic ranges take them."""
EVERYTHING: Range = (b"-", b"+")


class Partition(NamedTuple):
    """One partition as scripts see it.

    Attributes:
        name: as `threadloom.keys.partition` gives it.
        records: the key of its records.
        order: the key of their order.
        session: how the place of a session's record begins here; empty where there is none.
    """

    name: str
    records: bytes
    order: bytes
    session: bytes


class Names:
    """The keys of one prefix.

    Args:
        prefix: any text; stores with different ones never see each other.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = _escaped(prefix)
        self.index = f"{self.prefix}:{{!{self.prefix}}}:".encode()
        self.sequence = self.index + b"sequence"
        self.pending = self.index + b"pending"
        self.partitions = self.index + b"partitions"
        self.entered = self.index + b"entered"
        self.format = self.index + b"format"
        self.partition = lru_cache(maxsize=8192)(self._partition)

    def _partition(self, name: str) -> Partition:
        base = f"{self.prefix}:{{{_escaped(name)}}}:".encode()
        session = b""
        if not name.startswith("="):
            root = name.rpartition("/")[0]
            session = _encoded((root, keys.SESSIONS) if root else (keys.SESSIONS,)) + _FROM
        return Partition(name, base + b"r", base + b"o", session)

    def of(self, namespace: Namespace, key: str) -> Partition:
        """The partition that a record belongs to."""
        return self.partition(keys.partition(namespace, key))

    @property
    def pattern(self) -> bytes:
        """A glob for the keys of this prefix, and of no other one."""
        safe = "".join(f"\\{one}" if one in _GLOB else one for one in self.prefix)
        return f"{safe}:{{*".encode()

    def partition_of(self, key: bytes) -> Partition | None:
        """The partition that a key belongs to; None if it is another kind of key."""
        head = f"{self.prefix}:{{".encode()
        if not key.startswith(head) or not key.endswith((b"}:r", b"}:o")):
            return None
        return self.partition(_plain(key[len(head) : -3].decode()))


def place(namespace: Namespace, key: str) -> bytes:
    """A record's place in its partition."""
    return b"%b\x00%b" % (_encoded(namespace), key.encode())


def split(found: bytes) -> tuple[Namespace, str]:
    """Namespace and key of a place."""
    name, _, key = found.partition(_FROM)
    return _decoded(name), key.decode()


def key_range(namespace: Namespace, start: str | None, end: str | None) -> Range:
    """The places of a namespace's records, from a key on and before another."""
    name = _encoded(namespace)
    low = b"[" + name + _FROM + (start or "").encode()
    high = b"(" + name + (_BEHIND if end is None else _FROM + end.encode())
    return low, high


def tree_ranges(namespace: Namespace, *, deep: bool = True) -> list[Range]:
    """The places of a namespace's records, and of all below it."""
    if not namespace and deep:
        return [EVERYTHING]
    name = _encoded(namespace)
    ranges = [(b"[" + name + _FROM, b"(" + name + _BEHIND)]
    if deep:
        ranges.append((b"[" + name + b".", b"(" + name + b"/"))
    return ranges


@lru_cache(maxsize=8192)
def _encoded(namespace: Namespace) -> bytes:
    return keys.encode_namespace(namespace).encode()


@lru_cache(maxsize=8192)
def _decoded(name: bytes) -> Namespace:
    return keys.decode_namespace(name.decode())


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")


def _plain(text: str) -> str:
    return text.replace("%7D", "}").replace("%7B", "{").replace("%25", "%")
