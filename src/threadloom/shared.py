"""`SharedState`: state of several sessions together, such as a user's or an application's.

Each field is an item of long-term memory with its value under ``"value"``, so fields that
different writers set do not fight, and graphs see them through `sessions.store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from threadloom.documents import check_json
from threadloom.errors import InvalidKey
from threadloom.keys import Namespace, check_text, encode_id
from threadloom.ops import Op, Put, Record, Scan
from threadloom.plans import Plan, arun, run
from threadloom.store import Store

VALUE = "value"


class SharedState:
    """Fields that several sessions share, by a scope such as ``("google-adk", "user", "ana")``.

    It is long-term memory: an item a field, in the namespace of the scope.
    """

    def __init__(self, store: Store, root: Namespace, scope: tuple[str, ...]) -> None:
        self._store, self._root, self._scope = store, root, scope
        place(root, scope)

    def read(self) -> dict[str, Any]:
        """All fields, by their names."""
        return run(read(self._root, self._scope), self._store)

    async def aread(self) -> dict[str, Any]:
        """`read`, from an event loop."""
        return await arun(read(self._root, self._scope), self._store)

    def update(self, fields: Mapping[str, Any]) -> None:
        """Set fields; those that are not named stay as they are.

        Raises:
            SerializationError: a value is not JSON.
            InvalidKey: a name cannot be stored.
        """
        run(update(self._root, self._scope, fields), self._store)

    async def aupdate(self, fields: Mapping[str, Any]) -> None:
        """`update`, from an event loop."""
        await arun(update(self._root, self._scope, fields), self._store)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._scope!r}"


def place(root: Namespace, scope: tuple[str, ...]) -> Namespace:
    """The namespace of a scope.

    Raises:
        InvalidKey: it is empty or cannot be stored.
    """
    if not scope:
        raise InvalidKey("a scope of shared state has at least one name")
    return (*root, *(encode_id(check_text(name, "a name of a scope")) for name in scope))


def read(root: Namespace, scope: tuple[str, ...]) -> Plan[dict[str, Any]]:
    """All fields of a scope."""
    (records,) = yield [Scan(place(root, scope), blobs=False)]
    return _fields(records)


def read_many(
    root: Namespace, scopes: list[tuple[str, ...]]
) -> Plan[dict[tuple[str, ...], dict[str, Any]]]:
    """All fields of several scopes, as of one moment."""
    if not scopes:
        return {}
    pages = yield [Scan(place(root, scope), blobs=False) for scope in scopes]
    return {scope: _fields(records) for scope, records in zip(scopes, pages, strict=True)}


def update(root: Namespace, scope: tuple[str, ...], fields: Mapping[str, Any]) -> Plan[None]:
    """Set fields of a scope."""
    ops = writes(root, {scope: fields})
    if ops:
        yield ops


def writes(root: Namespace, states: Mapping[tuple[str, ...], Mapping[str, Any]] | None) -> list[Op]:
    """What sets fields of shared states, by their scopes."""
    return [
        Put(
            place(root, scope),
            check_text(name, "a field of a shared state"),
            doc={VALUE: check_json(value, f"the field {name!r} of a shared state")},
        )
        for scope, fields in (states or {}).items()
        for name, value in fields.items()
    ]


def _fields(records: Iterable[Record]) -> dict[str, Any]:
    """The fields among items; what somebody else has put there is none."""
    docs = {record.key: record.body() for record in records}
    return {name: doc[VALUE] for name, doc in docs.items() if doc.keys() == {VALUE}}
