"""Records in memory, by namespace and in the order of their keys."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

from threadloom import keys
from threadloom.ops import Namespace


class Entry(NamedTuple):
    """What a record holds; its document encoded."""

    doc: bytes | None
    blob: bytes | None
    text: str | None
    version: int
    created_at: int
    updated_at: int
    expires_at: int | None


class Space:
    """The records of one namespace, by key and in order."""

    __slots__ = ("entries", "order")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.order: list[str] = []

    def set(self, key: str, entry: Entry) -> None:
        if key not in self.entries:
            if self.order and key <= self.order[-1]:
                insort(self.order, key)
            else:
                self.order.append(key)
        self.entries[key] = entry

    def remove(self, key: str) -> None:
        del self.entries[key]
        del self.order[bisect_left(self.order, key)]


class Spaces:
    """The namespaces that hold records, those of one session side by side.

    Needs no repair after an interrupt: what can be left behind is a family without members.
    """

    __slots__ = ("_families",)

    def __init__(self) -> None:
        self._families: dict[Namespace, dict[Namespace, Space]] = {}

    def get(self, namespace: Namespace) -> Space | None:
        family = self._families.get(_family(namespace))
        return None if family is None else family.get(namespace)

    def make(self, namespace: Namespace) -> Space:
        """The space of a namespace, a new one if there is none."""
        family = self._families.setdefault(_family(namespace), {})
        return family.setdefault(namespace, Space())

    def remove(self, namespace: Namespace) -> None:
        family = self._families[_family(namespace)]
        del family[namespace]
        if not family:
            del self._families[_family(namespace)]

    def below(self, namespace: Namespace) -> Iterator[tuple[Namespace, Space]]:
        """The spaces at and below a namespace."""
        size, prefix = len(namespace), _family(namespace)
        # Families have names of one length, but for tenants: a shorter prefix is in many.
        only = self._families.get(prefix)
        for family in [only or {}] if _is_whole(prefix) else self._families.values():
            for name, space in family.items():
                if name[:size] == namespace:
                    yield name, space


def _family(namespace: Namespace) -> Namespace:
    """What the namespaces of one session have in common."""
    return namespace[: 3 if namespace and namespace[0].startswith(keys.TENANT_MARK) else 2]


def _is_whole(family: Namespace) -> bool:
    return len(family) == (3 if family and family[0].startswith(keys.TENANT_MARK) else 2)
