"""What every part of the manager's face stands on."""

from __future__ import annotations

from typing import TypeVar

from threadloom.keys import SessionPaths
from threadloom.models import SessionRef
from threadloom.plans import Plan, arun, run
from threadloom.scope import Scope
from threadloom.store import Store
from threadloom.values import Values

T = TypeVar("T")


class Face:
    """A store, a tenant's scope in it, and how values are stored."""

    _store: Store
    _scope: Scope
    _values: Values

    def _paths(self, id: SessionRef) -> SessionPaths:
        return self._scope.paths(id)

    def _run(self, plan: Plan[T]) -> T:
        return run(plan, self._store)

    async def _arun(self, plan: Plan[T]) -> T:
        return await arun(plan, self._store)
