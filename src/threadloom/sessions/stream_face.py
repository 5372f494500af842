"""The part of the manager's face for streams, which other frameworks' adapters stand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from threadloom.checkpoint.cache import cache_of
from threadloom.documents import check_json
from threadloom.errors import InvalidKey
from threadloom.keys import STREAMS, check_text, decode_id, encode_id
from threadloom.models import SessionRef, StreamPage, id_of
from threadloom.ops import Get
from threadloom.plans import Plan
from threadloom.sessions.base import Face
from threadloom.streams import SessionStream, Shows, reading
from threadloom.streams.site import Site


class StreamFace(Face):
    """Streams of items."""

    def stream(
        self,
        id: SessionRef,
        name: str = "items",
        *,
        shows: Shows | None = None,
        framework: str | None = None,
        agent_name: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> SessionStream:
        """A stream of a session: an ordered list of some framework's own items.

        Its items come back exactly as they were given. The messages that `shows` makes of them
        stand in the session's chat history, so that everything which works on conversations
        works on them; they change with their items only.

        Args:
            id: the session; it begins with the first write if it does not exist.
            name: which of its streams.
            shows: makes messages of items (see `Shown`); without it nothing of the stream is
                shown. The same function has to be given wherever the stream is written to.
            framework: the framework that a session which begins here belongs to.
            agent_name, owner, metadata: of a session that begins here. Framework, agent and owner
                are also given to a session that has none yet.

        Raises:
            InvalidKey: the id or one of the names cannot be stored.
            SerializationError: the metadata is not JSON.
        """
        begins: dict[str, Any] = {
            field: check_text(value, what)
            for field, value, what in (
                ("framework", framework, "a framework's name"),
                ("agent_name", agent_name, "an agent's name"),
                ("owner", owner, "an owner"),
            )
            if value is not None
        }
        if metadata is not None:
            begins["metadata"] = check_json(dict(metadata), "metadata")
        return SessionStream(self._store, self._site(id, name, shows, begins))

    def _site(
        self,
        id: SessionRef,
        name: str,
        shows: Shows | None = None,
        begins: Mapping[str, Any] | None = None,
    ) -> Site:
        if not check_text(name, "a stream's name"):
            raise InvalidKey("a stream's name must not be empty")
        label = encode_id(name)
        cache = cache_of(self._store)
        paths = self._paths(id)
        return Site(self._scope, cache, self._values, paths, name, label, shows, begins or {})

    def read_streams(
        self, ids: Iterable[SessionRef], name: str = "items", *, limit: int | None = None
    ) -> dict[str, StreamPage]:
        """The streams of one name of several sessions, by their ids, as of one moment.

        Args:
            ids: the sessions; those that do not exist are left out.
            name: which of their streams.
            limit: at most so many of the newest items of each; with 0 only what is kept beside
                them, at a cost that does not depend on the conversations.
        """
        return self._run(self._read_streams(ids, name, limit))

    async def aread_streams(
        self, ids: Iterable[SessionRef], name: str = "items", *, limit: int | None = None
    ) -> dict[str, StreamPage]:
        """`read_streams`, from an event loop."""
        return await self._arun(self._read_streams(ids, name, limit))

    def _read_streams(
        self, ids: Iterable[SessionRef], name: str, limit: int | None
    ) -> Plan[dict[str, StreamPage]]:
        sites = [self._site(id, name) for id in dict.fromkeys(map(id_of, ids))]
        pages = yield from reading.read_many(sites, limit=limit)
        return {
            site.paths.id: page
            for site, page in zip(sites, pages, strict=True)
            if page.session is not None
        }

    def list_streams(self, id: SessionRef) -> list[str]:
        """The names of a session's streams, in the order in which they began."""
        return self._run(self._list_streams(id))

    async def alist_streams(self, id: SessionRef) -> list[str]:
        """`list_streams`, from an event loop."""
        return await self._arun(self._list_streams(id))

    def _list_streams(self, id: SessionRef) -> Plan[list[str]]:
        paths = self._paths(id)
        (session,) = yield [Get(paths.sessions, paths.id, blob=False)]
        if session is None:
            return []
        return [decode_id(label) for label in session.body().get(STREAMS) or ()]
