"""Namespaces: their numbers, which there are, and what they take up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from threadloom import keys
from threadloom.ops import ListNamespaces, Measure, Measured, Namespace


class Numbers:
    """The numbers of namespaces, at one moment.

    Args:
        connection: inside a transaction, or used for nothing but what is known.
        known: what is known of them; kept up to date.
    """

    def __init__(
        self, connection: sqlite3.Connection, known: dict[Namespace, int | None] | None = None
    ) -> None:
        self._connection = connection
        self.known = {} if known is None else known

    def find(self, namespace: Namespace) -> int | None:
        """The number of a namespace; None if it has none."""
        if namespace not in self.known:
            self.find_all([namespace])
        return self.known[namespace]

    def find_all(self, namespaces: Iterable[Namespace]) -> None:
        """Look up what is not known yet."""
        missing = {
            keys.encode_namespace(namespace): namespace
            for namespace in namespaces
            if namespace not in self.known
        }
        if not missing:
            return
        rows = self._connection.execute(
            f"SELECT name, id FROM ns WHERE name IN ({','.join('?' * len(missing))})",  # noqa: S608
            list(missing),
        ).fetchall()
        self.known.update(dict.fromkeys(missing.values()))
        self.known.update((missing[name], number) for name, number in rows)

    def make(self, namespace: Namespace) -> int:
        """The number of a namespace that is written now."""
        number = self.find(namespace)
        if number is None:
            cursor = self._connection.execute(
                "INSERT INTO ns (name) VALUES (?)", (keys.encode_namespace(namespace),)
            )
            number = cursor.lastrowid
            assert number is not None
            self.known[namespace] = number
        return number

    def forget(self, namespace: Namespace, number: int) -> None:
        """Take a namespace's name away: its last record is gone."""
        self._connection.execute("DELETE FROM ns WHERE id = ?", (number,))
        self.known.pop(namespace, None)


_LIVE = "(r.expires IS NULL OR r.expires > ?)"


def list_namespaces(
    connection: sqlite3.Connection, op: ListNamespaces, now: int
) -> list[Namespace]:
    """The namespaces at or below one."""
    rows = connection.execute(
        "SELECT n.name FROM ns n WHERE (n.name = ? OR (n.name >= ? AND n.name < ?)) "  # noqa: S608
        f"AND EXISTS (SELECT 1 FROM rec r WHERE r.ns = n.id AND {_LIVE})",
        (keys.encode_namespace(op.namespace), *keys.below(op.namespace), now),
    )
    found = (keys.decode_namespace(name) for (name,) in rows)
    return sorted(
        namespace
        for namespace in found
        if not op.user_only or keys.is_users(namespace, op.namespace)
    )


def measure(connection: sqlite3.Connection, op: Measure, now: int) -> list[Measured]:
    """What the namespaces at or below one take up."""
    sizes = " + ".join(
        f"coalesce(length(CAST(r.{column} AS BLOB)), 0)"
        for column in ("key", "doc", "blob", "text")
    )
    rows = connection.execute(
        f"SELECT n.name, count(*), sum({sizes}) FROM ns n JOIN rec r ON r.ns = n.id "  # noqa: S608
        f"WHERE (n.name = ? OR (n.name >= ? AND n.name < ?)) AND {_LIVE} GROUP BY n.id",
        (keys.encode_namespace(op.namespace), *keys.below(op.namespace), now),
    )
    return sorted(Measured(keys.decode_namespace(name), count, size) for name, count, size in rows)
