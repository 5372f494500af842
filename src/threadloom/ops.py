"""The operations of a store, as values, and the record they work on.

A batch is a sequence of operations. It is applied in order and, within one partition (see
`threadloom.keys.partition`), all or nothing: an expectation that fails raises
`ExpectationFailed` and leaves everything as it was. Later operations of a batch see what
earlier ones wrote.

Times are microseconds since the epoch. Documents are JSON objects, blobs are bytes, and
`text` is what full-text search sees. What a store hands out is never shared with what it
keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from threadloom.errors import CorruptRecord, SessionConflict

Namespace = tuple[str, ...]
Doc = dict[str, Any]
Expect = int | Literal["absent", "present"] | None
"""What must be true of the stored record: a version, its absence or presence, or anything."""

ABSENT: Final = "absent"
PRESENT: Final = "present"


class Record(NamedTuple):
    """A stored record as it was read.

    `version` is above every version that was given out in the record's partition in a batch
    before, so a record that was deleted and made again is not mistaken for the same; records
    that one batch writes may share it. `expires_at` is None for ever.
    """

    namespace: Namespace
    key: str
    doc: Doc | None
    blob: bytes | None
    text: str | None
    version: int
    created_at: int
    updated_at: int
    expires_at: int | None = None

    def body(self) -> Doc:
        """The document of a record that must have one.

        Raises:
            CorruptRecord: it has none.
        """
        if self.doc is None:
            raise CorruptRecord(f"the record {self.namespace}/{self.key!r} lost its document")
        return self.doc


class Hit(NamedTuple):
    """A record that a `Match` found, with its score (higher is better)."""

    record: Record
    score: float


class Get(NamedTuple):
    """One record. Result: `Record | None`; without `blob` it comes with `blob=None`.

    `expired` gives it also when it has expired and is still there.
    """

    namespace: Namespace
    key: str
    blob: bool = True
    expired: bool = False


class Put(NamedTuple):
    """Write a record whole. Result: its new version, or None where `keep` left the old one.

    `keep=True` writes only if nothing is stored there, and otherwise does nothing; with it,
    `expect` is not looked at. `created_at` of an existing record stays.
    """

    namespace: Namespace
    key: str
    doc: Mapping[str, Any] | None = None
    blob: bytes | None = None
    text: str | None = None
    expires_at: int | None = None
    expect: Expect = None
    keep: bool = False


class Patch(NamedTuple):
    """Change top-level fields of a document in place. Result: the new version, or None.

    `set` replaces fields, `maximum` raises numbers, `increment` adds to numbers (absent
    counts as 0). A record that is not there is left so (None) unless `expect` says otherwise.
    `expires_at` is left alone when it is `KEEP_EXPIRY`, `text` when it is None.

    `life` names a field of the document with the record's life in microseconds: from this
    write on, as the field stands after it, the record lives so long, and for ever where the
    field is None or missing. With it, `expires_at` is not looked at.
    """

    namespace: Namespace
    key: str
    set: Mapping[str, Any] = {}
    maximum: Mapping[str, int] = {}
    increment: Mapping[str, int] = {}
    text: str | None = None
    expires_at: int | None = -1
    expect: Expect = None
    life: str | None = None


KEEP_EXPIRY: Final = -1


class Delete(NamedTuple):
    """Remove a record. Result: whether it was there."""

    namespace: Namespace
    key: str
    expect: Expect = None


class DropTree(NamedTuple):
    """Remove every record of a namespace and of all below it. Result: how many."""

    namespace: Namespace


class CopyTree(NamedTuple):
    """Copy every record of a namespace and of all below it to another place. Result: how many.

    What is at the other place already is dropped first. The copies have the batch's version and
    time, and expire when their originals do. Neither place may be inside the other, and session
    records cannot be copied so: `InvalidKey`.
    """

    source: Namespace
    target: Namespace


class Check(NamedTuple):
    """A condition on a record that the batch does not write. Result: None."""

    namespace: Namespace
    key: str
    expect: Expect


class Scan(NamedTuple):
    """Records of one namespace, ordered by key (code points). Result: `list[Record]`.

    `start` is inclusive, `end` exclusive; without `blobs` they come with `blob=None`.
    """

    namespace: Namespace
    start: str | None = None
    end: str | None = None
    reverse: bool = False
    limit: int | None = None
    blobs: bool = True


class Query(NamedTuple):
    """Documents of a namespace, and of all below it if `deep`. Result: `list[Record]`.

    `filter` is LangGraph's (see `threadloom.filters`). The order is by `order_by`, a
    top-level integer field of the document (0 where it is missing; by place where `order_by`
    is None), then by namespace and key. `after` is the place to go on behind: the field's
    value, and the key. Without `blobs` they come with `blob=None`. `expired=True` shows nothing but
    what has expired.
    `user_only` leaves out what is not its user's below `namespace`: Threadloom's own records
    and, at the root, the tenants.
    """

    namespace: Namespace
    deep: bool = False
    filter: Mapping[str, Any] | None = None
    order_by: str | None = None
    descending: bool = False
    after: tuple[int, str] | None = None
    limit: int | None = None
    offset: int = 0
    expired: bool = False
    user_only: bool = False
    blobs: bool = False


class Count(NamedTuple):
    """How many records a `Query` of the same fields would give. Result: `int`."""

    namespace: Namespace
    deep: bool = False
    filter: Mapping[str, Any] | None = None
    expired: bool = False


class Match(NamedTuple):
    """Full-text search in a namespace and all below it. Result: `list[Hit]`, best first.

    The words of `words` are OR-ed and never parsed as query syntax.
    """

    namespace: Namespace
    words: str
    limit: int = 50


class ListNamespaces(NamedTuple):
    """Namespaces at or below one that hold a record. Result: sorted `list[Namespace]`.

    `user_only` as in `Query`.
    """

    namespace: Namespace = ()
    user_only: bool = False


class Measure(NamedTuple):
    """What the namespaces at or below one take up. Result: sorted `list[Measured]`."""

    namespace: Namespace = ()


class Measured(NamedTuple):
    """One namespace: its records, and the bytes of their keys, documents, blobs and texts."""

    namespace: Namespace
    records: int
    bytes: int


class Reclaim(NamedTuple):
    """Make what was deleted or replaced unreadable in the engine's own files. Result: None.

    Reads see no difference. An engine may be asked for it in a batch of its own only; it may
    take as long as what is stored is large.
    """


Op = (
    Get
    | Put
    | Patch
    | Delete
    | DropTree
    | CopyTree
    | Check
    | Scan
    | Query
    | Count
    | Match
    | ListNamespaces
    | Measure
    | Reclaim
)
WRITES = (Put, Patch, Delete, DropTree, CopyTree, Reclaim)
"""Operations that change something."""


class ExpectationFailed(SessionConflict):
    """An expectation of a batch failed; reading again may help.

    Attributes:
        op: the operation whose expectation failed.
    """

    def __init__(self, op: Op) -> None:
        place = getattr(op, "namespace", ()), getattr(op, "key", "")
        super().__init__(
            f"{place[0]}/{place[1]!r} is not {getattr(op, 'expect', None)!r} any more: "
            "somebody else changed it first"
        )
        self.op = op
