"""Threadloom: sessions for LangGraph and LangChain, on one store.

>>> from threadloom import SessionManager
>>> sessions = SessionManager("memory://")
>>> trip = sessions.create_session(name="Oslo")
>>> sessions.get_session(trip).name
'Oslo'
"""

from threadloom._version import __version__
from threadloom.checkpoint import StoreCheckpointer
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
from threadloom.models import (
    SessionContext,
    SessionInfo,
    SessionOrigin,
    SessionPage,
    TimestampedMessage,
)
from threadloom.sessions import SessionManager
from threadloom.stores.memory import MemoryStore
from threadloom.stores.registry import open_store
from threadloom.stores.sqlite import SQLiteStore

__all__ = [
    # what most programs need
    "SessionManager",
    "SessionInfo",
    "open_store",
    # stores
    "MemoryStore",
    "SQLiteStore",
    # adapters without a manager
    "StoreCheckpointer",
    "StoreChatMessageHistory",
    # what comes back
    "SessionContext",
    "SessionOrigin",
    "SessionPage",
    "TimestampedMessage",
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
