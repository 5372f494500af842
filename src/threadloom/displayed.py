"""What shows itself in notebooks; how it looks is in `threadloom.display`, loaded when needed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeVar, overload

if TYPE_CHECKING:
    from pandas import DataFrame

_DISPLAY = "threadloom.display"

T = TypeVar("T")


class Displayed:
    """Shows itself as HTML that needs neither a network nor scripts."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        shown: str = _display().html(self)
        return shown


class Tabular(Displayed):
    """Something with rows, which pandas takes."""

    __slots__ = ()

    def to_pandas(self) -> DataFrame:
        """The rows as a `pandas.DataFrame`.

        Raises:
            MissingAdapter: pandas is not installed.
        """
        return _display().frame(self)


class Rows(Tabular, list[T]):
    """A list that shows itself, as do its slices."""

    __slots__ = ()

    @overload
    def __getitem__(self, at: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Self: ...
    def __getitem__(self, at: SupportsIndex | slice) -> T | Self:
        if isinstance(at, slice):
            return self._part(super().__getitem__(at))
        return super().__getitem__(at)

    def _part(self, items: list[T]) -> Self:
        return type(self)(items)


def _display() -> Any:
    return import_module(_DISPLAY)


__all__ = ["Displayed", "Rows", "Tabular"]
