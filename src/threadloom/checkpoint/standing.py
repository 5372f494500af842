"""How a checkpoint namespace stands: what a write knows of it, by looking or from before."""

from __future__ import annotations

from typing import NamedTuple

from threadloom import index
from threadloom.checkpoint import layout
from threadloom.checkpoint.header import DictRef, Header, ListRef, as_parent, decode_header
from threadloom.checkpoint.layout import Head, Place
from threadloom.keys import NEXT_POSITION, SessionPaths
from threadloom.ops import ABSENT, Expect, Get, Op, Patch, Put, Record
from threadloom.plans import Plan


class Standing(NamedTuple):
    """How a checkpoint namespace stood after a put of this process.

    Whoever goes on from it without looking expects the versions that are noted here: should
    anybody else have written meanwhile, the batch fails and it is looked after all.

    Attributes:
        session: what is left of the session's record: that it is there, without a chat history,
            and whether a turn is on. Turns begin and end with a change of the head record.
        counter: what to expect of the record that every append to a history changes.
        head: the head record.
        head_version: its version.
        header: what is asked of a parent: the head's id, versions, references and counts.
        version: the version of the head's checkpoint record.
        reborn: whether there is a tombstone: then writes may be of the life before.
    """

    session: Record
    counter: Expect
    head: Head
    head_version: int
    header: Header
    version: int
    reborn: bool

    @classmethod
    def after(
        cls, seen: Seen, head: Head, head_version: int, header: Header, version: int
    ) -> Standing:
        """How it stands after a put; shares nothing that LangGraph may change."""
        assert seen.session is not None
        turn = seen.session.body().get("turn_id")
        session = seen.session._replace(doc={"turn_id": turn} if turn else {}, text=None)
        parent = as_parent(header)
        return cls(session, seen.counter, head, head_version, parent, version, seen.reborn)

    @property
    def id(self) -> str:
        """The head's."""
        assert self.head.id is not None
        return self.head.id

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        refs = self.header.refs.values()
        spans = sum(len(ref.spans) for ref in refs if isinstance(ref, (ListRef, DictRef)))
        return 4_096 + len(self.header.metadata) + 400 * len(self.header.versions) + 200 * spans


class Seen(NamedTuple):
    """What a put knows of what is stored."""

    session: Record | None
    counter: Expect
    head: Head
    head_version: Expect
    existing: Record | None
    parent: Header | None
    reborn: bool

    @classmethod
    def before(cls, known: Standing) -> Seen:
        """What it knows without looking, for a checkpoint that goes on from the head."""
        session, counter, head, version, header, _, reborn = known
        return cls(session, counter, head, version, None, header, reborn)


def look(place: Place, id: str, parent: str | None) -> Plan[Seen]:
    """Read what a put of a checkpoint needs to know.

    Raises:
        SessionDeleted: the parent is gone.
    """
    paths = place.paths
    reads: list[Op] = [
        Get(paths.sessions, paths.id),
        Get(paths.memory_index, NEXT_POSITION, blob=False),
        place.head(),
        Get(place.records(), layout.checkpoint_key(id)),
        index.tombstone(paths),
    ]
    if parent is not None:
        reads.append(Get(place.records(), layout.checkpoint_key(parent)))
    session, counter, head, existing, grave, *rest = yield reads
    before: Record | None = rest[0] if rest else None
    if session is None:
        counter = head = existing = before = None
    if parent is not None and before is None:
        raise index.deleted(paths.id, f"checkpoint {parent}, the parent of {id}, is gone")
    return Seen(
        session,
        ABSENT if counter is None else counter.version,
        Head.read(head),
        ABSENT if head is None else head.version,
        existing,
        None if before is None else decode_header(before),
        grave is not None,
    )


def put_head(place: Place, expect: Expect, head: Head) -> Put:
    """Write the head record; `expect` says what must be true of the stored one."""
    get = place.head()
    return Put(get.namespace, get.key, doc=head.doc(), expect=expect)


def touch_head(paths: SessionPaths) -> Patch:
    """A change of the graph's head record that changes nothing but its version.

    Whoever remembers how the graph stood looks again.
    """
    get = Place(paths, "").head()
    return Patch(get.namespace, get.key)


def run_status(head: Record | None) -> str:
    """What the pending writes of the graph's head say of its run, by the head record."""
    found = Head.read(head)
    return found.marks.get(found.id or "", "idle")
