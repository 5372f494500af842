"""The part of the manager's face that searches."""

from __future__ import annotations

from threadloom.models import SessionMatches, SessionQuery
from threadloom.sessions import searching
from threadloom.sessions.base import Face


class SearchFace(Face):
    """Find sessions by what was said in them."""

    def search_sessions(self, query: str | SessionQuery) -> SessionMatches:
        """Sessions whose name or messages hold any of some words, best first.

        Both doors are searched: the chat history, and the conversation at the graph's head. What
        was rewound, edited or deleted is not found. Text is never parsed as query syntax; in
        scripts without spaces a part of a sentence is found. At most 50 sessions, or as the
        query says.

        Args:
            query: the words, or a `SessionQuery` with words and filters; blank text finds every
                session, newest updated first.

        Raises:
            InvalidKey: a filter makes no sense.
        """
        return self._run(searching.search(self._scope, query))

    async def asearch_sessions(self, query: str | SessionQuery) -> SessionMatches:
        """`search_sessions`, from an event loop."""
        return await self._arun(searching.search(self._scope, query))
