"""Questions about whole namespaces: which there are, and what they take up."""

from __future__ import annotations

import sqlite3

from threadloom import keys
from threadloom.ops import ListNamespaces, Measure, Measured, Namespace

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
