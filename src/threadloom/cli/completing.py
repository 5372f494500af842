"""What the shell completes: ids of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from threadloom.cli import places
from threadloom.cli.group import Fault
from threadloom.cli.keys import keyring
from threadloom.cli.listing import pages
from threadloom.errors import ThreadloomError
from threadloom.words.printable import visible

_MOST = 100


def ids(given: Mapping[str, Any], incomplete: str) -> list[tuple[str, str]]:
    """Ids that begin as what was typed, newest updated first, each with the session's name.

    Args:
        given: the arguments and options so far.
        incomplete: what was typed of the id.
    """
    store = given.get("store")
    if not isinstance(store, str):
        return []
    try:
        key_file = given.get("key_file")
        keys = keyring(None if key_file is None else Path(str(key_file)))
        with places.place(store).sessions(given.get("tenant"), keys) as sessions:
            found = (
                (info.id, visible(info.name))
                for info in pages(sessions, "updated_at", None, {})
                if info.id.startswith(incomplete)
            )
            return list(islice(found, _MOST))
    except (Fault, ThreadloomError, OSError):
        return []  # the command itself will say what is wrong


__all__ = ["ids"]
