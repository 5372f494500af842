"""`SessionManager`: the public face of everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.store.base import BaseStore, IndexConfig, TTLConfig

from threadloom.checkpoint import StoreCheckpointer
from threadloom.clock import Clock, now_micros
from threadloom.closing import Closing
from threadloom.errors import InvalidKey
from threadloom.history import Memory
from threadloom.itemstore import Settings
from threadloom.keys import tenant_root
from threadloom.scope import OnConflict, Scope
from threadloom.sessions.care_face import CareFace
from threadloom.sessions.conversation_face import ConversationFace
from threadloom.sessions.index_face import IndexFace
from threadloom.sessions.looking_face import LookingFace
from threadloom.sessions.moving_face import MovingFace
from threadloom.sessions.retention_face import RetentionFace
from threadloom.sessions.search_face import SearchFace
from threadloom.sessions.shared_face import SharedFace
from threadloom.sessions.stream_face import StreamFace
from threadloom.sessions.travel_face import TravelFace
from threadloom.sessions.turn_face import TurnFace
from threadloom.sessions.whole_face import WholeFace
from threadloom.store import OnOperation
from threadloom.stores.registry import as_store, open_store, refuse_encrypted, wrapped
from threadloom.values import values_for
from threadloom.views import TenantStore

if TYPE_CHECKING:
    from threadloom.wrappers.keyring import Keyring


class SessionManager(
    IndexFace,
    TurnFace,
    TravelFace,
    WholeFace,
    ConversationFace,
    SearchFace,
    StreamFace,
    SharedFace,
    RetentionFace,
    MovingFace,
    CareFace,
    LookingFace,
    Closing,
):
    """The sessions of an application: their index, chat histories, checkpoints and store.

    Every operation exists twice, `name` and `aname`, with one signature; both may be used on
    one object, from any thread and any event loop. Wherever a session is asked for, its id or
    its `SessionInfo` will do.

    Args:
        store: a URL such as ``sqlite:///sessions.db`` or ``memory://``, whose store then
            belongs to this manager, or a store: a Threadloom store, or any other LangGraph
            store (see `LangGraphStore` for what holds there). It stays its owner's to close.
        tenant: whose sessions these are. Managers of different tenants on one store never
            see each other's data.
        serde: a serializer of the caller's own for channel values and messages; it gets them
            whole, and nothing of them appears in documents or search text.
        allow: further classes that may be read back (see `threadloom.serde.Codec`).
        aliases: classes that have moved, by the ``module:Name`` they were stored as.
        clock: tells the time; the store's by default.
        on_conflict: what happens to a graph run whose base is no longer the head when it
            stores its first checkpoint: ``"branch"`` keeps both, logs a warning and counts
            it in `SessionInfo.conflicts`; ``"raise"`` refuses it with `SessionConflict`.
        index: for semantic search in long-term memory, LangGraph's `IndexConfig`; the store's
            own by default.
        ttl: how long items of long-term memory live, LangGraph's `TTLConfig`; the store's own by
            default.
        implicit_sessions: whether an id that is first seen through the checkpointer or a
            memory becomes a session by itself; if not, it raises `SessionNotFound`.
        encryption: keys to encrypt everything with; the store is used through an
            `EncryptedStore`.
        on_operation: a hook that is told of every batch as
            ``on_operation(name, seconds, bytes, error)`` (see `TracedStore`).
        create: whether the store that a URL names is made where it is not there.

    Raises:
        InvalidKey: the URL, the tenant, `index` or `ttl` makes no sense.
        MissingAdapter: the URL needs a package that is not installed.
        StoreUnavailable: the store cannot be opened, or is not there and `create` is false.
        SchemaTooNew: a newer Threadloom wrote the data.
    """

    def __init__(
        self,
        store: str | BaseStore,
        *,
        tenant: str | None = None,
        serde: SerializerProtocol | None = None,
        allow: Iterable[type | tuple[str, str]] = (),
        aliases: Mapping[str, type] | None = None,
        clock: Clock | None = None,
        on_conflict: OnConflict = "branch",
        implicit_sessions: bool = True,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        encryption: Keyring | None = None,
        on_operation: OnOperation | None = None,
        create: bool = True,
    ) -> None:
        self._values = values_for(serde, allow, aliases)
        self._tenant = tenant
        self._clock = clock
        tenant_root(tenant)  # before anything is opened
        settings = Settings.of(index, ttl)
        self._owned = isinstance(store, str)
        if isinstance(store, str):
            self._store = open_store(store, clock=clock, create=create)
        elif isinstance(store, BaseStore):
            self._store = as_store(store, clock=clock)
        else:
            raise InvalidKey(
                f"a store is a URL such as 'sqlite:///sessions.db' or a store such as "
                f"SQLiteStore(path), got a {type(store).__name__}"
            )
        try:
            self._store = wrapped(self._store, encryption=encryption, on_operation=on_operation)
            refuse_encrypted(self._store)
        except BaseException:
            self.close()
            raise
        self._scope = Scope.of(
            tenant,
            self._now,
            implicit=implicit_sessions,
            on_conflict=on_conflict,
            store=self._store,
            is_system_time=clock is None and self._store.clock is None,
        )
        self._memory = Memory(self._store, self._scope, self._values)
        self._view = TenantStore(self._store, self._scope.root, settings)

    def _now(self) -> int:
        return self._store.now() if self._clock is None else now_micros(self._clock)

    def checkpointer(self) -> StoreCheckpointer:
        """The checkpoint saver: pass it to `compile(checkpointer=…)`."""
        return StoreCheckpointer._bound(self._store, self._scope, self._values)

    @property
    def memory(self) -> Memory:
        """Chat histories by session: pass it to `RunnableWithMessageHistory`."""
        return self._memory

    @property
    def store(self) -> TenantStore:
        """Long-term memory as this tenant sees it: pass it to `compile(store=…)`."""
        return self._view

    # Opening and closing

    def setup(self) -> None:
        """Do nothing: everything sets itself up. Here for code that calls it."""

    async def asetup(self) -> None:
        """Do nothing: everything sets itself up. Here for code that calls it."""

    def close(self) -> None:
        """Close the store if this manager opened it; later operations raise `StoreClosed`."""
        if self._owned:
            self._store.close()

    def open(self) -> None:
        """Make the store ready if this manager opened it; `with` does it, and nobody has to."""
        if self._owned:
            self._store.open()

    async def aopen(self) -> None:
        """Make the store ready for the running event loop if this manager opened it."""
        if self._owned:
            await self._store.aopen()

    async def aclose(self) -> None:
        """`close`, from an event loop."""
        if self._owned:
            await self._store.aclose()

    def __repr__(self) -> str:
        tenant = "" if self._tenant is None else f", tenant={self._tenant!r}"
        return f"{type(self).__name__}({self._store!r}{tenant})"
