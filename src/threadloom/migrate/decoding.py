"""Values that LangGraph's `JsonPlusSerializer` stored, as objects again.

Nothing of the application's is imported here, and nothing is unpickled. What a value is made of
is looked at before any of it is built: plain types, those that LangGraph itself calls safe, and
data classes (pydantic, dataclass, enum, named tuple) whose module is imported already. LangGraph's
serializer then builds them. Anything else raises, where LangGraph would hand back a dict.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple

import ormsgpack
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_METHODS, SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.jsonplus import (
    EXT_CONSTRUCTOR_KW_ARGS,
    EXT_CONSTRUCTOR_POS_ARGS,
    EXT_CONSTRUCTOR_SINGLE_ARG,
    EXT_DELTA_SNAPSHOT,
    EXT_METHOD_SINGLE_ARG,
    EXT_NUMPY_ARRAY,
    EXT_PYDANTIC_V1,
    EXT_PYDANTIC_V2,
    JsonPlusSerializer,
)
from pydantic import BaseModel, SecretBytes, SecretStr

from threadloom.migrate.reports import Unavailable

_BUILDS = {
    EXT_CONSTRUCTOR_SINGLE_ARG,
    EXT_CONSTRUCTOR_POS_ARGS,
    EXT_CONSTRUCTOR_KW_ARGS,
    EXT_METHOD_SINGLE_ARG,
    EXT_PYDANTIC_V1,
    EXT_PYDANTIC_V2,
}
_SECRETS = {SecretStr, SecretBytes}
_PLAIN_KINDS = {"null", "bytes", "bytearray"}
_LOG = "langgraph.checkpoint.serde.jsonplus"


class Raw(NamedTuple):
    """An object that is not built yet: what LangGraph wrote for it."""

    code: int
    data: bytes


def unpacked(data: bytes) -> Any:
    """MessagePack with `Raw` in the place of objects.

    Raises:
        Unavailable: the bytes are damaged.
    """
    try:
        return ormsgpack.unpackb(data, ext_hook=Raw, option=ormsgpack.OPT_NON_STR_KEYS)
    except ValueError as error:
        raise Unavailable(f"what is stored is damaged: {error}") from error


class Decoder:
    """Builds values, of classes that may be built here only."""

    def __init__(self) -> None:
        self._allowed: set[tuple[str, str]] = set()
        self._serde = self._serializer()

    def parse(self, kind: str, data: bytes) -> Any:
        """A stored value, its objects not built yet where that can be put off.

        Raises:
            Unavailable: it cannot be read here; the message says what to do.
        """
        if kind == "msgpack":
            return unpacked(data)
        if kind in _PLAIN_KINDS:
            return self._serde.loads_typed((kind, data))
        if kind == "json":
            return self._json(data)
        if kind == "pickle":
            raise Unavailable("a value was stored by pickle, and pickles are never loaded")
        raise Unavailable(f"a value was stored by a serializer of the application's own ({kind!r})")

    def value(self, kind: str, data: bytes) -> Any:
        """A stored value.

        Raises:
            Unavailable: it cannot be read here; the message says what to do.
        """
        return self.build(self.parse(kind, data), {}, {})

    def build(self, parsed: Any, known: dict[Raw, Any], built: dict[Raw, Any]) -> Any:
        """What `parse` returned, with its objects.

        Args:
            parsed: what to build.
            known: objects that were built before; each is taken out when it is used again.
            built: receives the objects of this value.

        Raises:
            Unavailable: an object cannot be built here.
        """
        if type(parsed) is Raw:
            found = known.pop(parsed, None)
            if found is None:
                found = self._object(parsed)
            built[parsed] = found
            return found
        if type(parsed) is list:
            return [self.build(item, known, built) for item in parsed]
        if type(parsed) is dict:
            return {key: self.build(item, known, built) for key, item in parsed.items()}
        return parsed

    def _object(self, raw: Raw) -> Any:
        for part in self._checked(raw):
            self._load(part)  # inside another, what cannot be built would pass unnoticed
        return self._load(raw)

    def _load(self, raw: Raw) -> Any:
        packed = ormsgpack.packb(ormsgpack.Ext(raw.code, raw.data))
        with self._complaints() as complaints:
            value = self._serde.loads_typed(("msgpack", packed))
        if raw.code == EXT_NUMPY_ARRAY and value is None:
            raise Unavailable("a stored numpy array is damaged")
        if raw.code in _BUILDS:
            module, name, *_ = unpacked(raw.data)
            namespace = vars(sys.modules[module]) if module in sys.modules else {}
            cls = namespace.get(name)
            if complaints or (isinstance(cls, type) and not isinstance(value, cls)):
                raise Unavailable(f"the class {module}.{name} refuses what was stored of it")
        return value

    def _checked(self, raw: Raw) -> list[Raw]:
        """Make sure that all that an object is made of may be built here; builds nothing.

        Returns the objects of the application's classes that are inside it.
        """
        inner: list[Raw] = []
        left = [raw]
        while left:
            one = left.pop()
            if one.code == EXT_NUMPY_ARRAY:
                if importlib.util.find_spec("numpy") is None:
                    raise Unavailable("numpy.ndarray is not available here: pip install numpy")
                continue
            if one.code not in _BUILDS and one.code != EXT_DELTA_SNAPSHOT:
                raise Unavailable(f"an object has a form that is not known here ({one.code})")
            found = _Finder()
            try:
                parts = ormsgpack.unpackb(
                    one.data, ext_hook=found, option=ormsgpack.OPT_NON_STR_KEYS
                )
                if one.code in _BUILDS:
                    module, name = parts[0], parts[1]
                    method = parts[3] if one.code == EXT_METHOD_SINGLE_ARG else None
                    if not self._safe(module, name, method) and one is not raw:
                        inner.append(one)
            except (ValueError, TypeError, IndexError) as error:
                raise Unavailable(f"what is stored is damaged: {error}") from error
            left += found.objects
        return inner

    def _safe(self, module: str, name: str, method: str | None = None) -> bool:
        """Whether LangGraph calls a class safe; the application's are allowed if they may be.

        Raises:
            Unavailable: the class may not be built here.
        """
        if method is not None:
            if (module, name, method) in SAFE_MSGPACK_METHODS:
                return True
            raise Unavailable(f"a value was to be built by {module}.{name}.{method}")
        key = (module, name)
        if key in SAFE_MSGPACK_TYPES:
            return True
        if key not in self._allowed:
            _check_class(module, name)
            self._allowed.add(key)
            self._serde = self._serializer()
        return False

    def _serializer(self) -> JsonPlusSerializer:
        return JsonPlusSerializer(
            pickle_fallback=False,
            allowed_json_modules=[(*module.split("."), name) for module, name in self._allowed],
            allowed_msgpack_modules=list(self._allowed),
        )

    def _json(self, data: bytes) -> Any:
        """A value in the form that LangGraph wrote before MessagePack."""
        ids: list[list[str]] = []

        def look(item: dict[str, Any]) -> dict[str, Any]:
            if item.get("lc") == 2 and item.get("type") == "constructor" and item.get("id"):
                ids.append(item["id"])
            return item

        try:
            json.loads(data, object_hook=look)
            for *module, name in ids:
                self._safe(".".join(module), name)
            with self._complaints() as complaints:
                value = self._serde.loads_typed(("json", data))
        except (ValueError, TypeError, NotImplementedError, ImportError) as error:
            raise Unavailable(
                f"a value in LangGraph's old JSON form is damaged: {error}"
            ) from error
        if complaints:
            raise Unavailable(f"a value in LangGraph's old JSON form: {complaints[0]}")
        return value

    @contextmanager
    def _complaints(self) -> Iterator[list[str]]:
        """What the serializer only logs: it returns something else and goes on."""
        logger = logging.getLogger(_LOG)
        found: list[str] = []

        def keep(record: logging.LogRecord) -> bool:
            found.append(record.getMessage())
            return False

        logger.addFilter(keep)
        try:
            yield found
        finally:
            logger.removeFilter(keep)


class _Finder:
    """Notes the objects inside what is unpacked. It never raises: the parser would hide it."""

    def __init__(self) -> None:
        self.objects: list[Raw] = []

    def __call__(self, code: int, data: bytes) -> None:
        self.objects.append(Raw(code, data))


def _check_class(module: str, name: str) -> None:
    loaded = sys.modules.get(module)
    if loaded is None:
        raise Unavailable(_missing(module, name, "is not imported here"))
    cls = vars(loaded).get(name)
    if not isinstance(cls, type):
        raise Unavailable(_missing(module, name, "does not exist under this name"))
    if not _holds_data(cls):
        raise Unavailable(f"the class {module}.{name} holds more than data, and is never built")


def _missing(module: str, name: str, why: str) -> str:
    if module == "__main__":
        return (
            f"the class {name} was defined in the program that ran ({module}). Call "
            "threadloom.migrate.migrate_langgraph there, after the class"
        )
    return f"the class {module}.{name} {why}: --import {module}"


def _holds_data(cls: type) -> bool:
    return (
        dataclasses.is_dataclass(cls)
        or issubclass(cls, (BaseModel, Enum))
        or cls in _SECRETS
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or any(base.__module__ == "pydantic.v1.main" for base in cls.__mro__)
    )


__all__ = ["Decoder", "Raw", "unpacked"]
