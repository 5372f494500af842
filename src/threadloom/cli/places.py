"""What arguments of the command line name: a store, and modules of the application."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from threadloom import Keyring
from threadloom.cli.group import USAGE, Fault
from threadloom.errors import CorruptRecord, StoreUnavailable
from threadloom.migrate.files import check_file
from threadloom.migrate.source import holds_checkpoints
from threadloom.sessions import SessionManager

_PASSWORD = re.compile(r"(:/{1,2}[^/?#@:]*:)[^@]*(?:@[^@]*)*(@)|([?&](?:ssl)?password=)[^&]*(&|$)")


class Place(NamedTuple):
    """Where data is.

    Attributes:
        url: how the store is opened.
        path: its file; None where it has none.
        shown: how messages name it.
        folder: its folder, of a `FileStore`; None for others.
    """

    url: str
    path: Path | None
    shown: str
    folder: Path | None = None

    @property
    def is_langgraph(self) -> bool:
        """Whether it is a database of LangGraph's SQLite savers.

        Raises:
            StoreUnavailable: it is a file that is missing, empty, or no database.
        """
        return self.path is not None and holds_checkpoints(self.path)

    def open(self, tenant: str | None = None, keys: Keyring | None = None) -> SessionManager:
        """The sessions of a store that is there already.

        Args:
            tenant: whose.
            keys: those of an encrypted store.

        Raises:
            StoreUnavailable: it cannot be opened.
            Fault: it is a database of LangGraph's, or no store that keys are for.
        """
        if self.path is not None:
            check_file(self.path)
        if self.folder is not None and not _is_store(self.folder):
            raise StoreUnavailable(f"{self.folder} is no folder of sessions: check the path")
        with self.asking_for_keys(keys):
            return SessionManager(self.url, tenant=tenant, encryption=keys, create=False)

    @contextmanager
    def asking_for_keys(self, keys: Keyring | None) -> Iterator[None]:
        """A block in which a store is opened that may be encrypted.

        Raises:
            Fault: it is, and there are no keys; says how to give them.
        """
        try:
            yield
        except StoreUnavailable as error:
            if keys is None and "is encrypted" in str(error):
                raise Fault(f"{self.shown} is encrypted: --key-file FILE gives its keys") from error
            raise

    @contextmanager
    def sessions(
        self, tenant: str | None = None, keys: Keyring | None = None
    ) -> Iterator[SessionManager]:
        """`open` for a block, for what a database of LangGraph's savers cannot do.

        Raises:
            StoreUnavailable: it cannot be opened.
            Fault: it is such a database.
            CorruptRecord: what is stored is damaged; says how to find out more.
        """
        self._refuse_langgraph()
        with self.open(tenant, keys) as sessions:
            try:
                yield sessions
            except CorruptRecord as error:
                raise CorruptRecord(
                    f"{error}. To see all that is damaged: threadloom check {self.shown}"
                ) from error

    def _refuse_langgraph(self) -> None:
        if self.is_langgraph:
            raise Fault(
                f"{self.shown} is a database of LangGraph. To bring it over: "
                f"threadloom migrate {self.shown} NEW"
            )

    def is_there(self) -> bool:
        """Whether there is something already; of what has no path that is not asked."""
        if self.folder is not None:
            return _is_store(self.folder)
        return self.path is None or (self.path.is_file() and self.path.stat().st_size > 0)

    def open_or_make(
        self, tenant: str | None = None, keys: Keyring | None = None
    ) -> SessionManager:
        """`sessions`, for what brings something in: the store is made where it is not there.

        Raises:
            StoreUnavailable: it cannot be opened or made.
            Fault: it is a database of LangGraph's.
        """
        if self.path is not None and self.is_there():
            self._refuse_langgraph()
            return self.open(tenant, keys)
        return SessionManager(self.url, tenant=tenant, encryption=keys)


def place(store: str, argument: str = "STORE") -> Place:
    """What an argument names.

    Args:
        store: the argument.
        argument: what the command's help calls it.

    Raises:
        Fault: it cannot be a store.
    """
    if not store.strip():
        raise Fault(f"{argument} is empty: give a path or a URL such as sqlite:///x.db", code=USAGE)
    if "\0" in store:
        raise Fault(f"{argument} has a NUL in it", code=USAGE)
    if store.lower().startswith("sqlite:") and not store.lower().startswith("sqlite://"):
        raise Fault(f"{store} is no URL: write sqlite:///relative.db, or just the path", code=USAGE)
    scheme, mark, _ = store.partition("://")
    if not mark or "/" in scheme:
        path = Path(store).expanduser()
        if _is_store(path):
            return Place(f"file:///{quote(str(path.absolute()))}", None, store, path)
        return Place(f"sqlite:///{quote(str(path.absolute()))}", path, store)
    if scheme == "memory":
        raise Fault(
            "memory:// is private to a program, and here it is empty: give a file",
            code=USAGE,
        )
    shown = _PASSWORD.sub(r"\1\3***\2\4", store)
    if scheme == "sqlite":
        parts = urlsplit(store)
        named = "" if parts.netloc else unquote(parts.path)[1:]
        return Place(store, Path(named) if named else None, shown)
    if scheme == "file":
        return Place(store, None, shown, Path(unquote(urlsplit(store).path)[1:]))
    return Place(store, None, shown)


def _is_store(path: Path) -> bool:
    """Whether a path leads to the folder of a `FileStore`."""
    try:
        return (path / "threadloom.json").is_file()
    except OSError:  # whoever opens it will say what is wrong
        return False


__all__ = ["Place", "place"]


def import_modules(modules: Sequence[str]) -> None:
    """Import what the application stores; its modules are looked for in this folder, too."""
    if not modules:
        return
    sys.path.insert(0, str(Path.cwd()))
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise Fault(
                f"--import {module}: {type(error).__name__}: {error}. Run it where the application "
                "is installed, or in its folder",
                code=USAGE,
            ) from error
