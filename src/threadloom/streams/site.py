"""`Site`: one stream of one session, as its plans need to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from threadloom.checkpoint.cache import Cache
from threadloom.keys import Namespace, SessionPaths
from threadloom.scope import Scope
from threadloom.streams.shown import Shows
from threadloom.values import Values


@dataclass(frozen=True, slots=True)
class Site:
    """One stream of one session.

    Attributes:
        scope: the tenant's scope.
        cache: what the store's elements are remembered in.
        values: how values are stored.
        paths: the session's places.
        name: what the stream is called.
        label: its name as a label of a namespace.
        shows: how items are shown as messages; None where nothing shows them.
        begins: fields of the session's document where a session begins with it.
    """

    scope: Scope
    cache: Cache
    values: Values
    paths: SessionPaths
    name: str
    label: str
    shows: Shows | None = None
    begins: Mapping[str, Any] = field(default_factory=dict)

    @property
    def namespace(self) -> Namespace:
        """Where its items lie."""
        return self.paths.stream(self.label)
