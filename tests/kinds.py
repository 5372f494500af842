"""The engines that keep every promise, and where a test's store is. New ones are named here.

Tests that take an engine as a parameter run on what needs no server, or on the engines that
`THREADLOOM_TEST_ENGINES=sqlite` names. Where it names some with a server, no other tests run (see
`conftest.py` at the top).
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

EMBEDDED = ("memory", "sqlite", "file")
SERVERS = ("postgres", "redis")
"""Engines with a server of their own: `servers/` has a module for each."""

NAMED = tuple(filter(None, os.environ.get("THREADLOOM_TEST_ENGINES", "").split(",")))
KINDS = NAMED or EMBEDDED
SHARED = tuple(kind for kind in KINDS if kind != "memory")
"""Those of them that several processes may use at once."""

if unknown := set(KINDS) - {*EMBEDDED, *SERVERS}:
    raise ValueError(f"THREADLOOM_TEST_ENGINES names {unknown}; there are {EMBEDDED + SERVERS}")


def url_of(kind: str, folder: Path, name: str = "sessions") -> str:
    """The URL of a store in a folder; in memory it is a new one each time."""
    if kind in SERVERS:
        url: str = import_module(f"servers.{kind}").lent(f"{folder}/{name}")
        return url
    if kind == "memory":
        return "memory://"
    if kind == "file":
        return f"file:///{folder}/{name}"
    if kind == "redis":
        from servers import redis  # starts a server with the first place

        return redis.place(folder, name)
    return f"sqlite:///{folder}/{name}.db"
