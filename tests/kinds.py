"""The engines that keep every promise, and where a test's store is. New ones are named here.

`THREADLOOM_TEST_ENGINES=postgres,redis` runs the tests that take an engine as a parameter on those
named, and no others (see `conftest.py` at the top); without it they run on what needs no server.
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
        url: str = import_module(f"servers.{kind}").place(f"{folder}/{name}")
        return url
    if kind == "memory":
        return "memory://"
    if kind == "file":
        return f"file:///{folder}/{name}"
    return f"sqlite:///{folder}/{name}.db"
