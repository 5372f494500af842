"""Threadloom: sessions for LangGraph and LangChain, on one store.

>>> from threadloom import SessionManager
>>> sessions = SessionManager("memory://")
>>> trip = sessions.create_session(name="Oslo")
>>> sessions.get_session(trip).name
'Oslo'
"""

from typing import TYPE_CHECKING, Any

from threadloom import blocks
from threadloom._version import __version__
from threadloom.checkpoint import StoreCheckpointer
from threadloom.checkpoint.differences import ChannelChange, CheckpointDiff, MessageChange
from threadloom.checkpoint.tree import CheckpointNode, CheckpointTree
from threadloom.documents import check_field_names
from threadloom.errors import (
    CheckpointNotFound,
    CorruptRecord,
    InvalidKey,
    MissingAdapter,
    SchemaTooNew,
    SerializationError,
    SessionBusy,
    SessionConflict,
    SessionDeleted,
    SessionExists,
    SessionNotFound,
    StoreClosed,
    StoreUnavailable,
    ThreadloomError,
    UnsupportedByStore,
    UntrustedType,
)
from threadloom.history import StoreChatMessageHistory
from threadloom.keys import compose_id, inner_id, is_storable, split_id
from threadloom.models import (
    CheckReport,
    KindStats,
    MessageList,
    MoveReport,
    Problem,
    PruneReport,
    Session,
    SessionContext,
    SessionInfo,
    SessionMatch,
    SessionMatches,
    SessionOrigin,
    SessionPage,
    SessionQuery,
    StorageStats,
    StreamPage,
    TimestampedMessage,
)
from threadloom.serde import Opaque
from threadloom.sessions import SessionAdapter, SessionManager, SessionStore, Turn
from threadloom.shared import SharedState
from threadloom.stores.registry import CLASSES, load, open_store
from threadloom.streams import SessionChange, SessionStream, Shown, Shows

if TYPE_CHECKING:
    from threadloom.stores.file import FileStore
    from threadloom.stores.langgraph import LangGraphStore
    from threadloom.stores.memory import MemoryStore
    from threadloom.stores.sqlite import SQLiteStore
    from threadloom.wrappers.encrypted import EncryptedStore
    from threadloom.wrappers.keyring import Keyring
    from threadloom.wrappers.read_only import ReadOnlyStore
    from threadloom.wrappers.telemetry import OpenTelemetryHook
    from threadloom.wrappers.traced import TracedStore

__all__ = [
    # what most programs need
    "SessionManager",
    "SessionInfo",
    "Session",
    "SessionQuery",
    "Turn",
    "open_store",
    # stores
    "MemoryStore",
    "SQLiteStore",
    "FileStore",
    "LangGraphStore",
    # stores around stores
    "EncryptedStore",
    "Keyring",
    "ReadOnlyStore",
    "TracedStore",
    "OpenTelemetryHook",
    # adapters without a manager
    "StoreCheckpointer",
    "StoreChatMessageHistory",
    # to type against
    "SessionStore",
    # what comes back
    "SessionContext",
    "SessionMatch",
    "SessionMatches",
    "MessageList",
    "SessionOrigin",
    "SessionPage",
    "PruneReport",
    "MoveReport",
    "CheckReport",
    "Problem",
    "StorageStats",
    "KindStats",
    "TimestampedMessage",
    "CheckpointTree",
    "CheckpointNode",
    "CheckpointDiff",
    "ChannelChange",
    "MessageChange",
    "Opaque",
    # what adapters of other frameworks stand on
    "SessionAdapter",
    "SessionStream",
    "SessionChange",
    "StreamPage",
    "Shown",
    "Shows",
    "SharedState",
    "compose_id",
    "split_id",
    "inner_id",
    "is_storable",
    "check_field_names",
    "blocks",
    # errors
    "ThreadloomError",
    "CheckpointNotFound",
    "CorruptRecord",
    "InvalidKey",
    "MissingAdapter",
    "SchemaTooNew",
    "SerializationError",
    "SessionBusy",
    "SessionConflict",
    "SessionDeleted",
    "SessionExists",
    "SessionNotFound",
    "StoreClosed",
    "StoreUnavailable",
    "UnsupportedByStore",
    "UntrustedType",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in CLASSES:
        return load(CLASSES[name])
    raise AttributeError(f"module 'threadloom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *CLASSES})
