"""Sessions on the move: read whole from one store, written whole to another, as bytes.

Nothing is decoded that the application stored, so it works in a process without its classes. A
session is one unit: it is read as of one moment and written all or nothing.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple
from zlib import crc32

from threadloom import index
from threadloom.checkpoint.layout import Head
from threadloom.clock import now_micros
from threadloom.documents import decode_doc, encode_doc
from threadloom.errors import CorruptRecord, InvalidKey, SchemaTooNew, SessionExists
from threadloom.keys import Namespace, SessionPaths
from threadloom.ops import Get, ListNamespaces, Op, Put, Record, Scan
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope

FORMAT = 1
IfExists = Literal["skip", "raise", "replace"]


class Part(NamedTuple):
    """One record of a session.

    Attributes:
        below: where it is: ``memory`` or ``checkpoints``, and the labels below the session's.
        key: its key.
        doc, blob, text: what it holds.
    """

    below: Namespace
    key: str
    doc: dict[str, Any] | None
    blob: bytes | None
    text: str | None


class Moved(NamedTuple):
    """A session, whole.

    Attributes:
        id: its id.
        version: the version of its record where it was read; every write to a session moves it.
        doc: the document of its record.
        parts: its other records.
    """

    id: str
    version: int
    doc: dict[str, Any]
    parts: list[Part]

    def line(self) -> bytes:
        """The session as one line of JSON, with a checksum and the line's end."""
        body = {
            "id": self.id,
            "version": self.version,
            "doc": self.doc,
            "parts": [
                [
                    list(part.below),
                    part.key,
                    part.doc,
                    None if part.blob is None else b64encode(part.blob).decode(),
                    part.text,
                ]
                for part in self.parts
            ],
        }
        return encode_doc({"threadloom": FORMAT, "crc": _crc(body), "session": body}) + b"\n"

    @classmethod
    def of_line(cls, line: bytes, where: str) -> Moved:
        """What `line` wrote.

        Raises:
            CorruptRecord: it is damaged.
            SchemaTooNew: a newer Threadloom wrote it.
        """
        try:
            found = decode_doc(line)
            form = found.get("threadloom")
        except CorruptRecord as error:
            what = "is no exported session" if line.endswith(b"\n") else "is torn at its end"
            raise CorruptRecord(
                f"{where} {what}: choose a file that export_sessions wrote, or export again"
            ) from error
        if isinstance(form, int) and form > FORMAT:
            raise SchemaTooNew(
                f"{where} was written by a newer Threadloom: pip install --upgrade threadloom"
            )
        try:
            body = found["session"]
            if form != FORMAT or found["crc"] != _crc(body):
                raise CorruptRecord(f"{where} is damaged: its checksum is wrong")
            parts = [
                Part(
                    tuple(below),
                    key,
                    doc,
                    None if blob is None else b64decode(blob, validate=True),
                    text,
                )
                for below, key, doc, blob, text in body["parts"]
            ]
            return cls(body["id"], body["version"], body["doc"], parts)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptRecord(f"{where} is damaged: {error!r}") from error


def _crc(body: Any) -> int:
    return crc32(encode_doc(body))


def read(paths: SessionPaths) -> Plan[Moved | None]:
    """A session as it is at one moment; None where it is not there.

    One batch reads it once its namespaces are known, so no writer can keep it from being read.
    """
    known: list[Namespace] = []
    while True:
        session, memory, checkpoints, *pages = yield [
            Get(paths.sessions, paths.id),
            ListNamespaces(paths.memory),
            ListNamespaces(paths.checkpoints),
            *(Scan(namespace) for namespace in known),
        ]
        if session is None:
            return None
        if (found := [*memory, *checkpoints]) != known:
            known = found
            continue
        parts = [_part(paths, record) for page in pages for record in page]
        return Moved(paths.id, session.version, _resting(session.body()), parts)


class Edition(NamedTuple):
    """What tells whether a session has changed since it was read."""

    version: int
    doc: dict[str, Any]


def is_at(paths: SessionPaths, edition: Edition) -> Plan[bool]:
    """Whether a session is as it was when it was written down."""
    (session,) = yield [Get(paths.sessions, paths.id, blob=False)]
    if session is None:
        return False
    return Edition(session.version, _resting(session.body())) == edition


def _part(paths: SessionPaths, record: Record) -> Part:
    doc = record.doc
    if record.namespace == paths.checkpoints:
        # Where it arrives its graph adds to logs of its own: a place never means two things.
        doc = Head.read(record)._replace(logs={}).doc()
    depth = len(paths.memory) - 2
    word, _, *rest = record.namespace[depth:]
    return Part((word, *rest), record.key, doc, record.blob, record.text)


def _resting(doc: dict[str, Any]) -> dict[str, Any]:
    """The document of a session without the turn that is on."""
    found = {name: value for name, value in doc.items() if name not in index.OF_A_TURN}
    if found.get("status") == "running":
        found["status"] = "idle"
    return found


def write(scope: Scope, moved: Moved, if_exists: IfExists, *, dry_run: bool = False) -> Plan[bool]:
    """Write a session; whether it was written, or in a dry run whether it would be.

    Raises:
        SessionExists: there is one with this id, and `if_exists` is ``"raise"``.
        InvalidKey: `if_exists` is something else, or the id cannot be one.
    """
    if if_exists not in ("skip", "raise", "replace"):
        raise InvalidKey(f"if_exists is 'skip', 'raise' or 'replace', not {if_exists!r}")
    paths = scope.paths(moved.id)
    roots = {"memory": paths.memory, "checkpoints": paths.checkpoints}
    content: list[Op] = []
    for part in moved.parts:
        word, *rest = part.below
        if word not in roots:
            raise CorruptRecord(f"session {moved.id!r} has a record in {part.below}")
        content.append(
            Put((*roots[word], *rest), part.key, doc=part.doc, blob=part.blob, text=part.text)
        )

    def attempt() -> Plan[bool]:
        session, remains = yield [Get(paths.sessions, paths.id), index.remains(paths)]
        if session is not None:
            if if_exists == "raise":
                raise SessionExists(f"session {paths.id!r} exists already")
            if if_exists == "skip":
                return False
        if dry_run:
            return True
        before: list[Op] = []
        if session is not None:
            before = index.erase(paths, scope.now(), session.version)
            remains = None
        doc = {**moved.doc, **index.after(remains, _began(moved))}
        yield [*before, *index.begin(paths, doc, content)]
        return True

    return retrying(attempt)


def _began(moved: Moved) -> int:
    """When the life that is written began: before all of its checkpoints."""
    began = moved.doc.get("created_at")
    return began if isinstance(began, int) else now_micros(None)


def whole_lines(content: Iterable[bytes]) -> tuple[dict[str, Edition], int]:
    """What a file that was written so far holds, for whoever goes on with it.

    Returns how its sessions stood, by their ids, the last line of each, and how many bytes are
    whole: a line that was torn when a process was killed is none.

    Raises:
        CorruptRecord: a line before the last one is damaged.
        SchemaTooNew: a newer Threadloom wrote it.
    """
    found: dict[str, Edition] = {}
    whole = 0
    for number, line in enumerate(content, start=1):
        if not line.endswith(b"\n"):
            break
        moved = Moved.of_line(line, f"line {number}")
        found[moved.id] = Edition(moved.version, moved.doc)
        whole += len(line)
    return found, whole
