"""How records lie in somebody else's store: places, buckets, and what an item holds.

A record is an item. Its namespace there is ours behind one label of ours, then a mark, then,
where a namespace grows with a session, a bucket::

    ("threadloom", "checkpoints", "trip", "%", "|", ":=1F0…")    key "=1F0…!…"
    ("threadloom", "sessions", "|")                              key "trip"

A search there is by the beginning of a namespace and knows no ranges of keys. So the mark keeps
what is in a namespace apart from what is below it, and a bucket holds keys that are read
together: a checkpoint and its pending writes, or neighbours in a log.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

import orjson

from threadloom import keys
from threadloom.documents import decode_doc, encode_doc
from threadloom.errors import CorruptRecord, SerializationError
from threadloom.ops import Namespace
from threadloom.stores.spaces import Entry

LABEL: Final = "threadloom"
"""First label of everything that is ours."""
MARK: Final = "|"
"""The label between a namespace and the bucket of a key; no label of a namespace is written so."""
OWN: Final[Namespace] = (LABEL, MARK + "!")
"""Where the engine keeps what is its own: who writes, and a batch that is under way."""

_BUCKET = ":"
_REST = ";"
_RUN = re.compile(r'[^\x00-".]*')
_CHECKPOINT_DEPTH = 3
_MEMORY_DEPTH = 2
_MOST_NEIGHBOURS = 64
ROOM: Final = 8
"""Records that a bucket may be expected to have, at the least."""


class Cut(NamedTuple):
    """A rule for buckets: as many characters of a key, if they are digits of these.

    A rule without digits takes what comes before the first separator of a composed key.
    """

    size: int
    digits: str


_RULES = {"~logs": Cut(9, keys.DIGITS), "~texts": Cut(8, keys.DIGITS)}
_MESSAGES = Cut(8, "0123456789")
_COMPOSED = Cut(0, "")


def rule(namespace: Namespace) -> Cut | None:
    """How the keys of a namespace are put into buckets; None where there is one for all."""
    rest = namespace[1:] if namespace and namespace[0].startswith(keys.TENANT_MARK) else namespace
    if len(rest) == _MEMORY_DEPTH and rest[0] == keys.MEMORY:
        return _MESSAGES
    if len(rest) == _MEMORY_DEPTH + 1 and rest[0] == keys.MEMORY:
        # The items of a stream; a history's own index is read key by key.
        return None if rest[-1].startswith(keys.OWN_MARK) else _MESSAGES
    if len(rest) >= _CHECKPOINT_DEPTH and rest[0] == keys.CHECKPOINTS:
        if len(rest) == _CHECKPOINT_DEPTH:
            return _COMPOSED
        if len(rest) == _CHECKPOINT_DEPTH + 1:
            return _RULES.get(rest[-1])
    return None


def bucket(cut: Cut, key: str) -> str:
    """The bucket of a key: some beginning of it, or the empty one."""
    if not cut.digits:
        found = _RUN.match(key)
        return found[0] if found else ""
    start = key[: cut.size]
    return start if len(start) == cut.size and not start.strip(cut.digits) else ""


def buckets_between(cut: Cut, start: str | None, end: str | None) -> list[str] | None:
    """The buckets that hold every key from `start` to `end` (exclusive); None if any may."""
    if start is None or end is None:
        return None
    low = bucket(cut, start)
    if not low:
        return None
    if not cut.digits:
        return [low] if low <= start and end <= low + keys.AFTER_PARTS else None
    high = bucket(cut, end)
    if low == high:
        return [low]
    if not high:
        return None
    first, last = _number(cut, low), _number(cut, high)
    if not 0 <= last - first <= _MOST_NEIGHBOURS:
        return None
    return ["", *(_digits(cut, number) for number in range(first, last + 1))]


def _number(cut: Cut, text: str) -> int:
    number = 0
    for digit in text:
        number = number * len(cut.digits) + cut.digits.index(digit)
    return number


def _digits(cut: Cut, number: int) -> str:
    found = ""
    for _ in range(cut.size):
        number, digit = divmod(number, len(cut.digits))
        found = cut.digits[digit] + found
    return found


def tree(namespace: Namespace) -> Namespace:
    """The beginning of the places of all records at and below a namespace."""
    return (LABEL, *(MARK + label if label.startswith(MARK) else label for label in namespace))


def level(namespace: Namespace) -> Namespace:
    """The beginning of the places of a namespace's own records."""
    return (*tree(namespace), MARK)


def bucket_place(namespace: Namespace, name: str) -> Namespace:
    """Where the records of one bucket are."""
    # Some stores find what begins alike: the bucket without a name must not begin the others.
    return (*level(namespace), _BUCKET + name if name else _REST)


