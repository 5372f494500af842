"""Which journals a batch touches."""

from __future__ import annotations

from typing import NamedTuple

from threadloom import keys
from threadloom.errors import UnsupportedByStore
from threadloom.ops import (
    WRITES,
    Check,
    CopyTree,
    Count,
    Delete,
    DropTree,
    Get,
    ListNamespaces,
    Match,
    Measure,
    Namespace,
    Op,
    Patch,
    Put,
    Query,
    Reclaim,
    Renew,
    Scan,
)
from threadloom.plans import Batch
from threadloom.stores.file.places import Place, place_of

_MANY = 4
"""Sessions of which a batch may look at the records without asking the index."""


class Route(NamedTuple):
    """Where a batch goes.

    Attributes:
        places: for each operation the journals that it names; None where the index has to tell.
        writes: whether it writes.
        is_wide: whether it needs the index for a write, or behind one.
    """

    places: list[tuple[Place, ...] | None]
    writes: bool
    is_wide: bool

    @property
    def named(self) -> list[Place]:
        """The journals that are named, each once."""
        return list(dict.fromkeys(place for some in self.places for place in some or ()))


def route(ops: Batch) -> Route:
    """Find out which journals a batch touches.

    Raises:
        UnsupportedByStore: it holds something that is no operation.
    """
    named = [_places(op) for op in ops]
    writes = is_wide = False
    for op, some in zip(ops, named, strict=True):
        is_write = isinstance(op, WRITES)
        writes = writes or is_write
        is_wide = is_wide or (some is None and writes)
    if not writes:
        # The records of many sessions are in the index; their journals hold everything else, too.
        many = [
            at for at, op in enumerate(ops) if type(op) is Get and keys.is_sessions(op.namespace)
        ]
        if len(many) > _MANY:
            for at in many:
                named[at] = None
    return Route(named, writes, is_wide)


def _places(op: Op) -> tuple[Place, ...] | None:
    match op:
        case Get() | Put() | Patch() | Delete() | Renew() | Check():
            return (place_of(keys.partition(op.namespace, op.key)),)
        case Scan():
            return _flat(op.namespace)
        case Query() | Count():
            return _tree(op.namespace) if op.deep else _flat(op.namespace)
        case DropTree():
            return _tree(op.namespace)
        case CopyTree():
            source, target = _tree(op.source), _tree(op.target)
            return None if source is None or target is None else (*source, *target)
        case Match() | ListNamespaces() | Measure():
            return None if isinstance(op, Match) else _tree(op.namespace)
        case Reclaim():
            return ()
        case _:
            raise UnsupportedByStore(f"unknown operation {op!r}")


def _flat(namespace: Namespace) -> tuple[Place, ...] | None:
    if keys.is_sessions(namespace):
        return None
    return (place_of(keys.partition(namespace, "")),)


def _tree(namespace: Namespace) -> tuple[Place, ...] | None:
    home = keys.tree_partition(namespace)
    return None if home is None else (place_of(home),)
