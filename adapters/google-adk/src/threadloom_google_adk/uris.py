"""Session services by URI, for `adk web` and `adk api_server`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from threadloom_google_adk.service import ThreadloomSessionService

PREFIX = "threadloom+"

_BUILT_IN = ("memory", "sqlite", "file")


def from_uri(
    uri: str, *, agents_dir: str | None = None, **options: Any
) -> ThreadloomSessionService:
    """A session service for a URI such as ``threadloom+sqlite:///sessions.db``.

    ADK calls it, with what `register` or a ``services.yaml`` says.

    Args:
        uri: the URL of a store with ``threadloom+`` in front; the plain URL will do as well.
        agents_dir: the folder of the agents, which ADK passes; nothing depends on it. A
            relative path in the URI is one from the working directory.
        **options: of `SessionManager`, such as ``tenant``; ``--session_db_kwargs`` where ADK's
            commands have it.

    Raises:
        InvalidKey: the URL makes no sense.
        MissingAdapter: it needs a package that is not installed.
        StoreUnavailable: the store cannot be opened.
    """
    return ThreadloomSessionService(uri.removeprefix(PREFIX), **options)


def register(*schemes: str) -> None:
    """Let ADK open ``threadloom+SCHEME:…`` as its ``--session_service_uri``.

    A ``services.py`` in the folder of the agents calls it.

    Args:
        schemes: of stores' URLs, such as ``sqlite``; those of all installed stores by default.
    """
    # ADK's command line is not needed by those who make the service themselves.
    from google.adk.cli.service_registry import get_service_registry

    installed = (point.name for point in entry_points(group="threadloom.stores"))
    registry = get_service_registry()
    for scheme in schemes or {*_BUILT_IN, *installed}:
        registry.register_session_service(PREFIX + scheme, from_uri)
