"""Every error Threadloom raises on purpose.

::

    ThreadloomError
     ├── SessionNotFound      (LookupError)          the session does not exist
     ├── SessionExists        (ValueError)           create_session of an id that is taken
     ├── SessionConflict      (RuntimeError)         somebody else changed it first
     ├── SessionBusy          (TimeoutError)         another turn holds the session
     ├── SessionDeleted       (LookupError)          a late write for something that was deleted
     ├── CheckpointNotFound   (LookupError)          no such checkpoint in the session
     ├── InvalidKey           (ValueError)           an id, key, URL or argument that cannot be used
     ├── SerializationError   (TypeError)            a value that cannot be stored
     │    └── UntrustedType                          a stored type that may not be rebuilt here
     ├── CorruptRecord        (ValueError)           stored bytes that are damaged
     ├── StoreUnavailable     (ConnectionError)      the engine cannot be reached, opened or written
     │    └── StoreClosed                            the store was closed
     ├── SchemaTooNew         (RuntimeError)         written by a newer Threadloom
     ├── MissingAdapter       (ImportError)          the URL needs a package that is not installed
     └── UnsupportedByStore   (NotImplementedError)  the engine cannot do this safely

Each is also the built-in error that a caller would expect, so code that does not know
Threadloom still catches it. Where a driver raised first, its error is the ``__cause__``.
"""

from __future__ import annotations


class ThreadloomError(Exception):
    """Base class of every error that Threadloom raises on purpose."""


class SessionNotFound(ThreadloomError, LookupError):
    """The session that was to be changed does not exist."""


class SessionExists(ThreadloomError, ValueError):
    """A session with this id exists already."""


class SessionConflict(ThreadloomError, RuntimeError):
    """The session (or the record) was changed by somebody else in the meantime.

    Attributes:
        expected: the version of the session or the revision of the stream that the caller had
            asked for; None where the conflict is another one, such as a turn that is over.
        found: what it is at instead, 0 where it does not exist; None beside `expected` None.
    """

    def __init__(
        self, *message: object, expected: int | None = None, found: int | None = None
    ) -> None:
        super().__init__(*message)
        self.expected, self.found = expected, found


class SessionBusy(ThreadloomError, TimeoutError):
    """Another turn holds the session, and waiting for it took too long."""


class SessionDeleted(ThreadloomError, LookupError):
    """A late write belongs to a session, or to a checkpoint, that was deleted."""


class CheckpointNotFound(ThreadloomError, LookupError):
    """The session has no such checkpoint."""


class InvalidKey(ThreadloomError, ValueError):
    """An id, a namespace label, a key, a URL or another argument that cannot be used."""


class SerializationError(ThreadloomError, TypeError):
    """A value that cannot be stored; the message names its place and its type."""


class UntrustedType(SerializationError):
    """Stored data names a type that may not be rebuilt in this process.

    Attributes:
        type_name: the type as ``module:qualified.name``.
    """

    def __init__(self, message: str, type_name: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name


class CorruptRecord(ThreadloomError, ValueError):
    """Stored bytes are damaged; nothing was guessed in their place."""


class StoreUnavailable(ThreadloomError, ConnectionError):
    """The engine cannot be reached, opened or written."""


class StoreClosed(StoreUnavailable):
    """The store was closed before this operation."""


class SchemaTooNew(ThreadloomError, RuntimeError):
    """The data was written by a newer version of Threadloom than this one."""


class MissingAdapter(ThreadloomError, ImportError):
    """The URL names an engine whose package is not installed; the message says which."""


class UnsupportedByStore(ThreadloomError, NotImplementedError):
    """The engine cannot do this, or cannot do it safely."""


__all__ = [
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
    "ThreadloomError",
    "UnsupportedByStore",
    "UntrustedType",
]
