"""Walk a value and leave only what MessagePack says exactly, plus extensions.

The walk looks at the exact type of everything. ormsgpack alone would not do: it writes a
``bytearray`` or a ``memoryview`` as ``bytes`` and swallows what a hook raises. Lists and
dicts of plain scalars, the bulk of most values, are recognised at C speed and left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import ormsgpack

from threadloom.serde.classes import plan_of
from threadloom.serde.format import (
    JUST_STR,
    LISTS,
    LONG,
    MAX_DEPTH,
    PAIRS,
    PART,
    SCALARS,
    SPLICE,
    TEXT,
    Refused,
    ext,
)
from threadloom.serde.opaque import Opaque
from threadloom.serde.types_numpy import dump_numpy
from threadloom.serde.types_plain import DUMPERS as PLAIN_DUMPERS
from threadloom.serde.types_pydantic import DUMPERS as PYDANTIC_DUMPERS
from threadloom.serde.types_records import RECORD_DUMPERS
from threadloom.serde.types_subclasses import DUMPERS as SUBCLASS_DUMPERS

DUMPERS: Final = {**PLAIN_DUMPERS, **PYDANTIC_DUMPERS}
Spliced = Sequence[int | tuple[int, int]]

_CODE: Final = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType)
CLASS_DUMPERS: Final = {**RECORD_DUMPERS, **SUBCLASS_DUMPERS}


class Writer:
    """Makes one value plain. Not shared: it counts how deep it is.

    Attributes:
        deepest: how deep the value nests.
        careful: look for lone surrogates in every string, which costs time; the first
            attempt does without and fails if there are any.
        apart: takes a long text or bytes to be kept elsewhere and gives its number among
            the parts, or None where it stays.
        spliced: takes a list and says which runs of it are kept elsewhere: in order, a run's
            number among the parts, or start and end of items that stay; None where all stay.
        plain: whether scalars are written as they are.
    """

    __slots__ = ("apart", "careful", "deepest", "depth", "plain", "spliced")

    def __init__(
        self,
        *,
        careful: bool = False,
        apart: Callable[[str | bytes], int | None] | None = None,
        spliced: Callable[[list[Any]], Spliced | None] | None = None,
    ) -> None:
        self.careful = careful
        self.apart = apart
        self.spliced = spliced
        self.plain = not careful and apart is None
        self.depth = 0
        self.deepest = 0

    def encode(self, value: Any) -> Any:
        kind = type(value)
        if kind in SCALARS:
            if self.apart is not None and (kind is str or kind is bytes) and len(value) >= LONG:
                number = self.apart(value)
                if number is not None:
                    return ext(PART, number)
            return self.text(value) if self.careful and kind is str else value
        self.depth += 1
        if self.depth > self.deepest:
            self.deepest = self.depth
        if self.depth > MAX_DEPTH:
            raise Refused(None, f"it contains itself, or nests deeper than {MAX_DEPTH} levels")
        if kind is list or kind in LISTS:
            runs = None if self.spliced is None else self.spliced(value)
            result = self.items(value) if runs is None else self.splice(value, runs)
        elif kind is dict:
            result = self.mapping(value)
        elif (dump := DUMPERS.get(kind)) is not None:
            result = dump(self, value)
        elif (plan := plan_of(kind)) is not None:
            result = CLASS_DUMPERS[plan.tag](self, value, plan)
        else:
            result = self._last_resort(value, kind)
        self.depth -= 1
        return result

    def text(self, value: str) -> Any:
        """A string; one with lone surrogates becomes an extension."""
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            return ormsgpack.Ext(TEXT, value.encode("utf-8", "surrogatepass"))
        return value

    def items(self, values: Iterable[Any]) -> list[Any]:
        """The items of a list or anything like one."""
        if self.plain and type(values) is list and SCALARS.issuperset(map(type, values)):
            return values
        result: list[Any] = []
        try:
            for item in values:
                result.append(self.encode(item))
        except Refused as error:
            error.path.append(f"[{len(result)}]")
            raise
        return result

    def splice(self, values: list[Any], runs: Spliced) -> Any:
        """A list of which some runs are kept elsewhere."""
        return ext(
            SPLICE,
            [run if type(run) is int else self.items(values[slice(*run)]) for run in runs],  # type: ignore[misc]
        )

    def mapping(self, values: Mapping[Any, Any]) -> Any:
        """A dict: a plain one if every key is plain text, else an extension."""
        if not JUST_STR.issuperset(map(type, values)) or (
            self.careful and not all(map(_is_clean, values))
        ):
            return ext(PAIRS, self.pairs(values.items()))
        if self.plain and SCALARS.issuperset(map(type, values.values())):
            return values
        result: dict[str, Any] = {}
        key = ""
        try:
            for key, item in values.items():
                result[key] = self.encode(item)
        except Refused as error:
            error.path.append(f"[{key!r}]")
            raise
        return result

    def pairs(self, values: Iterable[tuple[Any, Any]]) -> list[Any]:
        """Keys and values in one flat list."""
        result: list[Any] = []
        key: Any = None
        try:
            for key, item in values:
                result.append(self.encode(key))
                result.append(self.encode(item))
        except Refused as error:
            error.path.append(f"[{_short(key)}]")
            raise
        return result

    def _last_resort(self, value: Any, kind: type) -> Any:
        if isinstance(value, BaseException):
            return self.text(repr(value)) if self.careful else repr(value)
        if "numpy" in sys.modules:
            result = dump_numpy(self, value)
            if result is not None:
                return result
        raise Refused(kind, _why(kind))


def _is_clean(key: str) -> bool:
    return key.isascii() or not any("\ud800" <= char <= "\udfff" for char in key)


def _short(key: Any) -> str:
    return repr(key) if type(key) in SCALARS else f"<{type(key).__qualname__}>"


def _why(kind: type) -> str:
    if issubclass(kind, Opaque):
        return "it only shows a value whose class was not there; store the original"
    if issubclass(kind, _CODE):
        return "code cannot be stored"
    if issubclass(kind, tuple(DUMPERS)):
        return "subclasses of this type cannot be stored"
    return (
        "it is neither plain data nor a dataclass, pydantic model, enum, named tuple "
        "or subclass of a built-in container"
    )
