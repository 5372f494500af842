"""What a URL and the arguments of `PostgresStore` say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import conninfo

from threadloom.errors import InvalidKey
from threadloom.keys import is_storable

SCHEMA: Final = "threadloom"
_LONGEST_NAME = 63


class Options(NamedTuple):
    """How a store reaches its server.

    Attributes:
        schema: the schema that its tables are in.
        min_size: connections that are kept open.
        max_size: connections that there are at most.
        connect_timeout: seconds to wait for a connection to be made.
        pool_timeout: seconds to wait for a connection that others use.
        timeout: seconds to wait for the answer to one statement.
        create: whether to make schema and tables where they are missing.
    """

    schema: str = SCHEMA
    min_size: int = 0
    max_size: int = 8
    connect_timeout: float = 10.0
    pool_timeout: float = 30.0
    timeout: float = 60.0
    create: bool = True

    def checked(self) -> Options:
        """Itself, if it makes sense.

        Raises:
            InvalidKey: it does not.
        """
        check_schema(self.schema)
        if not 0 <= self.min_size <= self.max_size or self.max_size < 1:
            raise InvalidKey(
                f"a pool of {self.min_size} to {self.max_size} connections cannot be: "
                "0 <= min_size <= max_size, and 1 <= max_size"
            )
        for name in ("connect_timeout", "pool_timeout", "timeout"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InvalidKey(f"{name} is a number of seconds above 0")
        return self


def check_schema(name: str) -> str:
    """Return the name of a schema if it can be one.

    Raises:
        InvalidKey: empty, too long, PostgreSQL's own, or not to be stored.
    """
    if not isinstance(name, str) or not name or not is_storable(name):
        raise InvalidKey(f"not a schema's name: {name!r:.80}")
    if len(name.encode()) > _LONGEST_NAME:
        raise InvalidKey(f"a schema's name has at most {_LONGEST_NAME} bytes: {name!r:.120}")
    if "$body$" in name:
        raise InvalidKey(f"a schema's name cannot have $body$ in it: {name!r:.80}")
    if name.startswith("pg_") or name == "information_schema":
        raise InvalidKey(f"the schema {name!r} is PostgreSQL's own")
    return name


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _truth(value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0", "yes", "no"):
        raise ValueError
    return value.lower() in ("true", "1", "yes")


_OURS: dict[str, Callable[[str], Any]] = {
    "schema": str,
    "min_size": int,
    "max_size": int,
    "connect_timeout": float,
    "pool_timeout": float,
    "timeout": float,
    "create": _truth,
}
_DEFAULTS = {
    "application_name": "threadloom",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


def parse(url: str, given: dict[str, Any]) -> tuple[str, Options]:
    """A URL as libpq's connection string, and our options.

    Args:
        url: ``postgresql://…``, with our options among libpq's behind ``?``.
        given: options as arguments; what the URL says goes before them.

    Raises:
        InvalidKey: the URL or an option makes no sense.
    """
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise InvalidKey("not a URL of PostgreSQL") from None
    if "@" not in parts.netloc and "@" in parts.path + parts.query + parts.fragment:
        raise InvalidKey(
            "the URL of PostgreSQL makes no sense: in a user's name or password, / is written %2F, "
            "? %3F, # %23 and @ %40"
        )
    if parts.scheme not in ("postgresql", "postgres"):
        raise InvalidKey(f"a URL begins with postgresql://, got {parts.scheme!r:.40}")
    ours, theirs = dict(given), []
    for name, value in pairs:
        if name not in _OURS:
            theirs.append((name, value))
            continue
        try:
            ours[name] = _OURS[name](value)
        except ValueError:
            raise InvalidKey(f"the option {name} cannot be {value!r:.80}") from None
    options = Options(**ours).checked()
    plain = urlunsplit(parts._replace(query=urlencode(theirs, quote_via=quote)))
    try:
        known: dict[str, Any] = conninfo.conninfo_to_dict(plain)
    except psycopg.Error as error:
        # What libpq says may repeat the URL, and with it a password.
        wrong = [name for name, _ in theirs if not _is_libpqs(name)]
        what = f"unknown options: {', '.join(wrong)}" if wrong else "libpq cannot read it"
        ours_too = ", ".join(_OURS)
        raise InvalidKey(
            f"the URL of PostgreSQL makes no sense: {what}. There are {ours_too}, and libpq's"
        ) from (None if parts.password else error)
    for name, value in _DEFAULTS.items():
        known.setdefault(name, value)
    # libpq counts in whole seconds, and takes one for two.
    known["connect_timeout"] = str(max(2, round(options.connect_timeout)))
    return conninfo.make_conninfo(**known), options


def without_jit(dsn: str) -> str:
    """A connection string whose connections do not compile queries, unless it says so itself."""
    known: dict[str, Any] = conninfo.conninfo_to_dict(dsn)
    options = f"-c jit=off {known.get('options') or ''}".strip()
    return conninfo.make_conninfo(**{**known, "options": options})


def _is_libpqs(name: str) -> bool:
    try:
        conninfo.make_conninfo("", **{name: "1"})
    except psycopg.Error:
        return False
    return True


def shown(dsn: str) -> str:
    """Where a connection string leads, without who and without a password."""
    known = conninfo.conninfo_to_dict(dsn)
    host, port = known.get("host") or "", known.get("port") or ""
    place = f"{host}{':' if port else ''}{port}"
    return f"postgresql://{place}/{known.get('dbname') or ''}"
