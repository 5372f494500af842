"""From a URL to a store. Engines are named here only, as strings."""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from weakref import WeakSet

from langgraph.store.base import BaseStore, IndexConfig, TTLConfig

from threadloom.clock import Clock
from threadloom.errors import (
    CorruptRecord,
    InvalidKey,
    MissingAdapter,
    StoreClosed,
    StoreUnavailable,
    UnsupportedByStore,
)
from threadloom.itemstore import ItemStore, Settings
from threadloom.ops import Get
from threadloom.store import OnOperation, Store

if TYPE_CHECKING:
    from threadloom.wrappers.keyring import Keyring

ENTRY_POINTS = "threadloom.stores"
"""Group of the entry points by which adapters register: a scheme, and a callable
``open(url, *, clock) -> Store``."""

_BUILT_IN = {
    "memory": "threadloom.stores.memory:MemoryStore",
    "sqlite": "threadloom.stores.sqlite:SQLiteStore",
    "file": "threadloom.stores.file:FileStore",
}
_WRAPPERS = (
    "threadloom.wrappers.encrypted:EncryptedStore",
    "threadloom.wrappers.keyring:Keyring",
    "threadloom.wrappers.read_only:ReadOnlyStore",
    "threadloom.wrappers.telemetry:OpenTelemetryHook",
    "threadloom.wrappers.traced:TracedStore",
)
_ANY_OTHER = "threadloom.stores.langgraph:LangGraphStore"
_WRAPPED = "threadloom.stores.langgraph:wrapped"
CLASSES = {
    target.partition(":")[2]: target for target in (*_BUILT_IN.values(), *_WRAPPERS, _ANY_OTHER)
}
"""Name in the public face → where the class is; loaded when first asked for."""

_WAITS = {"sqlite": "busy_timeout", "file": "lock_timeout"}
"""Engines that keep files, with the option that says how long they wait for other processes."""

_HEADER = "threadloom.wrappers.vault:HEADER"
_in_clear: WeakSet[Store] = WeakSet()

_ADAPTERS = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "redis": "redis",
    "rediss": "redis",
    "redis+cluster": "redis",
}


def open_store(
    url: str,
    *,
    clock: Clock | None = None,
    index: IndexConfig | None = None,
    ttl: TTLConfig | None = None,
    create: bool = True,
) -> Store:
    """Open the store that a URL names.

    ``memory://`` is a new, private store. ``sqlite:///sessions.db`` is relative to the
    current folder, ``sqlite:////var/sessions.db`` is absolute; the options ``durability``
    and ``busy_timeout`` of `SQLiteStore` may follow behind ``?``. ``file:///sessions`` is a
    folder, named in the same way, with the options ``durability`` and ``lock_timeout`` of
    `FileStore`. Further schemes come with adapters.

    Args:
        url: where the sessions are.
        clock: handed to the store.
        index: for semantic search in its items, see `Store`.
        ttl: how long its items live, see `Store`.
        create: whether a store that is not there is made; otherwise it is refused, and nothing is
            left behind. Engines of other packages are asked where their openers take `create`.

    Raises:
        InvalidKey: the URL, one of its options, `index` or `ttl` makes no sense.
        MissingAdapter: nothing that is installed knows the scheme; says what to install.
        StoreUnavailable: the engine cannot be opened, or the store is not there and `create` is
            false.
        SchemaTooNew: a newer Threadloom wrote the data.
    """
    settings = Settings.of(index, ttl)  # before anything is opened
    store = _opened(url, clock, create=create)
    store._configure(settings.over(store._settings))
    return store


def is_store_at(url: str) -> bool:
    """Whether a store is there already; nothing is made.

    Raises:
        InvalidKey: the URL makes no sense.
        MissingAdapter: nothing that is installed knows the scheme.
        StoreUnavailable: it cannot be reached.
    """
    try:
        with open_store(url, create=False) as store:
            store.execute([Get(("sessions",), "x", blob=False)])
    except StoreUnavailable as error:
        if error.__cause__ is not None:  # a driver's error: it is not known
            raise
        return False
    return True


def _opened(url: str, clock: Clock | None, *, create: bool) -> Store:
    scheme = _scheme(url)
    if scheme == "memory":
        if not create:
            raise StoreUnavailable("memory:// is always new: there is nothing in it to open")
        return load(_BUILT_IN[scheme])(clock=clock)  # type: ignore[no-any-return]
    if scheme in _WAITS:
        path, options = _path_options(url, scheme)
        if not create:
            _check_there(Path(path), is_folder=scheme == "file")
        return load(_BUILT_IN[scheme])(path, clock=clock, **options)  # type: ignore[no-any-return]
    opener = _adapter(scheme).load()
    if create or "create" not in signature(opener).parameters:
        return opener(url, clock=clock)  # type: ignore[no-any-return]
    return opener(url, clock=clock, create=False)  # type: ignore[no-any-return]


