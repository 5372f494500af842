"""What every plan about a session needs to know: where, when, and on what terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from threadloom.errors import InvalidKey
from threadloom.keys import Namespace, SessionPaths, check_id, tenant_root
from threadloom.models import SessionInfo

OnConflict = Literal["branch", "raise"]


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant's part of a store, and the rules that hold in it.

    Attributes:
        root: the namespace below which the tenant's data lives.
        now: the time, in microseconds since the epoch.
        implicit: whether a session may begin without `create_session`.
        on_conflict: what happens to a graph run whose base is no longer the head.
        store: tells stores apart (`id(store)`).
        is_system_time: whether `now` is the time of the system, as LangGraph has it.
    """

    root: Namespace
    now: Callable[[], int]
    implicit: bool = True
    on_conflict: OnConflict = "branch"
    store: int = 0
    is_system_time: bool = True

    @classmethod
    def of(
        cls,
        tenant: str | None,
        now: Callable[[], int],
        *,
        implicit: bool = True,
        on_conflict: OnConflict = "branch",
        store: object = None,
        is_system_time: bool = True,
    ) -> Scope:
        """The scope of a tenant, or of the store's root where `tenant` is None."""
        if on_conflict not in ("branch", "raise"):
            raise InvalidKey(f"on_conflict is 'branch' or 'raise', not {on_conflict!r}")
        return cls(
            tenant_root(tenant),
            now,
            implicit,
            on_conflict,
            0 if store is None else id(store),
            is_system_time,
        )

    def paths(self, id: object, *, fence: int | None = None) -> SessionPaths:
        """Every place of one session, by its id or its `SessionInfo`.

        Args:
            id: which one.
            fence: what a write has to find, where a config says so.

        Raises:
            InvalidKey: `id` cannot be a session id.
        """
        text = check_id(id.id if isinstance(id, SessionInfo) else id)
        return SessionPaths(self.root, text, store=self.store, fence=fence)
