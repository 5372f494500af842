"""Schema and tables: made at first use, and known by the number of their format."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from psycopg import errors, pq

from threadloom.errors import SchemaTooNew, StoreUnavailable
from threadloom_postgres.options import literal, quoted
from threadloom_postgres.places import LEAVES, number
from threadloom_postgres.rows import integer
from threadloom_postgres.wire import Statement

FORMAT: Final = 1
"""The format that this version reads and writes."""

Preparing = Generator[Statement, pq.abc.PGresult, bool]


_MARKS = re.compile(r"@\.|'@versions'")


@cache
def _statements() -> tuple[str, ...]:
    text = files("threadloom_postgres").joinpath("format_1.sql").read_text("utf-8")
    return tuple(part.strip() for part in text.split("\n--\n"))


def _with_copies() -> Iterator[str]:
    for part in _statements():
        of_leaves = _OF_LEAVES.search(part)
        if of_leaves is None or of_leaves[1] == "apply":
            yield part
        if of_leaves is not None:
            for number in range(LEAVES):
                of_one = _OF_LEAVES.sub(rf"\g<0>_{number:02}", part)
                yield of_one.replace("@.records ", f"@.records_{number:02} ")


_OF_LEAVES = re.compile(r"CREATE FUNCTION @\.(apply|write)_1(?=\()")
"""Functions of which there is one for each table of records: of the first beside one for all."""


def ddl(schema: str, role: str | None = None) -> list[str]:
    """The statements that make a schema and its tables.

    Args:
        schema: its name.
        role: who is to be let use it, beside its owner.
    """
    name = quoted(schema)
    marks = {"@.": f"{name}.", "'@versions'": literal(f"{name}.versions")}
    made = [
        f"CREATE SCHEMA IF NOT EXISTS {name}",
        *(_MARKS.sub(lambda mark: marks[mark[0]], part) for part in _with_copies()),
        f"INSERT INTO {name}.about (format) VALUES ({FORMAT})",
    ]
    return made if role is None else [*made, *grants(schema, role)]


def grants(schema: str, role: str) -> list[str]:
    """The statements that let a role use a schema whose tables are there.

    Args:
        schema: its name.
        role: the role's.
    """
    name, to = quoted(schema), quoted(role)
    return [
        f"GRANT USAGE ON SCHEMA {name} TO {to}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {to}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {name} TO {to}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {name} TO {to}",
    ]


def prepare(schema: str, place: str, *, create: bool) -> Preparing:
    """Make what is missing; safe where many do it at once. Returns True.

    Raises:
        StoreUnavailable: it is missing and may not be made; says what to run.
        SchemaTooNew: a newer Threadloom made it.
    """
    if (yield from _is_there(schema, place)):
        return True
    if not create:
        raise StoreUnavailable(
            f"{place} has no tables of Threadloom: nothing was stored there yet, or ?schema= is to "
            "name another schema"
        )
    yield Statement("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    lock = Statement(writes=True)
    alone = lock.number(number(f"{schema}\0ddl"))
    lock.sql = f"SELECT pg_advisory_xact_lock({alone})"
    yield lock
    if not (yield from _is_there(schema, place)):
        found = Statement()
        found.sql = f"SELECT 1 FROM pg_namespace WHERE nspname = {found.text(schema)}"
        has_schema = (yield found).ntuples
        try:
            for statement in ddl(schema)[1 if has_schema else 0 :]:
                yield Statement(statement, writes=True)
        except errors.InsufficientPrivilege as error:
            raise StoreUnavailable(
                f"{place} has no tables of Threadloom, and this role may not make them. Let one "
                f"run that may:\n    python -m threadloom_postgres ddl --schema {schema} "
                "--role ROLE | psql …"
            ) from error
    yield Statement("COMMIT", writes=True)
    return True


def _is_there(schema: str, place: str) -> Generator[Statement, pq.abc.PGresult, bool]:
    """Whether the tables are there.

    Asks no table that may be missing: that ends transactions. Nor a function such as
    `to_regclass`: a backend that has waited for its turn would answer by what it knew before.
    """
    look = Statement()
    look.sql = (
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        f"ON n.oid = c.relnamespace WHERE n.nspname = {look.text(schema)} "
        "AND c.relname = 'about'), current_setting('server_encoding') = 'UTF8'"
    )
    found = yield look
    if found.get_value(0, 1) != b"\1":
        raise StoreUnavailable(f"{place}: the database does not hold UTF-8; make one that does")
    if found.get_value(0, 0) != b"\1":
        return False
    known = yield Statement(f"SELECT max(format) FROM {quoted(schema)}.about")
    stored = integer(known, 0, 0)
    if stored > FORMAT:
        raise SchemaTooNew(
            f"{place} has format {stored}, this version of threadloom-postgres knows up to "
            f"{FORMAT}. Install a newer one: pip install --upgrade threadloom-postgres"
        )
    return stored == FORMAT
