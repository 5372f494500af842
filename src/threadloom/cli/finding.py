"""What ids on the command line mean, and what was probably meant where they mean nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from threadloom import CheckpointNode, CheckpointNotFound, CheckpointTree, SessionInfo
from threadloom.cli.listing import pages
from threadloom.cli.places import Place
from threadloom.errors import SessionNotFound
from threadloom.sessions import SessionManager

_LOOKED_AT = 10_000
"""Sessions whose ids are compared with one that is not known."""
_NEAR = 3
_BACK = re.compile(r"(.*?)~([0-9]{1,6})")


def session(sessions: SessionManager, place: Place, id: str) -> SessionInfo:
    """A session by its id.

    Raises:
        SessionNotFound: there is none; names those whose ids or names are near.
    """
    found = sessions.get_session(id)
    if found is not None:
        return found
    known = list(pages(sessions, "updated_at", _LOOKED_AT, {}))
    if not known:
        raise SessionNotFound(f"{place.shown} has no session {id!r}: it has none at all")
    hint = f"Did you mean {_either(near)}?" if (near := _near(id, known)) else "To see them:"
    more = "" if near else f" threadloom list {place.shown}"
    raise SessionNotFound(f"{place.shown} has no session {id!r}. {hint}{more}")


def all_sessions(sessions: SessionManager, place: Place, ids: Sequence[str]) -> list[SessionInfo]:
    """Sessions by their ids, each once.

    Raises:
        SessionNotFound: one is not there.
    """
    return [session(sessions, place, id) for id in dict.fromkeys(ids)]


def _near(id: str, known: Iterable[SessionInfo]) -> list[str]:
    """Ids of sessions that may be meant: called so, beginning so, or written much like it."""
    known = list(known)
    called = [info.id for info in known if info.name and info.name.casefold() == id.casefold()]
    beginning = [info.id for info in known if len(id) > 1 and info.id.startswith(id)]
    alike = difflib.get_close_matches(id, [info.id for info in known], n=_NEAR, cutoff=0.7)
    return list(dict.fromkeys([*called, *beginning, *alike]))[:_NEAR]


def _either(ids: Sequence[str]) -> str:
    *others, last = ids
    return f"{', '.join(others)} or {last}" if others else last


def checkpoint(tree: CheckpointTree, said: str) -> CheckpointNode:
    """A checkpoint as people name it.

    Args:
        tree: the checkpoints of the session.
        said: ``head``, an id, its beginning or its end where no other has it; ``~2`` behind that
            goes two checkpoints back.

    Raises:
        CheckpointNotFound: there is none, or several.
    """
    back = _BACK.fullmatch(said)
    node = _named(tree, back[1] if back else said)
    for _ in range(int(back[2]) if back else 0):
        parent = None if node.parent is None else tree.find(node.parent, node.namespace)
        if parent is None:
            raise CheckpointNotFound(
                f"{said}: checkpoint {node.id} is the first, nothing is before it"
            )
        node = parent
    return node


def _named(tree: CheckpointTree, said: str) -> CheckpointNode:
    if said == "head":
        head = tree.head()
        if head is None:
            raise CheckpointNotFound(f"session {tree.session_id!r} has no checkpoint at its head")
        return head
    exact = [node for node in tree.nodes if node.id == said]
    found = exact or [
        node for node in tree.nodes if said and (node.id.startswith(said) or node.id.endswith(said))
    ]
    if not found:
        raise CheckpointNotFound(
            f"session {tree.session_id!r} has no checkpoint {said!r}: threadloom tree shows them"
        )
    if len(found) > 1:
        raise CheckpointNotFound(
            f"{said!r} may be {len(found)} checkpoints, such as {found[0].id} and {found[1].id}: "
            "give more of it"
        )
    return found[0]


__all__ = ["all_sessions", "checkpoint", "session"]
