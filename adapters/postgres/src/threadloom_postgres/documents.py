"""What PostgreSQL holds otherwise than it was written: documents, and words of texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from threadloom.documents import encode_doc
from threadloom.keys import INDEXED_FIELDS, ORDER_FIELDS, is_storable
from threadloom.text import tokens

_ODD = re.compile(rb"\\u0000|[:\[,]\s*-?[0-9][0-9.]*[eE]|[:\[,]\s*-0")
"""What jsonb refuses or changes: NUL, exponents of floats, a zero below zero."""

_MOST_POSITIONS = 5_000
_MOST_BYTES = 900_000
_LONGEST_WORD = 200


def is_odd(data: bytes) -> bool:
    """Whether a document, as JSON, may not come back from jsonb as it was written."""
    return _ODD.search(data) is not None


def stored(doc: Mapping[str, Any], *, listed: bool) -> tuple[bytes | None, bytes | None]:
    """A document for the columns `doc` and `odd_doc`.

    Args:
        doc: the document.
        listed: whether listings go by it; then the first is there also beside the second.
    """
    data = encode_doc(doc)
    if not is_odd(data):
        return data, None
    return (encode_doc(dict(_listed(doc))) if listed else None), data


def text_columns(text: str | None) -> tuple[bytes | None, bytes | None, bytes | None]:
    """A text for the columns `text`, `odd_text` and `words`."""
    if text is None:
        return None, None, None
    found = words(text).encode()
    if is_storable(text):
        return text.encode(), None, found
    return None, text.encode("utf-8", "surrogatepass"), found


def _listed(doc: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in INDEXED_FIELDS:
        if isinstance(value := doc.get(name), str) and is_storable(value):
            yield name, value
    for name in ORDER_FIELDS:
        if type(value := doc.get(name)) is int:
            yield name, value
    tags = doc.get("tags")
    if isinstance(tags, (list, tuple)):
        yield "tags", [tag for tag in tags if isinstance(tag, str) and is_storable(tag)]


LONGEST_ENTRY: Final = 200


def entry(field: str, value: str) -> str:
    """What the list of sessions has for a field's value; as the function `entry` of the schema."""
    data = value.encode()
    if len(data) <= LONGEST_ENTRY:
        return f"{field}:{value}"
    return f"{field}#{sha256(data).hexdigest()}"


def words(text: str) -> str:
    """The words of a text as the text of a tsvector.

    Of a text of many words only which there are is noted, and of one with more than 900,000 bytes
    of different words what comes first.
    """
    found = tokens(text)
    if len(found) <= _MOST_POSITIONS:
        return " ".join(f"{_cut(word)}:{at}" for at, word in enumerate(found, start=1))
    kept: list[str] = []
    left = _MOST_BYTES
    for word in dict.fromkeys(map(_cut, found)):
        left -= len(word.encode()) + 1
        if left < 0:
            break
        kept.append(word)
    return " ".join(kept)


def search(text: str) -> str:
    """The text of a tsquery for any of the words of a text; empty if there are none."""
    return " | ".join(f"'{_cut(word)}'" for word in dict.fromkeys(tokens(text)))


def _cut(word: str) -> str:
    if len(word) <= _LONGEST_WORD:
        return word
    return word[:100] + sha256(word.encode()).hexdigest()
