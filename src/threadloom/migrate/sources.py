"""From a path or a URL to what LangGraph or LangChain has stored there."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from threadloom.errors import InvalidKey, MissingAdapter
from threadloom.migrate.base import ENTRY_POINTS, Source
from threadloom.migrate.conversations import HISTORY_ENTRY_POINTS, HistorySource
from threadloom.migrate.files import check_file
from threadloom.migrate.folders import HistoryFolder, is_history
from threadloom.migrate.source import LangGraphFile
from threadloom.migrate.tables import HistoryFile

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
    path = _path(old)
    if path is not None:
        return LangGraphFile(path)
    source = _by_adapter(str(old), ENTRY_POINTS, "LangGraph")
    assert isinstance(source, Source)
    return source


def open_histories(old: str | os.PathLike[str]) -> HistorySource:
    """Open what LangChain's chat histories wrote, for reading only.

    Args:
        old: a path, ``sqlite:///path``, or a URL whose scheme an adapter knows.

    Raises:
        InvalidKey: the URL names no file.
        MissingAdapter: nothing that is installed reads such a database; says what to install.
        StoreUnavailable: it cannot be opened.
    """
    path = _path(old)
    if path is None:
        source = _by_adapter(str(old), HISTORY_ENTRY_POINTS, "LangChain")
        assert isinstance(source, HistorySource)
        return source
    if not path.is_dir():
        check_file(path)
    return HistoryFolder(path) if is_history(path) else HistoryFile(path)


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


def has_source(scheme: str, group: str = ENTRY_POINTS) -> bool:
    """Whether databases behind URLs of a scheme can be read, as far as they are LangGraph's.

    Args:
        scheme: of the URLs.
        group: of the entry points; that of histories for LangChain's.
    """
    return any(entry.name == scheme for entry in entry_points(group=group))


def _path(old: str | os.PathLike[str]) -> Path | None:
    """The file that is named; None for a URL that names none."""
    if not isinstance(old, str) or "://" not in old:
        return Path(old)
    if old.partition("://")[0].lower() != "sqlite":
        return None
    parts = urlsplit(old)
    if parts.netloc or len(parts.path) < 2:
        raise InvalidKey(f"{old!r} names no file; write sqlite:///relative.db, or a path")
    return Path(unquote(parts.path)[1:])


def _by_adapter(url: str, group: str, whose: str) -> Any:
    scheme = url.partition("://")[0].lower()
    for entry in entry_points(group=group):
        if entry.name == scheme:
            return entry.load()(url)
    check_source(url)
    raise MissingAdapter(f"{whose} keeps nothing behind {scheme}:// that can be read here")


__all__ = ["check_source", "has_source", "open_histories", "open_source"]
