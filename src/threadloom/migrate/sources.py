"""From a path or a URL to what LangGraph has stored there."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from threadloom.errors import InvalidKey, MissingAdapter
from threadloom.migrate.base import ENTRY_POINTS, Source
from threadloom.migrate.source import LangGraphFile

_EXTRAS = {"postgresql": "postgres", "postgres": "postgres"}


def open_source(old: str | os.PathLike[str]) -> Source:
    """Open a database that LangGraph wrote, for reading only.

    Args:
        old: a path, ``sqlite:///path``, or a URL whose scheme an adapter knows.

    Raises:
        InvalidKey: the URL names no file.
        MissingAdapter: nothing that is installed reads such a database; says what to install.
        StoreUnavailable: it cannot be opened, or holds nothing of LangGraph's.
    """
    if not isinstance(old, str) or "://" not in old:
        return LangGraphFile(Path(old))
    scheme = old.partition("://")[0].lower()
    if scheme == "sqlite":
        parts = urlsplit(old)
        if parts.netloc or len(parts.path) < 2:
            raise InvalidKey(f"{old!r} names no file; write sqlite:///relative.db, or a path")
        return LangGraphFile(Path(unquote(parts.path)[1:]))
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == scheme:
            return cast(Source, entry.load()(old))
    check_source(old)
    raise MissingAdapter(f"LangGraph keeps nothing behind {scheme}:// that can be read here")


def check_source(url: str) -> None:
    """Refuse a URL that an adapter would read which is not installed.

    Raises:
        MissingAdapter: it is one; says what to install.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in _EXTRAS and not has_source(scheme):
        raise MissingAdapter(
            f"{scheme}:// needs an adapter that is not installed: "
            f'pip install "threadloom[{_EXTRAS[scheme]}]"'
        )


def has_source(scheme: str) -> bool:
    """Whether databases behind URLs of a scheme can be read, as far as they are LangGraph's."""
    return any(entry.name == scheme for entry in entry_points(group=ENTRY_POINTS))


__all__ = ["check_source", "has_source", "open_source"]
