"""What stands for a value whose class this process does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, eq=True)
class Opaque:
    """The stored content of a value whose class is not known, or not trusted, here.

    Attributes:
        type_name: the class as ``module:qualified.name``.
        value: its content as plain data: a dict of the fields, an enum member's name,
            the items of a list, and so on.
    """

    type_name: str
    value: Any

    def __hash__(self) -> int:
        return hash((self.type_name, _hash(self.value)))

    def __repr__(self) -> str:
        name = self.type_name.partition(":")[2] or self.type_name
        if isinstance(self.value, dict) and all(isinstance(key, str) for key in self.value):
            return f"<{name}({', '.join(f'{key}={item!r}' for key, item in self.value.items())})>"
        return f"<{name} {self.value!r}>"


def _hash(value: Any) -> int:
    """A hash of what an ``Opaque`` may hold: equal contents give equal hashes."""
    if isinstance(value, dict):
        return hash(frozenset((key, _hash(item)) for key, item in value.items()))
    if isinstance(value, list):
        return hash(tuple(map(_hash, value)))
    try:
        return hash(value)
    except TypeError:
        return 0
