"""What a URL says, and what a store may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from threadloom.errors import InvalidKey

SCHEMES = ("redis", "rediss", "redis+cluster")
DEFAULT_PREFIX = "threadloom"
_TLS = {
    "ssl_cert_reqs": str,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_check_hostname": None,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, and how many there may be.

    Attributes:
        timeout: seconds that one answer of Redis may take.
        connect_timeout: seconds that connecting may take.
        retry_for: seconds for which a call is tried again while Redis cannot be reached.
        max_connections: connections at once; who needs one more waits for `timeout`.
        wait_replicas: how many replicas must have a write before it returns.
    """

    timeout: float = 10.0
    connect_timeout: float = 5.0
    retry_for: float = 10.0
    max_connections: int = 32
    wait_replicas: int = 0

    @property
    def patience(self) -> float:
        """Seconds for which a batch is tried again because others write to the same."""
        return self.timeout + self.retry_for

    def __post_init__(self) -> None:
        for name in ("timeout", "connect_timeout", "retry_for"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InvalidKey(f"{name} is a number of seconds, got {value!r:.80}")
            if not 0 <= value < float("inf") or (value == 0 and name != "retry_for"):
                raise InvalidKey(f"{name} is a number of seconds, got {value!r:.80}")
        for name, least in (("max_connections", 1), ("wait_replicas", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidKey(f"{name} is a whole number, at least {least}, got {value!r:.80}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is.

    Attributes:
        cluster: whether it is a Cluster.
        settings: arguments of redis-py's connections.
        place: the address for people, without a password.
    """

    cluster: bool
    settings: Mapping[str, Any]
    place: str


def parse(url: str, limits: Limits, prefix: str | None = None) -> tuple[Address, Limits, str]:
    """Take a URL apart; what it says goes before what is given beside it.

    Returns the address, the limits and the prefix.

    Raises:
        InvalidKey: it is no URL of Redis, or has an unknown option.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # whose text may repeat the URL, and with it a password
        raise InvalidKey("not a URL of Redis: its host makes no sense") from None
    shown = f"{parts.scheme}://{parts.hostname or 'localhost'}"
    if parts.scheme not in SCHEMES:
        raise InvalidKey(f"{shown} is no URL of Redis; there are {', '.join(SCHEMES)}")
    try:
        port = parts.port or 6379
    except ValueError as error:
        raise InvalidKey(f"{shown} has a port that is none") from error
    cluster = parts.scheme == "redis+cluster"
    database = unquote(parts.path.strip("/")) or "0"
    if not database.isascii() or not database.isdigit() or (cluster and database != "0"):
        wanted = "a Cluster has none" if cluster else "write redis://host:port/0"
        raise InvalidKey(f"{database!r:.80} is no number of a database: {wanted}")
    settings: dict[str, Any] = {"host": unquote(parts.hostname or "localhost"), "port": port}
    if not cluster:
        settings["db"] = int(database)
    if parts.username:
        settings["username"] = unquote(parts.username)
    if parts.password:
        settings["password"] = unquote(parts.password)
    tls = parts.scheme == "rediss"
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "prefix":
            prefix = value
        elif name == "tls" and cluster:
            tls = _yes(name, value)
        elif name in _TLS:
            settings[name] = value if _TLS[name] is str else _yes(name, value)
        elif name in Limits.__dataclass_fields__:
            given: dict[str, Any] = {name: _number(name, value)}
            limits = replace(limits, **given)
        else:
            known = sorted(["prefix", *Limits.__dataclass_fields__, *_TLS])
            raise InvalidKey(f"unknown option {name!r:.80}; there are {', '.join(known)}")
    if tls:
        settings["ssl"] = True
    elif any(name in settings for name in _TLS):
        raise InvalidKey("options of TLS need rediss:// (or tls=yes with redis+cluster://)")
    place = f"{shown}:{port}" + ("" if cluster else f"/{database}")
    return Address(cluster, settings, place), limits, checked_prefix(prefix)


def checked_prefix(prefix: object) -> str:
    """A prefix that keys can begin with.

    Raises:
        InvalidKey: it is no text, empty, or has NUL or a lone surrogate in it.
    """
    if prefix is None:
        return DEFAULT_PREFIX
    if not isinstance(prefix, str) or not prefix or "\0" in prefix:
        raise InvalidKey(f"a prefix is a text that is not empty, got {prefix!r:.80}")
    try:
        prefix.encode()
    except UnicodeEncodeError as error:
        raise InvalidKey(f"a prefix has a lone surrogate in it: {prefix!r:.80}") from error
    return prefix


def _yes(name: str, value: str) -> bool:
    if value.lower() not in ("yes", "true", "1", "no", "false", "0"):
        raise InvalidKey(f"{name} is yes or no, not {value!r:.80}")
    return value.lower() in ("yes", "true", "1")


def _number(name: str, value: str) -> float | int:
    try:
        return int(value) if name in ("max_connections", "wait_replicas") else float(value)
    except ValueError as error:
        raise InvalidKey(f"{name} is a number, not {value!r:.80}") from error
