"""Where a migration goes, and the clock that tells the times of what it brings."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from threadloom.checkpoint import StoreCheckpointer
from threadloom.errors import InvalidKey
from threadloom.sessions import SessionManager
from threadloom.store import Store
from threadloom.stores.registry import is_store_at, open_store

if TYPE_CHECKING:
    from threadloom.wrappers.keyring import Keyring


class SetClock:
    """A clock that shows the time of what is being brought over."""

    def __init__(self) -> None:
        self._at: datetime | None = None

    def __call__(self) -> datetime:
        return self._at or datetime.now(UTC)

    def show(self, at: datetime | None) -> None:
        """Be at a time; where it is not known, stay where it is."""
        self._at = at or self._at


class Target(NamedTuple):
    """Where threads go.

    Attributes:
        manager: the sessions.
        saver: its checkpointer.
        clock: sets the times of what is stored; None where the manager brought its own.
    """

    manager: SessionManager
    saver: StoreCheckpointer
    clock: SetClock | None


def open_target(
    given: str | Store | SessionManager | None,
    tenant: str | None,
    encryption: Keyring | None,
    stack: ExitStack,
    *,
    dry_run: bool,
) -> Target | None:
    """Where to; what was opened for it is closed with the stack. None for nowhere yet.

    Raises:
        InvalidKey: the arguments make no sense.
        StoreUnavailable: it cannot be opened.
    """
    if given is None:
        if not dry_run:
            raise InvalidKey("only a dry run goes without a store")
        return None
    if isinstance(given, str) and dry_run and not is_store_at(given):
        return None
    if isinstance(given, SessionManager):
        if tenant is not None or encryption is not None:
            raise InvalidKey("a manager has its tenant and its keys already")
        return Target(given, given.checkpointer(), None)
    store = stack.enter_context(open_store(given)) if isinstance(given, str) else given
    clock = SetClock()
    manager = SessionManager(store, tenant=tenant, clock=clock, encryption=encryption)
    return Target(manager, manager.checkpointer(), clock)


__all__ = ["SetClock", "Target", "open_target"]
