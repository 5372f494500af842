"""The codec: values to bytes and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import ormsgpack

from threadloom.errors import CorruptRecord, SerializationError
from threadloom.serde.classes import name_of, plan_of
from threadloom.serde.format import PARTED, WHOLE, Refused, frame, pack, unframe
from threadloom.serde.reader import Reader
from threadloom.serde.resolve import find
from threadloom.serde.writer import Spliced, Writer

Run = tuple[str | None, int, int]
"""A run of a list's items: its key where it is kept elsewhere, its start and its end."""
Runs = Mapping[int, Sequence[Run]]

STRICT_VARIABLE: Final = "LANGGRAPH_STRICT_MSGPACK"
_TRUE: Final = frozenset({"1", "true", "yes"})

_SURELY_READABLE: Final = 20
"""Levels of nesting that stay within a reader's budget whatever they are."""


class Codec:
    """Stores values so that what was put is what is read, type for type.

    Plain data (everything of the standard library that is a value), LangChain's and
    LangGraph's types, and the application's own enums, named tuples, dataclasses, pydantic
    models and subclasses of built-in types. The latter are rebuilt field by field if their
    module is already imported; loading never imports, and never runs a constructor, a
    validator or any other function of a class. Two references to one object become two
    objects. An exception is stored as the text of its ``repr``, as LangGraph does. Values
    nest up to 200 levels deep; NumPy arrays are kept where NumPy is imported.

    A codec is immutable and may be used from any thread.

    Args:
        allow: classes, or ``(module, name)`` pairs, that may be loaded also in strict mode.
            Needed as well for a class with a ``__del__`` method.
        aliases: ``{"old.module:Name": NewClass}`` for classes that moved. They are allowed.
        strict: load only plain data, the LangChain and LangGraph types and what ``allow``
            names. ``None``: as the environment's ``LANGGRAPH_STRICT_MSGPACK`` says.

    Raises:
        TypeError: ``allow`` or ``aliases`` holds something else, or a class whose instances
            cannot be stored.
    """

    __slots__ = ("_classes", "_named", "_pairs", "strict")

    strict: bool
    _classes: frozenset[type]
    _named: Mapping[str, type]
    _pairs: frozenset[tuple[str, str]]

    def __init__(
        self,
        *,
        allow: Iterable[type | tuple[str, str]] = (),
        aliases: Mapping[str, type] | None = None,
        strict: bool | None = None,
    ) -> None:
        if strict is None:
            strict = os.environ.get(STRICT_VARIABLE, "").strip().lower() in _TRUE
        classes: set[type] = set()
        pairs: set[tuple[str, str]] = set()
        named: dict[str, type] = {}
        for item in allow:
            if isinstance(item, type):
                _storable(item)
                classes.add(item)
                named[name_of(item)] = item
            elif isinstance(item, tuple) and len(item) == 2:
                pairs.add(item)
            else:
                raise TypeError(f"allow takes classes and (module, name) pairs, not {item!r}")
        for name, cls in (aliases or {}).items():
            if not all(name.partition(":")):
                raise TypeError(f"an alias is written 'module:Name', not {name!r}")
            _storable(cls)
            classes.add(cls)
            named[name] = cls
        self._fill(strict, frozenset(classes), frozenset(pairs), named)

    def _fill(
        self,
        strict: bool,
        classes: frozenset[type],
        pairs: frozenset[tuple[str, str]],
        named: Mapping[str, type],
    ) -> None:
        set_once = object.__setattr__
        set_once(self, "strict", strict)
        set_once(self, "_classes", classes)
        set_once(self, "_pairs", pairs)
        set_once(self, "_named", dict(named))

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a Codec cannot be changed, so {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Codec cannot be changed, so {name!r} cannot be deleted")

    def __copy__(self) -> Codec:
        return self

    def __deepcopy__(self, memo: Any) -> Codec:
        return self

    def __repr__(self) -> str:
        names = sorted([name_of(cls) for cls in self._classes] + [":".join(p) for p in self._pairs])
        return f"Codec(strict={self.strict}, allow={names})"

    def dumps(self, value: Any, *, where: str = "value") -> bytes:
        """The bytes of a value.

        Args:
            value: what to store.
            where: what to call it in an error, such as ``channel 'messages'``.

        Raises:
            SerializationError: something in it cannot be stored; the message names
                ``where``, the place inside the value, and the type.
        """
        return frame(self._body(value, where, None, ()))

    def dumps_apart(
        self,
        value: Any,
        keep: Callable[[str | bytes], str | None],
        *,
        where: str = "value",
        runs: Runs | None = None,
    ) -> bytes:
        """The bytes of a value without its long texts and bytes, which `keep` takes.

        Args:
            value: what to store.
            keep: takes a text or bytes of 64 or more, and gives the key under which it can be
                found again, or None to leave it inside.
            where: what to call the value in an error.
            runs: by the identity of a list in the value what it consists of, in order: the key
                under which a run of its items can be found again and where the run begins and
                ends, or None for the key of a run that stays inside.

        Raises:
            SerializationError: as `dumps`.
        """
        keys: list[str] = []
        parts: list[Any] = []
        numbers: dict[str, int] = {}

        def apart(part: str | bytes) -> int | None:
            key = keep(part)
            if key is None:
                return None
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(keys)
                keys.append(key)
                parts.append(part)
            return number

        def spliced(items: list[Any]) -> Spliced | None:
            found = None if runs is None else runs.get(id(items))
            if found is None:
                return None
            pieces: list[int | tuple[int, int]] = []
            for key, start, end in found:
                if key is None:
                    pieces.append((start, end))
                    continue
                pieces.append(len(keys))
                keys.append(key)
                parts.append(items[start:end])
            return pieces

        body = self._body(value, where, apart, parts, spliced if runs else None)
        return frame(pack([body, *keys]), PARTED) if keys else frame(body)

    def _body(
        self,
        value: Any,
        where: str,
        apart: Callable[[str | bytes], int | None] | None,
        parts: Sequence[Any],
        spliced: Callable[[list[Any]], Spliced | None] | None = None,
    ) -> bytes:
        try:
            writer = Writer(apart=apart, spliced=spliced)
            try:
                body = pack(writer.encode(value))
            except ormsgpack.MsgpackEncodeError:  # a lone surrogate: look at every string
                writer = Writer(careful=True, apart=apart, spliced=spliced)
                body = pack(writer.encode(value))
            if writer.deepest > _SURELY_READABLE:
                # Reading has a budget for nesting. What would exceed it is refused here.
                Reader(self, opaque=True, parts=parts).read(body)
            return body
        except Refused as error:
            raise SerializationError(error.describe(where)) from error.__cause__
        except (RecursionError, CorruptRecord) as error:
            raise SerializationError(f"cannot store {where}: it nests too deeply") from error
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except Exception as error:
            raise SerializationError(
                f"cannot store {where}, type {type(value).__module__}.{type(value).__qualname__}: "
                f"{error}"
            ) from error

    def loads(self, data: bytes) -> Any:
        """The value that ``dumps`` was given.

        Raises:
            UntrustedType: it names a class that may not be rebuilt in this process.
            CorruptRecord: the bytes are damaged.
        """
        return self._read(data, {}, opaque=False)

    def loads_joined(self, data: bytes, texts: Mapping[str, Any], *, opaque: bool = False) -> Any:
        """The value that ``dumps_apart`` was given, its parts taken from ``texts`` by key.

        Parts are texts, bytes, and for runs of lists lists, which become the caller's.

        Raises:
            UntrustedType: it names a class that may not be rebuilt in this process.
            CorruptRecord: the bytes are damaged, or a part is missing.
        """
        return self._read(data, texts, opaque=opaque)

    def _read(self, data: bytes, texts: Mapping[str, Any], *, opaque: bool) -> Any:
        found = opened(data)
        return Reader(self, opaque=opaque, parts=found.parts(texts)).read(found.body)

    def loads_opaque(self, data: bytes) -> Any:
        """The value, with an ``Opaque`` in place of everything that may not be rebuilt here.

        For tools that show data in a process that lacks the application's classes.

        Raises:
            CorruptRecord: the bytes are damaged.
        """
        return self._read(data, {}, opaque=True)

    def narrowed(self, extra: Collection[tuple[str, ...] | type]) -> Codec:
        """A strict codec that besides loads what ``extra`` names.

        Args:
            extra: classes, or ``(module, name)`` tuples as LangGraph collects them from a
                graph's schemas; entries of another length name nothing that is a class.
        """
        classes, pairs, named = set(self._classes), set(self._pairs), dict(self._named)
        for item in extra:
            if isinstance(item, type):
                classes.add(item)
                if plan_of(item) is not None:
                    named.setdefault(name_of(item), item)
            elif len(item) == 2:
                pairs.add((item[0], item[1]))
        clone = object.__new__(Codec)
        clone._fill(True, frozenset(classes), frozenset(pairs), named)
        return clone

    def _find(self, name: str) -> type | str:
        """The class of a stored name, or why there is none."""
        cls = self._named.get(name)
        return find(name) if cls is None else cls

    def _lists(self, name: str, cls: type) -> bool:
        """Whether a class was allowed by name or as itself."""
        if cls in self._classes:
            return True
        if not self._pairs:
            return False
        for full in (name, name_of(cls)):
            module, _, qualname = full.partition(":")
            if (module, qualname) in self._pairs or (module, _last(qualname)) in self._pairs:
                return True
        return False


def _last(qualname: str) -> str:
    """``Inner`` of ``Outer.Inner``: LangGraph lists classes by ``__name__``."""
    plain, bracket, parameters = qualname.partition("[")
    return plain.rpartition(".")[2] + bracket + parameters


def _storable(cls: Any) -> None:
    if not isinstance(cls, type) or plan_of(cls) is None:
        raise TypeError(
            f"{cls!r} cannot be allowed: it is not an enum, named tuple, dataclass, "
            "pydantic model or subclass of a built-in type"
        )


class Opened(NamedTuple):
    """The bytes of a value, checked and opened.

    Attributes:
        body: the value.
        keys: the keys of the parts that it needs.
    """

    body: bytes
    keys: list[str]

    def parts(self, texts: Mapping[str, Any]) -> list[Any]:
        """Its parts.

        Raises:
            CorruptRecord: one is missing.
        """
        try:
            return [texts[key] for key in self.keys]
        except KeyError as error:
            raise CorruptRecord(f"a part of a stored value is missing: {error}") from error


def opened(data: bytes) -> Opened:
    """Open the bytes of a value without reading it.

    Raises:
        CorruptRecord: the bytes are damaged.
        SchemaTooNew: a newer Threadloom wrote them.
    """
    version, body = _content(data)
    if version == WHOLE:
        return Opened(body, [])
    inner, *keys = _parted(body)
    return Opened(inner, keys)


def _parted(body: bytes) -> list[Any]:
    try:
        parts = ormsgpack.unpackb(body)
    except ValueError as error:
        raise CorruptRecord(f"a stored value is damaged: {error}") from error
    if type(parts) is not list or len(parts) < 2 or type(parts[0]) is not bytes:
        raise CorruptRecord("a stored value with parts has the wrong form")
    return parts


def _content(data: Any) -> tuple[int, bytes]:
    if not isinstance(data, bytes):
        if not isinstance(data, (bytearray, memoryview)):
            raise CorruptRecord(f"a stored value is {type(data).__name__}, not bytes")
        data = bytes(data)
    return unframe(data)
