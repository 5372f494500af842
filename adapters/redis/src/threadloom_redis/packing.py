"""Records as bytes.

``version created updated expires doc blob text|`` with lengths in bytes behind the times and ``-``
for what is not there, then document (JSON), blob and text (UTF-8) one behind the other. Scripts
read the front with one pattern.
"""

from __future__ import annotations

from threadloom.documents import decode_doc, encode_doc
from threadloom.errors import CorruptRecord
from threadloom.ops import Namespace, Put, Record
from threadloom.stores.spaces import Entry

NONE = b"-"


def body(put: Put) -> tuple[bytes, bytes]:
    """The lengths of what a `Put` writes, and it itself."""
    doc = None if put.doc is None else encode_doc(put.doc)
    text = None if put.text is None else put.text.encode()
    return _joined(doc, put.blob, text)


def packed(entry: Entry) -> bytes:
    """A record whole."""
    text = None if entry.text is None else entry.text.encode()
    lengths, content = _joined(entry.doc, entry.blob, text)
    front = b"%d %d %d %b " % (
        *(entry.version, entry.created_at, entry.updated_at),
        number(entry.expires_at),
    )
    return front + lengths + b"|" + content


def number(value: int | None) -> bytes:
    """A number, or nothing, as scripts are given it."""
    return NONE if value is None else b"%d" % value


def entry(raw: bytes) -> Entry:
    """What `packed` wrote.

    Raises:
        CorruptRecord: somebody else wrote that.
    """
    front, found, content = raw.partition(b"|")
    try:
        version, created, updated, expires, *lengths = front.split(b" ")
        parts: list[bytes | None] = []
        at = 0
        for length in lengths:
            if length == NONE:
                parts.append(None)
            else:
                end = at + int(length)
                parts.append(content[at:end])
                at = end
        doc, blob, text = parts
        if not found or at != len(content):
            raise ValueError("the lengths do not fit")
        return Entry(
            doc,
            blob,
            None if text is None else text.decode(),
            int(version),
            int(created),
            int(updated),
            None if expires == NONE else int(expires),
        )
    except ValueError as error:
        raise CorruptRecord(f"a record in Redis is damaged: {raw[:60]!r}") from error


def record(namespace: Namespace, key: str, raw: bytes) -> Record:
    """A record as it is handed out.

    Raises:
        CorruptRecord: it is damaged.
    """
    found = entry(raw)
    return Record(
        namespace,
        key,
        None if found.doc is None else decode_doc(found.doc),
        *found[1:],
    )


def _joined(doc: bytes | None, blob: bytes | None, text: bytes | None) -> tuple[bytes, bytes]:
    parts = (doc, blob, text)
    lengths = b" ".join(NONE if part is None else b"%d" % len(part) for part in parts)
    return lengths, b"".join([part for part in parts if part is not None])