def _check_there(path: Path, *, is_folder: bool) -> None:
    """Refuse a path where no store is.

    Raises:
        StoreUnavailable: nothing is there, or nothing in it, or the other kind of thing.
    """
    try:
        if not path.exists():
            raise StoreUnavailable(f"{path} does not exist: check the path")
        if path.is_dir() != is_folder:
            raise StoreUnavailable(
                f"{path} is no folder: sqlite:/// is for files"
                if is_folder
                else f"{path} is a folder: name a file in it"
            )
        if is_folder and not (path / "threadloom.json").is_file():
            raise StoreUnavailable(f"{path} is no folder of sessions: check the path")
        if not is_folder and not path.stat().st_size:
            raise StoreUnavailable(f"{path} is empty: nothing was stored there yet")
    except OSError as error:
        if isinstance(error, StoreUnavailable):
            raise
        raise StoreUnavailable(f"{path} cannot be read: {error}") from error


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


def as_store(store: object, *, clock: Clock | None = None) -> Store:
    """Take a store as it is handed in: one of Threadloom's, or any other of LangGraph's.

    Args:
        store: a Threadloom store is returned itself; another `BaseStore` as a `LangGraphStore`,
            and always the same one where no clock is given.
        clock: handed to that.

    Raises:
        InvalidKey: it is something else, such as a URL; says what to do.
    """
    if isinstance(store, Store):
        return store
    if isinstance(store, ItemStore):
        raise InvalidKey(
            f"{store!r:.80} is a manager's long-term memory, a part of a store: hand in the store "
            "that the manager is built on"
        )
    if isinstance(store, BaseStore):
        return load(_WRAPPED)(store, clock)  # type: ignore[no-any-return]
    hint = "; open_store(url) opens one" if isinstance(store, str) else ""
    raise InvalidKey(
        f"a store is needed here: Threadloom's, or another of LangGraph's, got {store!r:.80}{hint}"
    )


def refuse_encrypted(store: Store) -> None:
    """Refuse a store whose records are encrypted where nobody brings keys.

    Otherwise it would read as empty, and what is written in clear would stand between. A store
    object is asked once. A store of others is not: it may belong to an event loop that does not
    run yet.

    Raises:
        StoreUnavailable: it is encrypted, or cannot be reached.
    """
    inner: Any = store
    while not isinstance(inner, load(CLASSES["EncryptedStore"])):
        within = getattr(inner, "inner", None)
        if not isinstance(within, Store):
            break
        inner = within
    else:
        return
    if inner in _in_clear or isinstance(inner, load(_ANY_OTHER)):
        return
    try:
        (header,) = inner.execute([Get(*load(_HEADER))])
    except (UnsupportedByStore, StoreClosed, CorruptRecord):
        return  # whoever uses it is told
    if header is not None:
        raise StoreUnavailable(
            f"{inner!r:.120} is encrypted: pass encryption=Keyring(...) to SessionManager, or wrap "
            "it in EncryptedStore(store, keys)"
        )
    _in_clear.add(inner)


def check_url(url: str) -> None:
    """Refuse a URL that names no store, as far as that shows without opening it.

    Raises:
        InvalidKey: the URL or one of its options makes no sense.
        MissingAdapter: nothing that is installed knows the scheme; says what to install.
    """
    scheme = _scheme(url)
    if scheme in _WAITS:
        _path_options(url, scheme)
    elif scheme != "memory":
        _adapter(scheme)


def _scheme(url: str) -> str:
    if not isinstance(url, str) or "://" not in url:
        raise InvalidKey(
            f"not a store's URL: {url!r:.200}; write memory://, sqlite:///relative.db, "
            "sqlite:////absolute/path.db or file:///folder"
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
        + "Built in are memory://, sqlite:///path and file:///path"
    )


def _path_options(url: str, scheme: str) -> tuple[str, dict[str, Any]]:
    """The path and the options in a URL of an engine that keeps files."""
    waits = _WAITS[scheme]
    parts = urlsplit(url)
    path = unquote(parts.path)
    if "\0" in path:
        raise InvalidKey(f"{url!r}: a file name cannot contain NUL")
    if parts.netloc or not path.startswith("/") or path == "/":
        what, name = ("folder", "") if scheme == "file" else ("file", ".db")
        raise InvalidKey(
            f"{url!r} names no {what}; write {scheme}:///relative{name} or "
            f"{scheme}:////absolute/path{name}"
        )
    if path == "/:memory:":
        raise InvalidKey("for a store in memory use memory://")
    options: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "durability":
            if value not in ("normal", "full"):
                raise InvalidKey(f"durability is 'normal' or 'full', not {value!r}")
            options[name] = value
        elif name == waits:
            try:
                options[name] = float(value)
            except ValueError:
                options[name] = -1.0
            if not 0 <= options[name] < float("inf"):
                raise InvalidKey(f"{waits} in {url!r} is no number of seconds")
        else:
            raise InvalidKey(
                f"unknown option {name!r} in {url!r}; there are durability and {waits}"
            )
    return path[1:], options


def load(target: str) -> Any:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)
