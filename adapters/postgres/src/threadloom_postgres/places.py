"""Where a record is in the tables: hashes of partition and namespace, keys an index can hold."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from threadloom import keys
from threadloom.ops import Namespace
from threadloom_postgres.options import quoted

LEAVES: Final = 16
"""Tables that the records are in."""

LONGEST_KEY: Final = 512
"""Bytes of a key that an index holds as it is."""


class Schema(NamedTuple):
    """The schema that a store keeps its tables in.

    Attributes:
        name: its name.
        patience: seconds that a batch waits for others at most.
    """

    name: str
    patience: float

    @property
    def quoted(self) -> str:
        """Its name, as it stands in statements."""
        return quoted(self.name)

    @property
    def lock(self) -> int:
        """The lock of all of it."""
        return number(f"{self.name}\0whole")

    def lock_of(self, part: int) -> int:
        """The lock of a partition."""
        return part ^ number(f"{self.name}\0part")


class Space(NamedTuple):
    """A namespace, as the tables have it.

    Attributes:
        part: the hash of the partition; 0 where the namespace is a wide one, whose records are in
            a partition each.
        space: the hash of the namespace.
        wide: whether it is a wide one.
        name: the encoded namespace.
    """

    part: int
    space: int
    wide: bool
    name: bytes


@lru_cache(maxsize=8192)
def space_of(namespace: Namespace) -> Space:
    """Where a namespace is."""
    name = keys.encode_namespace(namespace)
    wide = keys.is_sessions(namespace)
    part = 0 if wide else number(keys.partition(namespace, ""))
    return Space(part, number(name), wide, name.encode())


def part_of(namespace: Namespace, key: str) -> int:
    """The hash of a record's partition."""
    space = space_of(namespace)
    return number(keys.partition(namespace, key)) if space.wide else space.part


def leaf_of(part: int) -> str:
    """The name of the table that has a partition's records."""
    return f"records_{leaf_number(part):02}"


def leaf_number(part: int) -> int:
    """Which of the 16 tables that is: the first four bits of the hash."""
    return (part >> 60) + 8


def tree_part(namespace: Namespace) -> int | None:
    """The hash of the partition that holds a whole tree; None where it spans several."""
    partition = keys.tree_partition(namespace)
    return None if partition is None else number(partition)


@lru_cache(maxsize=8192)
def number(text: str) -> int:
    """A text as a number of 64 bits."""
    digest = blake2b(text.encode(), digest_size=8, person=b"threadloom-pg").digest()
    return int.from_bytes(digest, "big", signed=True)


def short_key(key: str) -> tuple[bytes, bytes | None]:
    """What an index has of a key, and the whole of it where that is something else.

    Short keys stand in their order, also among long ones; long ones that begin alike do not.
    """
    whole = key.encode()
    if len(whole) <= LONGEST_KEY:
        return whole, None
    start = whole[:LONGEST_KEY].decode("utf-8", "ignore").encode()
    return start + b"#" + blake2b(whole, digest_size=16).hexdigest().encode(), whole
