"""Read a stored body back, trusting nothing in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import ormsgpack

from threadloom.errors import CorruptRecord, UntrustedType
from threadloom.serde import (
    types_numpy,
    types_plain,
    types_pydantic,
    types_records,
    types_subclasses,
)
from threadloom.serde.classes import Plan, is_class, is_known, plan_of
from threadloom.serde.format import (
    KIND_NAMES,
    MAX_DEPTH,
    PART,
    SPLICE,
    hook_was_interrupted,
    nesting,
    nesting_at_most,
)
from threadloom.serde.known import BY_CODE, NAMES
from threadloom.serde.opaque import Opaque

if TYPE_CHECKING:
    from threadloom.serde.codec import Codec

_LOADERS: Final[dict[int, Callable[[Reader, bytes], Any]]] = {
    **types_plain.LOADERS,
    **types_pydantic.LOADERS,
    **types_numpy.LOADERS,
    **types_records.LOADERS,
    **types_subclasses.LOADERS,
    PART: lambda reader, data: reader.part(data),
    SPLICE: lambda reader, data: reader.splice(data),
}

_FREE_LEVELS: Final = 3
_CHEAP: Final = 4
_STACK_BUDGET: Final = 1000
"""ormsgpack recurses up to 1,024 levels an extension, and extensions nest: unchecked, a forged
record overflows the C stack. Below the first levels all containers share this many levels."""


class Reader:
    """Reads one record. Not shared: it counts how deep it is and keeps the first error.

    ormsgpack replaces whatever its hook raises by an error of its own, so the hook leaves
    the real one in ``error``.
    """

    __slots__ = ("_codec", "_depth", "_opaque", "_parts", "_stack", "error")

    def __init__(self, codec: Codec, *, opaque: bool = False, parts: Sequence[Any] = ()) -> None:
        self._parts = parts
        self._codec = codec
        self._opaque = opaque
        self._depth = 0
        self._stack = 0
        self.error: BaseException | None = None

    def read(self, body: bytes) -> Any:
        """The value of a body.

        Raises:
            CorruptRecord: the body is not one that a ``Writer`` makes.
            UntrustedType: it names a class that may not be rebuilt.
        """
        try:
            return ormsgpack.unpackb(body, ext_hook=self._hook)
        except Exception as error:
            cause = self.error or error
            if self.error is None and hook_was_interrupted(error):
                raise KeyboardInterrupt from None
            if isinstance(cause, (CorruptRecord, UntrustedType)):
                raise cause from None
            if isinstance(cause, MemoryError) or not isinstance(cause, Exception):
                raise cause from None
            raise CorruptRecord(f"a stored value is damaged: {cause}") from cause

    def _hook(self, tag: int, data: bytes) -> Any:
        load = _LOADERS.get(tag)
        self._depth += 1
        stack = self._stack
        try:
            if load is None:
                raise CorruptRecord(f"a stored value has the unknown extension {tag}")
            if self._depth > _FREE_LEVELS:
                self._check_stack(data)
            value = load(self, data)
        except BaseException as error:
            if self.error is None:
                self.error = KeyboardInterrupt() if hook_was_interrupted(error) else error
            raise
        self._depth -= 1
        self._stack = stack
        return value

    def _check_stack(self, data: bytes) -> None:
        if self._depth > MAX_DEPTH:
            raise CorruptRecord(f"a stored value nests deeper than {MAX_DEPTH} levels")
        levels = nesting_at_most(data)
        if levels > _CHEAP:
            levels = nesting(data)
        self._stack += levels
        if self._stack > _STACK_BUDGET:
            raise CorruptRecord("a stored value nests too deeply")

    def part(self, data: bytes) -> str | bytes:
        """A text or bytes that are kept apart."""
        part = self._part(ormsgpack.unpackb(data))
        if type(part) is not str and type(part) is not bytes:
            raise CorruptRecord("a part of a stored value is no text")
        return part

    def _part(self, number: Any) -> Any:
        if type(number) is not int or not 0 <= number < len(self._parts):
            raise CorruptRecord("a stored value lacks one of its parts")
        return self._parts[number]

    def splice(self, data: bytes) -> list[Any]:
        """A list of which some runs are kept apart."""
        found: list[Any] = []
        for run in self.sequence(data):
            items = run if type(run) is list else self._part(run)
            if type(items) is not list:
                raise CorruptRecord("a part of a stored list is no list")
            found += items
        return found

    def unpack(self, data: bytes) -> Any:
        """The MessagePack value in the body of an extension."""
        return ormsgpack.unpackb(data, ext_hook=self._hook)

    def sequence(self, data: bytes) -> list[Any]:
        items = ormsgpack.unpackb(data, ext_hook=self._hook)
        if type(items) is not list:
            raise CorruptRecord("the items of a stored collection are not a list")
        return items

    def parts(self, data: bytes, least: int, most: int) -> list[Any]:
        """A list of ``least`` to ``most`` values, filled up with ``None``."""
        items = ormsgpack.unpackb(data, ext_hook=self._hook)
        if type(items) is not list or not least <= len(items) <= most:
            raise CorruptRecord("a stored object does not have the parts it should have")
        if len(items) < most:
            items += [None] * (most - len(items))
        return items

    def refuse(self, name: str, why: str, content: Any) -> Any:
        """What to give for a value that cannot be rebuilt here: an ``Opaque``, or an error."""
        if self._opaque:
            return Opaque(name, content)
        raise UntrustedType(f"cannot rebuild a stored {name}: {why}", type_name=name)

    def class_for(self, ref: Any, tag: int) -> Any:
        """The class and plan a stored reference stands for.

        Returns:
            ``(class, plan)``; only while reading opaquely, the name of a class that may not
            be rebuilt.

        Raises:
            CorruptRecord: it is not a reference.
            UntrustedType: the class may not be rebuilt.
        """
        if type(ref) is int:
            if ref not in NAMES:
                raise CorruptRecord(f"a stored value has the unknown type number {ref}")
            entry = BY_CODE.get(ref)
            if entry is not None and entry[1].tag == tag:
                return entry
            why = "the installed version of its library does not have it as it was stored"
            return self._no_class(NAMES[ref], why)
        if type(ref) is not str or not all(ref.partition(":")):
            raise CorruptRecord("a stored object does not name its class")
        found: Any = self._codec._find(ref)
        if type(found) is str:  # isinstance would ask the metaclass
            return self._no_class(ref, found)
        return self._check(ref, found, tag)

    def _check(self, name: str, cls: type, tag: int) -> Any:
        if not is_class(cls):
            return self._no_class(name, "it is not a class")
        listed = self._codec._lists(name, cls)
        if self._codec.strict and not listed and not is_known(cls):
            return self._no_class(name, "it is not in the list of allowed types")
        plan: Plan | None = plan_of(cls)
        if plan is None:
            why = "it is not an enum, named tuple, dataclass, pydantic model or built-in subclass"
            return self._no_class(name, why)
        if plan.tag != tag:
            why = f"it was stored as {KIND_NAMES[tag]} and is {KIND_NAMES[plan.tag]} here"
            return self._no_class(name, why)
        if plan.finalizer and not listed:
            return self._no_class(name, "it has a __del__ method, so it has to be allowed")
        return cls, plan

    def _no_class(self, name: str, why: str) -> str:
        if self._opaque:
            return name
        module = name.partition(":")[0]
        raise UntrustedType(
            f"cannot rebuild a stored {name}: {why}. To allow it, import {module} before "
            f"loading, name the class in allow=[...], or, if it was renamed, map it with "
            f"aliases={{{name!r}: NewClass}}.",
            type_name=name,
        )
