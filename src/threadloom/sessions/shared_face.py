"""The part of the manager's face for state that several sessions share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from threadloom import shared
from threadloom.plans import Plan
from threadloom.sessions.base import Face
from threadloom.shared import SharedState


class SharedFace(Face):
    """States that sessions share."""

    def shared_state(self, *scope: str) -> SharedState:
        """State that several sessions share: a user's, an application's.

        Args:
            scope: whose it is, such as ``"google-adk", "user", "ana"``; also the namespace in
                which `store` shows it, each field as an item with its ``"value"``.

        Raises:
            InvalidKey: there is no scope, or it cannot be stored.
        """
        return SharedState(self._store, self._scope.root, scope)

    def shared_states(self, scopes: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], Any]:
        """The fields of several shared states, by their scopes, as of one moment."""
        return self._run(self._shared_states(scopes))

    async def ashared_states(self, scopes: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], Any]:
        """`shared_states`, from an event loop."""
        return await self._arun(self._shared_states(scopes))

    def _shared_states(
        self, scopes: Iterable[tuple[str, ...]]
    ) -> Plan[dict[tuple[str, ...], dict[str, Any]]]:
        return shared.read_many(self._scope.root, list(dict.fromkeys(scopes)))
