"""From a URL to a store. Engines are named here only, as strings."""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from threadloom.clock import Clock
from threadloom.errors import InvalidKey, MissingAdapter
from threadloom.store import OnOperation, Store

if TYPE_CHECKING:
    from threadloom.wrappers.keyring import Keyring

ENTRY_POINTS = "threadloom.stores"
"""Group of the entry points by which adapters register: a scheme, and a callable
``open(url, *, clock) -> Store``."""

_BUILT_IN = {
    "memory": "threadloom.stores.memory:MemoryStore",
    "sqlite": "threadloom.stores.sqlite:SQLiteStore",
}
_WRAPPERS = (
    "threadloom.wrappers.encrypted:EncryptedStore",
    "threadloom.wrappers.keyring:Keyring",
    "threadloom.wrappers.read_only:ReadOnlyStore",
    "threadloom.wrappers.telemetry:OpenTelemetryHook",
    "threadloom.wrappers.traced:TracedStore",
)
CLASSES = {target.partition(":")[2]: target for target in (*_BUILT_IN.values(), *_WRAPPERS)}
"""Name in the public face → where the class is; loaded when first asked for."""

_ADAPTERS = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "redis": "redis",
    "rediss": "redis",
    "redis+cluster": "redis",
}


def open_store(url: str, *, clock: Clock | None = None) -> Store:
    """Open the store that a URL names.

    ``memory://`` is a new, private store. ``sqlite:///sessions.db`` is relative to the
    current folder, ``sqlite:////var/sessions.db`` is absolute; the options ``durability``
    and ``busy_timeout`` of `SQLiteStore` may follow behind ``?``. Further schemes come with
    adapters.

    Args:
        url: where the sessions are.
        clock: handed to the store.

    Raises:
        InvalidKey: the URL or one of its options makes no sense.
        MissingAdapter: nothing that is installed knows the scheme; says what to install.
        StoreUnavailable: the engine cannot be opened.
        SchemaTooNew: a newer Threadloom wrote the data.
    """
    scheme = _scheme(url)
    if scheme == "memory":
        return load(_BUILT_IN[scheme])(clock=clock)  # type: ignore[no-any-return]
    if scheme == "sqlite":
        path, options = _sqlite_options(url)
        return load(_BUILT_IN[scheme])(path, clock=clock, **options)  # type: ignore[no-any-return]
    return _adapter(scheme).load()(url, clock=clock)  # type: ignore[no-any-return]


def wrapped(
    store: Store,
    *,
    encryption: Keyring | None = None,
    on_operation: OnOperation | None = None,
) -> Store:
    """A store with what was asked for around it: encryption inside, the hook outside.

    Args:
        store: what to wrap; closed with the result where that is closed.
        encryption: the keys of an `EncryptedStore`; None for none.
        on_operation: the hook of a `TracedStore`; None for none.

    Raises:
        InvalidKey: what was given is no keyring, or cannot be called.
        UnsupportedByStore: the store does not promise what encryption needs.
    """
    if encryption is not None:
        store = load(CLASSES["EncryptedStore"])(store, encryption)
    if on_operation is not None:
        store = load(CLASSES["TracedStore"])(store, on_operation)
    return store


def check_url(url: str) -> None:
    """Refuse a URL that names no store, as far as that shows without opening it.

    Raises:
        InvalidKey: the URL or one of its options makes no sense.
        MissingAdapter: nothing that is installed knows the scheme; says what to install.
    """
    scheme = _scheme(url)
    if scheme == "sqlite":
        _sqlite_options(url)
    elif scheme != "memory":
        _adapter(scheme)


def _scheme(url: str) -> str:
    if not isinstance(url, str) or "://" not in url:
        raise InvalidKey(
            f"not a store's URL: {url!r:.200}; write memory://, sqlite:///relative.db or "
            "sqlite:////absolute/path.db"
        )
    scheme, _, rest = url.partition("://")
    if scheme.lower() == "memory" and rest:
        raise InvalidKey(f"memory:// takes nothing behind it, got {url!r}")
    return scheme.lower()


def _adapter(scheme: str) -> EntryPoint:
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == scheme:
            return entry
    if scheme in _ADAPTERS:
        extra = _ADAPTERS[scheme]
        raise MissingAdapter(
            f'{scheme}:// needs an adapter that is not installed: pip install "threadloom[{extra}]"'
        )
    meant = difflib.get_close_matches(scheme, [*_BUILT_IN, *_ADAPTERS], n=1)
    raise MissingAdapter(
        f"nothing installed knows {scheme}://. "
        + (f"Did you mean {meant[0]}://? " if meant else "")
        + "Built in are memory:// and sqlite:///path"
    )


def _sqlite_options(url: str) -> tuple[str, dict[str, Any]]:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if "\0" in path:
        raise InvalidKey(f"{url!r}: a file name cannot contain NUL")
    if parts.netloc or not path.startswith("/") or path == "/":
        raise InvalidKey(
            f"{url!r} names no file; write sqlite:///relative.db or sqlite:////absolute/path.db"
        )
    if path == "/:memory:":
        raise InvalidKey("for a store in memory use memory://")
    options: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "durability":
            if value not in ("normal", "full"):
                raise InvalidKey(f"durability is 'normal' or 'full', not {value!r}")
            options[name] = value
        elif name == "busy_timeout":
            try:
                options[name] = float(value)
            except ValueError:
                options[name] = -1.0
            if not 0 <= options[name] < float("inf"):
                raise InvalidKey(f"busy_timeout in {url!r} is no number of seconds")
        else:
            raise InvalidKey(
                f"unknown option {name!r} in {url!r}; there are durability and busy_timeout"
            )
    return path[1:], options


def load(target: str) -> Any:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)
