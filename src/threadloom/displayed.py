"""What shows itself in notebooks; how it looks is in `threadloom.display`, loaded when needed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

_DISPLAY = "threadloom.display"


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


def _display() -> Any:
    return import_module(_DISPLAY)


__all__ = ["Displayed", "Tabular"]
