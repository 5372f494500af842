"""How sessions, conversations, checkpoints and statistics show themselves in a notebook.

What is shown is HTML and SVG that works offline and in every theme: no scripts, nothing loaded.
Everything that is stored is escaped. Nobody needs to import this: what `SessionManager` returns has
`_repr_html_`, and `to_pandas` where it has rows (see `threadloom.displayed`).
"""

from __future__ import annotations

from functools import singledispatch

from threadloom import CheckpointDiff, CheckpointTree, SessionInfo
from threadloom.display import changes, messages, sessions, storage, trees
from threadloom.display.frames import frame
from threadloom.display.markup import Html, page
from threadloom.models import (
    CheckReport,
    MessageList,
    MoveReport,
    PruneReport,
    Session,
    SessionMatches,
    SessionPage,
    StorageStats,
)


def html(shown: object) -> str:
    """Something as the HTML that a notebook shows."""
    return page(_view(shown))


@singledispatch
def _view(shown: object) -> Html:
    raise TypeError(f"nobody knows how to show a {type(shown).__name__}")


@_view.register
def _(shown: SessionInfo) -> Html:
    return sessions.card(shown)


@_view.register
def _(shown: Session) -> Html:
    parts = (sessions.card(shown.info), messages.chat(shown.messages), sessions.state(shown))
    return Html("".join(parts))


@_view.register
def _(shown: MessageList) -> Html:
    return messages.chat(shown, shown.times)


_view.register(SessionPage, sessions.listing)
_view.register(SessionMatches, sessions.matches)
_view.register(CheckpointTree, trees.picture)
_view.register(CheckpointDiff, changes.differences)
_view.register(StorageStats, storage.statistics)
_view.register(PruneReport, storage.pruned)
_view.register(CheckReport, storage.checked)
_view.register(MoveReport, storage.moved)

__all__ = ["frame", "html"]
