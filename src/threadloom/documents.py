"""Documents as JSON: strict on the way in, exact on the way out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from threadloom.errors import CorruptRecord, InvalidKey, SerializationError

_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def encode_doc(doc: Mapping[str, Any]) -> bytes:
    """A document as JSON bytes (UTF-8).

    For documents of Threadloom's own making; what a caller brings goes through `check_json`
    first, which is stricter about what JSON libraries let pass (NaN, UUIDs, enums).

    Raises:
        SerializationError: something in it is not JSON.
    """
    try:
        return orjson.dumps(doc, option=_OPTIONS)
    except TypeError:
        pass
    plain = check_json(doc)  # names what is wrong; integers beyond 64 bits are fine with json
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()


def decode_doc(data: bytes | str) -> dict[str, Any]:
    """The document that `encode_doc` wrote.

    Raises:
        CorruptRecord: the bytes are not a JSON object.
    """
    try:
        doc = json.loads(data) if _has_long_digits(data) else orjson.loads(data)
    except ValueError as error:
        raise CorruptRecord(f"a stored document is not JSON: {data[:60]!r}") from error
    if type(doc) is not dict:
        raise CorruptRecord(f"a stored document is not a JSON object: {data[:60]!r}")
    return doc


_DEEPEST = 200
_LONGEST_INTEGER = 10_000
"""Bits; a longer one has more digits than Python reads back without being told to."""


def check_json(value: Any, path: str = "document", *, depth: int = 0) -> Any:
    """A copy of `value` with nothing but JSON in it, tuples as lists.

    Raises:
        SerializationError: names the path of the first value that JSON cannot hold: other
            types, keys that are not strings, infinities and NaN, lone surrogates, integers of
            thousands of digits, and nesting deeper than 200.
    """
    if depth > _DEEPEST:
        raise SerializationError(f"{path:.80} is nested deeper than {_DEEPEST}")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise SerializationError(f"{path} holds a lone surrogate: {value!r:.60}") from None
        return str(value)
    if isinstance(value, int):
        if value.bit_length() > _LONGEST_INTEGER:
            raise SerializationError(f"{path} is an integer of {value.bit_length()} bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SerializationError(f"{path} is {value}, which JSON cannot hold")
        return float(value)
    if isinstance(value, Mapping):
        result = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise SerializationError(f"{path} has the key {key!r}; keys must be strings")
            name = check_json(key, f"a key of {path}")
            result[name] = check_json(item, f"{path}[{key!r:.60}]", depth=depth + 1)
        return result
    if isinstance(value, (list, tuple)):
        return [
            check_json(item, f"{path}[{index}]", depth=depth + 1)
            for index, item in enumerate(value)
        ]
    raise SerializationError(f"{path} is a {type(value).__qualname__}, which JSON cannot hold")


_AS_NOUGHTS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_DIGITS = b"0" * 19


def check_field_names(value: Any) -> None:
    """Make sure that no name of a field, at any depth, has a lone surrogate in it.

    Some serializers (pydantic's) write U+FFFD in its place without a word, so this looks at what
    they are given.

    Raises:
        InvalidKey: there is one.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            try:
                str(key).encode()
            except UnicodeEncodeError as error:
                raise InvalidKey(
                    f"a field's name has a lone surrogate in it: {key!r:.80}"
                ) from error
            check_field_names(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            check_field_names(item)


def _has_long_digits(data: bytes | str) -> bool:
    # orjson reads integers beyond 64 bits as floats; only such documents take the slow way.
    encoded = data if isinstance(data, bytes) else data.encode()
    return _LONG_DIGITS in encoded.translate(_AS_NOUGHTS)
