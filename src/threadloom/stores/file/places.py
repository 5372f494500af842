"""Where the journal of a partition is: folders and names that any file system can hold.

::

    sessions/3f/trip-to-oslo~3f0c….jsonl      a session: the beginning of its id, and its hash
    store/a1/memories-ana~a1c4….jsonl         another namespace
    tenants/acme~9d2e…/sessions/…             the same below a tenant

The hash alone decides; what stands before ``~`` is for people, and is left away as soon as
nothing is stored any more that the id belongs to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from threadloom import keys
from threadloom.keys import Namespace, decode_id, decode_namespace, encode_namespace
from threadloom.stores.spaces import Spaces

SUFFIX = ".jsonl"
TORN, DAMAGED, NEW = ".torn", ".damaged", ".new"
"""Suffixes of what may lie beside a journal: bytes that were cut off, damaged lines that were
taken out, and a compaction that is under way."""
ASIDE = (TORN, DAMAGED, NEW)

SESSION_FOLDER, OTHER_FOLDER, TENANT_FOLDER = "sessions", "store", "tenants"

_HASH = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"([a-z0-9-]*)~([0-9a-f]{32})")
_UNREADABLE = re.compile(r"[^a-z0-9]+")
_LONGEST = 40


class Place(NamedTuple):
    """Where a journal is.

    Attributes:
        folder: below the store's, with ``/``.
        hash: 32 hexadecimal digits; the first two are the folder inside.
    """

    folder: str
    hash: str

    @property
    def shard(self) -> str:
        """The folder that the journal lies in, below the store's."""
        return f"{self.folder}/{self.hash[:2]}"

    @property
    def mark(self) -> str:
        """The place as the name of a file."""
        return f"{self.folder}/{self.hash}".replace("/", "!")


@lru_cache(maxsize=8192)
def place_of(partition: str) -> Place:
    """The place of a partition, as `threadloom.keys.partition` names it."""
    if partition.startswith("="):
        namespace = decode_namespace(partition[1:])
        root = namespace[0] if namespace and namespace[0].startswith(keys.TENANT_MARK) else ""
        return Place(_below(root, OTHER_FOLDER), _hash(partition))
    root, _, hash = partition.partition("/")
    if not _HASH.fullmatch(hash):
        hash = _hash(partition)
    return Place(_below(root, SESSION_FOLDER), hash)


def of_mark(mark: str) -> Place | None:
    """The place that a mark names; None for what is no mark."""
    folder, _, hash = mark.rpartition("!")
    if not folder or not _HASH.fullmatch(hash):
        return None
    return Place(folder.replace("!", "/"), hash)


def of_name(folder: str, name: str) -> Place | None:
    """The place whose journal has this name in a shard of a folder; None for other files."""
    stem = name.removesuffix(SUFFIX)
    found = _NAME.fullmatch(stem) if stem != name else None
    return None if found is None else Place(folder, found[2])


def names(namespace: Namespace, key: str) -> str | None:
    """What a record's place shows of the id that its partition belongs to; None for nothing."""
    rest = namespace[1:] if namespace[:1] and namespace[0][0] == keys.TENANT_MARK else namespace
    if len(rest) >= 2 and rest[0] == keys.SESSIONS:
        return None  # a tombstone or a lease: they hold no id
    if rest == (keys.SESSIONS,):
        return key
    if len(rest) >= 2 and rest[0] in keys.RESERVED:
        return decode_id(rest[1])
    return encode_namespace(rest)


def file_name(place: Place, spaces: Spaces) -> str:
    """The name of a journal that holds these records."""
    for namespace, space in spaces.below(()):
        for key in space.order[:1]:
            if (id := names(namespace, key)) is not None:
                return f"{readable(id)}~{place.hash}{SUFFIX}"
    return f"~{place.hash}{SUFFIX}"


def readable(text: str) -> str:
    """A text as lower-case ASCII, short; may be empty."""
    return _UNREADABLE.sub("-", text[: 4 * _LONGEST].lower())[:_LONGEST].strip("-")


def _below(root: str, folder: str) -> str:
    if not root:
        return folder
    return f"{TENANT_FOLDER}/{readable(decode_id(root[1:]))}~{_hash(root)}/{folder}"


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16, person=b"threadloom-file").hexdigest()
