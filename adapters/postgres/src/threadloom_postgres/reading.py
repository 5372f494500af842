"""Databases that others have written, for `threadloom migrate`: nothing is ever changed in them.

All that is read is read in transactions that may only read. Tables are looked for wherever the
connection's search path leads to; `schema=` in the URL says another place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import conninfo, pq
from psycopg.rows import tuple_row

from threadloom.closing import Closing
from threadloom.errors import StoreUnavailable
from threadloom_postgres.options import parse, quoted


class ReadOnlyDatabase(Closing):
    """A connection that reads what others have written.

    Args:
        url: of the database; ``schema`` names where the tables are, else the search path does.

    Attributes:
        name: how reports name it; without user, password and options.

    Raises:
        InvalidKey: the URL makes no sense.
        StoreUnavailable: it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        info, options = parse(url, {})
        schema = options.schema if "schema" in parse_qs(urlsplit(url).query) else None
        self.name = _shown(info, schema)
        with self._reporting():
            self._connection = psycopg.connect(
                info, autocommit=True, prepare_threshold=None, row_factory=tuple_row
            )
        # Said anew in each transaction: what a pooler has between belongs to others afterwards.
        self._settings = ["SET LOCAL timezone = 'UTC'"]
        if schema is not None:
            self._settings.append(f"SET LOCAL search_path = {quoted(schema)}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Read what is inside as it is at one moment, whatever others write meanwhile."""
        with self._reporting():
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for setting in self._settings:
                self._connection.execute(setting.encode())
        try:
            yield
        finally:
            if not self._connection.closed:
                with self._reporting():
                    self._connection.execute("ROLLBACK")

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a statement finds.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        if self._connection.info.transaction_status == pq.TransactionStatus.IDLE:
            with self.at_one_moment():
                return self.rows(statement, *values)
        with self._reporting():
            # The driver wants literals; names of tables and columns are all that is put in.
            return self._connection.execute(statement.encode(), values or None).fetchall()

    def size_of(self, *tables: str) -> int:
        """The size of tables with their indexes."""
        (row,) = self.rows(
            "SELECT sum(pg_total_relation_size(n::regclass)) FROM unnest(%s::text[]) n",
            [quoted(table) for table in tables],
        )
        return int(row[0] or 0)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self.name} cannot be read: {_one_line(error)}") from error


def _shown(info: str, schema: str | None) -> str:
    """A database as reports name it: without user, password and options."""
    parts = conninfo.conninfo_to_dict(info)
    host, port = parts.get("host", ""), parts.get("port")
    where = f"{host}:{port}" if port else str(host)
    tail = "" if schema is None else f"?schema={schema}"
    return f"postgresql://{where}/{parts.get('dbname', '')}{tail}"


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


__all__ = ["ReadOnlyDatabase"]
