"""The engines that keep every promise, and where a test's store is. New ones are named here."""

from __future__ import annotations

from pathlib import Path

KINDS = ("memory", "sqlite", "file")
SHARED = ("sqlite", "file")
"""Those of them that several processes may use at once."""


def url_of(kind: str, folder: Path, name: str = "sessions") -> str:
    """The URL of a store in a folder; in memory it is a new one each time."""
    if kind == "memory":
        return "memory://"
    if kind == "file":
        return f"file:///{folder}/{name}"
    if kind == "redis":
        from servers import redis  # starts a server with the first place

        return redis.place(folder, name)
    return f"sqlite:///{folder}/{name}.db"