def place(namespace: Namespace, key: str) -> Namespace:
    """Where a record is."""
    cut = rule(namespace)
    return level(namespace) if cut is None else bucket_place(namespace, bucket(cut, key))


def bucket_at(namespace: Namespace, there: Namespace) -> str | None:
    """The bucket of a namespace that a place is; None if it is none of this namespace."""
    begin = level(namespace)
    if len(there) != len(begin) + 1 or there[:-1] != begin:
        return None
    if there[-1] == _REST:
        return ""
    return there[-1][len(_BUCKET) :] if there[-1].startswith(_BUCKET) else None


def level_at(there: Namespace) -> tuple[Namespace, Namespace]:
    """The level that a place belongs to (itself, if it can be none of ours), and its namespace."""
    end = there.index(MARK) + 1 if MARK in there else len(there)
    return there[:end], _plain(there[1 : end - (MARK in there)])


def _plain(labels: Namespace) -> Namespace:
    return tuple(label[1:] if label.startswith(MARK) else label for label in labels)


def namespace_at(there: Namespace, key: str) -> Namespace:
    """The namespace of the record that is at a place.

    Raises:
        CorruptRecord: no record of ours can be there.
    """
    if MARK in there:
        namespace = _plain(there[1 : there.index(MARK)])
        if place(namespace, key) == there:
            return namespace
    raise CorruptRecord(
        f"an item at {there!r}/{key!r:.80} is not Threadloom's: everything below {LABEL!r} has "
        "to be left to it"
    )


def encode(entry: Entry) -> dict[str, Any]:
    """What an item holds of a record: JSON, and nothing that is shared."""
    value: dict[str, Any] = {
        "version": entry.version,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
    }
    if entry.expires_at is not None:
        value["expires_at"] = entry.expires_at
    if entry.doc is not None:
        if _is_plain(entry.doc):
            value["doc"] = orjson.loads(entry.doc)
        else:
            value["json"] = entry.doc.decode()
    if entry.blob is not None:
        value["blob"] = b64encode(entry.blob).decode()
    if entry.text is not None:
        if "\0" in entry.text:
            value["text64"] = b64encode(entry.text.encode()).decode()
        else:
            value["text"] = entry.text
    return value


_AS_NOUGHTS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * 17


def _is_plain(doc: bytes) -> bool:
    """Whether JSON stores keep a document exactly: some know no NUL, some no long integers."""
    return b"\\u0000" not in doc and _LONG not in doc.translate(_AS_NOUGHTS)


_TIMES = ("version", "created_at", "updated_at")


def decode(value: object, there: Namespace, key: str) -> Entry:
    """The record that `encode` made an item's value of.

    Raises:
        CorruptRecord: it was not made so.
    """
    if not isinstance(value, Mapping):
        raise _odd(there, key, f"holds a {type(value).__name__}")
    times = [value.get(name) for name in _TIMES]
    expires = value.get("expires_at")
    if not all(type(time) is int for time in times) or type(expires) not in (int, type(None)):
        raise _odd(there, key, "has no version or times")
    return Entry(
        _doc(value, there, key),
        _bytes(value, "blob", there, key),
        _text(value, there, key),
        *cast(tuple[int, int, int], tuple(times)),
        cast(int | None, expires),
    )


def _doc(value: Mapping[str, Any], there: Namespace, key: str) -> bytes | None:
    if (text := value.get("json")) is not None:
        if not isinstance(text, str):
            raise _odd(there, key, "has a document that is no text")
        try:
            decode_doc(text)
        except CorruptRecord as error:
            raise _odd(there, key, "has a document that is not JSON") from error
        return text.encode()
    doc = value.get("doc")
    if doc is None:
        return None
    if not isinstance(doc, dict):
        raise _odd(there, key, f"has a {type(doc).__name__} as its document")
    try:
        return encode_doc(doc)
    except SerializationError as error:
        raise _odd(there, key, "has a document that is not JSON") from error


def _bytes(value: Mapping[str, Any], name: str, there: Namespace, key: str) -> bytes | None:
    data = value.get(name)
    if data is None:
        return None
    try:
        return b64decode(data, validate=True)
    except (ValueError, TypeError) as error:
        raise _odd(there, key, f"has a {name} that is not base64") from error


def _text(value: Mapping[str, Any], there: Namespace, key: str) -> str | None:
    if (data := _bytes(value, "text64", there, key)) is not None:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise _odd(there, key, "has a text that is not UTF-8") from error
    text = value.get("text")
    if text is not None and not isinstance(text, str):
        raise _odd(there, key, f"has a {type(text).__name__} as its text")
    return text


def _odd(there: Namespace, key: str, what: str) -> CorruptRecord:
    return CorruptRecord(f"the item at {there!r}/{key!r:.80} {what}: it is no record of ours")


def chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    """A list in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
