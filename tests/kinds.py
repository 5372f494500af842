"""The engines that keep every promise, and where a test's store is. A new one is named here once.

``THREADLOOM_TEST_ENGINES=postgres,redis`` puts other engines in the place of `KINDS`: then every
suite runs its tests of kinds on these, and nothing else (`tests/conftest.py` leaves the rest out).
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

import servers

OTHERS = tuple(filter(None, os.environ.get("THREADLOOM_TEST_ENGINES", "").split(",")))
"""Engines on servers that are to be tested instead of those that need none."""
KINDS = OTHERS or ("memory", "sqlite", "file")
SHARED = OTHERS or ("sqlite", "file")
"""Those of them that several processes may use at once."""
SERVERS = {
    "postgres": lambda place: f"{servers.postgres()}?schema={place}&partitions=1",
    "redis": lambda place: f"{servers.redis()}?prefix={place}",
    "redis-cluster": lambda place: f"{servers.redis_cluster().url}?prefix={place}",
}
"""Engines on servers, each with the URL of a place of its own there."""


def url_of(kind: str, folder: Path, name: str = "sessions") -> str:
    """The URL of a store in a folder; in memory it is a new one each time."""
    if kind == "memory":
        return "memory://"
    if kind == "file":
        return f"file:///{folder}/{name}"
    if kind in SERVERS:
        place = blake2b(f"{folder}/{name}".encode(), digest_size=8).hexdigest()
        return SERVERS[kind](f"t{place}")
    return f"sqlite:///{folder}/{name}.db"
