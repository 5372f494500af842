"""`store_state_machine`: random batches against a plain dict, found and shrunk by Hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from threadloom import keys
from threadloom.errors import InvalidKey
from threadloom.ops import (
    WRITES,
    Check,
    CopyTree,
    Count,
    Delete,
    DropTree,
    Expect,
    ExpectationFailed,
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
    Scan,
)
from threadloom.store import Store
from threadloom.testing.clock import FrozenClock
from threadloom.testing.driver import Driver
from threadloom.testing.oracle import Oracle, is_refused

OpenStore = Callable[[FrozenClock], Store]
Reopen = Callable[[Any], Store]

# Small pools, so that operations meet; neighbours that must not be mistaken for each other.
_NAMESPACES = [
    ("sessions",), ("memory", "1"), ("memory", "1", "index"), ("memory", "10"),
    ("checkpoints", "1", "%"), ("~t", "sessions"), ("~t", "app"), ("app",), ("app", "memory"),
    ("apple",), ("a%", "😀"),
]  # fmt: skip
_ROOTS = [(), ("memory",), ("~t",), ("nowhere",), *_NAMESPACES]
_TREES = [namespace for namespace in _NAMESPACES if namespace[-1] != "sessions"]
_KEYS = ["1", "10", "2", "", "a", "A", "é", "\uffee", "😀"]
_FIELDS = ["created_at", "updated_at", "n"]
_SEARCHED = ["red", "green", "blue"]

_numbers = st.integers(-3, 3) | st.sampled_from([2**53 + 1, 2**62])
_values = st.recursive(
    st.none() | st.booleans() | _numbers | st.sampled_from(["", "ana", "bo", 1.5, 2**70]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b.c", "$d"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_docs = st.fixed_dictionaries(
    {},
    optional={
        "created_at": st.integers(0, 4),
        "updated_at": st.integers(0, 4) | st.none(),
        "n": _numbers,
        "owner": st.sampled_from(["ana", "bo", None, 1]),
        "status": st.sampled_from(["idle", "running"]),
        "tags": st.lists(st.sampled_from(["x", "y", "z"]), max_size=3),
        "v": _values,
    },
)
_bounds = st.dictionaries(
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
    st.integers(-1, 4) | st.sampled_from([2**70, 1.5, "a", None, True]),
    min_size=1,
    max_size=2,
)
_tags = st.sampled_from(["x", "y", "q"])
_filters = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "created_at": _bounds | st.integers(0, 4),
        "updated_at": _bounds,
        "n": _bounds | st.builds(lambda value: {"$ne": value}, _numbers),
        "owner": st.sampled_from(["ana", "bo", None, 1, {"$ne": "ana"}]),
        "status": st.sampled_from(["idle", "running"]),
        "tags": st.builds(lambda tags: {"$contains": tags}, _tags | st.lists(_tags, max_size=2)),
        "v": st.none() | st.booleans() | st.integers(0, 2) | st.just({"a": 1}),
    },
)
_texts = st.none() | st.lists(st.sampled_from([*_SEARCHED, "Red", "…"]), max_size=3).map(" ".join)
_limits = st.none() | st.integers(0, 4)


@st.composite
def _ops(draw: st.DrawFn, now: int, versions: Sequence[int]) -> Op:
    """Any operation; `versions` are some that have been given out."""
    place = draw(st.sampled_from(_NAMESPACES)), draw(st.sampled_from(_KEYS))
    root = draw(st.sampled_from(_ROOTS))
    expiries = st.none() | st.integers(now - 1, now + 3)
    conditions: list[Expect] = [None, None, None, "absent", "present", *versions]
    expects = st.sampled_from(conditions)
    order = draw(st.none() | st.sampled_from(_FIELDS))
    fields = st.dictionaries(st.sampled_from(_FIELDS), st.integers(-3, 3), max_size=2)
    match draw(st.integers(0, 17)):
        case 0 | 1 | 2 | 3 | 4:
            return Put(
                *place,
                doc=draw(st.none() | _docs),
                blob=draw(st.none() | st.binary(max_size=3)),
                text=draw(_texts),
                expires_at=draw(expiries),
                expect=draw(expects),
                keep=draw(st.sampled_from([False, False, True])),
            )
        case 5 | 6:
            return Patch(
                *place,
                set=draw(st.sampled_from([{}, {"owner": "bo"}, {"tags": ["y"]}, {"v": {"a": 1}}])),
                maximum=draw(fields),
                increment=draw(fields),
                expires_at=draw(st.just(-1) | expiries),
                expect=draw(expects),
                life=draw(st.sampled_from([None, None, *_FIELDS])),
            )
        case 7:
            return Delete(*place, expect=draw(expects))
        case 8:
            return DropTree(draw(st.sampled_from([root, *_NAMESPACES])))
        case 9:
            return Check(*place, expect=draw(expects))
        case 10:
            return Get(*place, blob=draw(st.booleans()))
        case 11:
            return Scan(
                place[0],
                start=draw(st.none() | st.sampled_from(_KEYS)),
                end=draw(st.none() | st.sampled_from(_KEYS)),
                reverse=draw(st.booleans()),
                limit=draw(_limits),
                blobs=draw(st.booleans()),
            )
        case 12:
            return Query(
                place[0],
                filter=draw(_filters),
                order_by=order,
                descending=draw(st.booleans()),
                after=draw(st.none() | st.tuples(st.integers(-1, 4), st.sampled_from(_KEYS))),
                limit=draw(_limits),
                offset=draw(st.integers(0, 2)),
                expired=draw(st.booleans()),
                blobs=draw(st.booleans()),
            )
        case 13:
            if draw(st.booleans()):
                deep = draw(st.booleans()) or root == ()
                return Count(root, deep, draw(_filters), expired=draw(st.booleans()))
            return Query(
                root,
                deep=True,
                filter=draw(_filters),
                order_by=order,
                descending=draw(st.booleans()),
                limit=draw(_limits),
                expired=draw(st.booleans()),
                user_only=draw(st.booleans()),
            )
        case 14:
            words = " ".join(draw(st.lists(st.sampled_from(_SEARCHED), max_size=2)))
            return Match(root, words, limit=draw(st.integers(0, 5) | st.just(50)))
        case 15:
            return Measure(root)
        case 16:
            return CopyTree(draw(st.sampled_from([root, *_TREES])), draw(st.sampled_from(_TREES)))
        case _:
            return ListNamespaces(root, user_only=draw(st.booleans()))


class StoreStateMachine(RuleBasedStateMachine):
    """Plays random batches on a store and on an `Oracle`, and compares everything.

    Batches mix operations of every kind with expectations that hold and that do not, sync
    and async; time moves on and back; a store that can is closed and opened again. A store
    that is not `atomic_everywhere` gets batches whose writes stay in one partition, and one
    without `compare_and_set` or `atomic_batch` none with expectations that it would refuse.
    Trees are copied on a store that `copies_trees`.

    Made by `store_state_machine`, or by a subclass that sets `open_store`.
    """

    open_store: ClassVar[OpenStore]
    reopen: ClassVar[Reopen | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        self.oracle = Oracle()
        self.drivers: dict[bool, Driver] = {}
        self._use(type(self).open_store(self.clock))

    def _use(self, store: Store) -> None:
        self.store = store
        self.drivers = {
            False: Driver(store, "sync", self.clock),
            True: Driver(store, "async", self.clock),
        }

    def _stop(self) -> None:
        for driver in self.drivers.values():
            driver.close()
        self.store.close()

    @rule(data=st.data(), size=st.integers(1, 5), on_loop=st.booleans())
    def batch(self, data: st.DataObject, size: int, on_loop: bool) -> None:
        """A batch goes through as the oracle says, or fails as a whole."""
        now = self.clock.micros
        one = _ops(now, self.oracle.given[-4:])
        self._play(data.draw(st.lists(one, min_size=size, max_size=size), label="ops"), on_loop)

    @precondition(lambda self: self.store.capabilities.copies_trees)
    @rule(data=st.data(), to=st.sampled_from(_TREES), on_loop=st.booleans())
    def copy(self, data: st.DataObject, to: Namespace, on_loop: bool) -> None:
        """A tree that holds something is copied, and shown at once."""
        filled = sorted({place[0] for place in self.oracle.rows}) or _TREES
        source = data.draw(st.sampled_from(filled), label="source")
        source = source[: data.draw(st.integers(1, len(source)), label="depth")]
        self._play([CopyTree(source, to), Query(to, deep=True)], on_loop)

    def _play(self, asked: list[Op], on_loop: bool) -> None:
        now = self.clock.micros
        ops = self._allowed(asked)
        failing = self.oracle.failing(ops, now)
        try:
            results = self.drivers[on_loop](*ops)
        except ExpectationFailed as error:
            assert error.op == failing, f"{error.op} is named, {failing} should have failed"
        except InvalidKey as error:
            # A store may look at all copies of a batch before it begins.
            refused = any(isinstance(op, CopyTree) and is_refused(op) for op in ops)
            assert refused, f"{ops} were refused: {error}"
        else:
            assert failing is None, f"{failing} should have failed, the batch gave {results!r}"
            self.oracle.check(ops, results, now)

    @rule(micros=st.integers(-2, 4))
    def time_passes(self, micros: int) -> None:
        """Time moves, sometimes back."""
        self.clock.advance(micros / 1_000_000)

    @precondition(lambda self: type(self).reopen is not None)
    @rule(on_loop=st.booleans())
    def open_again(self, on_loop: bool) -> None:
        """Nothing is lost by closing and opening, not even how versions stand."""
        if on_loop:
            self.drivers[True].run(self.store.aclose())
        self._stop()
        again = type(self).reopen
        assert again is not None
        self._use(again(self.store))

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        """Every living record, and every one that has expired."""
        now = self.clock.micros
        asked: list[Op] = [
            ListNamespaces(),
            *map(Scan, sorted({*_NAMESPACES, *(place[0] for place in self.oracle.rows)})),
            Query((), deep=True, expired=True),
            Match((), " ".join(_SEARCHED)),
            *(
                Query(("sessions",), filter=filter, order_by="created_at")
                for filter in (None, {"owner": "ana"}, {"tags": {"$contains": ["x"]}})
            ),
        ]
        self.oracle.check(asked, self.drivers[False](*asked), now)

    def teardown(self) -> None:
        """Close what was opened."""
        self._stop()

    def _allowed(self, ops: list[Op]) -> list[Op]:
        capabilities = self.store.capabilities
        if not capabilities.copies_trees:
            ops = [op for op in ops if not isinstance(op, CopyTree)]
        conditional = capabilities.compare_and_set and (capabilities.atomic_batch or len(ops) == 1)
        if not conditional:
            ops = [
                op._replace(expect=None)
                if isinstance(op, (Put, Patch, Delete, Check)) and op.expect is not None
                else op
                for op in ops
            ]
        if capabilities.atomic_everywhere:
            return ops
        homes = [_partition(op) for op in ops if isinstance(op, (*WRITES, Check))]
        return [
            op
            for op in ops
            if not isinstance(op, (*WRITES, Check))
            or (homes[0] is not None and _partition(op) == homes[0])
        ]


def _partition(op: Op) -> str | None:
    if isinstance(op, Reclaim):
        return None
    if isinstance(op, CopyTree):
        home = keys.tree_partition(op.source)
        return home if home == keys.tree_partition(op.target) else None
    if isinstance(op, DropTree):
        return keys.tree_partition(op.namespace)
    return keys.partition(op.namespace, getattr(op, "key", ""))


def store_state_machine(
    open_store: OpenStore, reopen: Reopen | None = None
) -> type[StoreStateMachine]:
    """A Hypothesis state machine of the port over a store of yours.

    ::

        TestMyStoreAtRandom = store_state_machine(lambda clock: MyStore(clock=clock)).TestCase

    Args:
        open_store: a function of the clock that opens a new, empty store; called once for
            every example.
        reopen: a function of a closed store that opens its data again, where it is durable.
    """
    members: dict[str, Any] = {
        "open_store": staticmethod(open_store),
        "reopen": None if reopen is None else staticmethod(reopen),
        "__doc__": StoreStateMachine.__doc__,
    }
    return type("StoreStateMachine", (StoreStateMachine,), members)
