"""Filters as conditions that let a database leave out most documents which do not pass.

They let every document through that may pass, and `threadloom.filters` has the last word:
databases compare some values otherwise. For SQLite (`conditions`) a document that is no JSON gets
through as well, so that whoever reads it is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from threadloom.keys import is_storable

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")
_ROOT = "$"
_MOST = 32
"""Conditions of one filter."""
_LARGEST = 10**15
_COLUMN = "CASE WHEN json_valid(r.doc) THEN {} = ? ELSE 1 END"


Path = tuple[str, ...]
"""The names of a field and of the fields that it is in, outermost first."""


def conditions(filter: Mapping[str, Any] | None) -> tuple[list[str], list[Any]]:
    """Conditions on `r.doc` that a document meets if it passes a filter, and their parameters."""
    where: list[str] = []
    parameters: list[Any] = []
    for names, wanted in leaves(filter):
        path = ".".join((_ROOT, *names))
        if type(wanted) is bool:
            where.append(_COLUMN.format(f"json_type(r.doc, '{path}')"))
            parameters.append("true" if wanted else "false")
        else:
            where.append(_COLUMN.format(f"json_extract(r.doc, '{path}')"))
            parameters.append(wanted)
    return where, parameters


def leaves(filter: Mapping[str, Any] | None) -> Iterator[tuple[Path, Any]]:
    """Fields, and what they must equal (a bool, an int or a str) where a document passes a filter.

    Names are plain: ASCII letters, digits and ``_``.
    """
    return islice(_leaves(filter or {}, (), literal=False), _MOST)


def _leaves(filter: Mapping[str, Any], path: Path, *, literal: bool) -> Iterator[tuple[Path, Any]]:
    """What single fields must equal, as far as a database surely says so where they do.

    Args:
        filter: a filter, or a part of one.
        path: the field that it is about.
        literal: whether no name in it is an operator.
    """
    for name, wanted in filter.items():
        is_operator = not literal and path != ()
        if name == "$eq" and is_operator and _is_exact(wanted):
            yield path, wanted
        elif name == "$fields" and is_operator and isinstance(wanted, Mapping):
            yield from _leaves(wanted, path, literal=True)
        elif _PLAIN_NAME.fullmatch(name):
            below = (*path, name)
            if isinstance(wanted, Mapping):
                yield from _leaves(wanted, below, literal=False)
            elif _is_exact(wanted):
                yield below, wanted


def _is_exact(wanted: Any) -> bool:
    if type(wanted) is int:
        return abs(wanted) < _LARGEST
    return type(wanted) is bool or (type(wanted) is str and is_storable(wanted))
