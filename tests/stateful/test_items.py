"""Random store operations: LangGraph's own store, mended where documented, and each of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.base import GetOp, ListNamespacesOp, MatchCondition, Op, PutOp, SearchOp

from engines import KINDS, open_kind
from stateful.mended import MENDS, Mended, plain
from threadloom.stores.memory import MemoryStore
from threadloom.testing import FrozenClock

# Small pools, so that operations meet; neighbours that must not be mistaken for each other.
LABELS = ["a", "b", "ab", "*", "a%", "é", "memory"]
NAMESPACES = st.sampled_from(
    [("a",), ("a", "b"), ("a", "b", "ab"), ("ab",), ("b", "a"), ("b", "memory"), ("a%", "é")]
)
PREFIXES = st.sampled_from([(), ("a",), ("a", "b"), ("b",), ("nowhere",), ("a%",)])
KEYS = st.sampled_from(["1", "10", "2", "", "é", "A"])
NUMBERS = st.integers(-2, 3) | st.sampled_from([1.0, 1.5, 2**53 + 1, 2**64 + 1, -0.0])
SINGLE = st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "a", "b", "10", "9"])
VALUES = st.recursive(
    SINGLE,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["x", "y", "x.y"]), inner, max_size=2)
    ),
    max_leaves=4,
)
FIELDS = st.sampled_from(["t", "x", "y", "x.y", "'; --"])
TEXTS = st.sampled_from(["a", "b", "ab", "aab", "ccc", "", "d"])
DOCS = st.dictionaries(FIELDS, VALUES, max_size=3) | st.fixed_dictionaries(
    {"t": TEXTS}, optional={"x": VALUES, "list": st.lists(TEXTS, max_size=3)}
)
OPERATORS = st.dictionaries(
    st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), VALUES, min_size=1, max_size=2
)
WANTED = st.recursive(
    SINGLE | OPERATORS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["x", "y", "x.y"]), inner, max_size=2)
    ),
    max_leaves=4,
)
FILTERS = st.none() | st.dictionaries(FIELDS, WANTED, max_size=2)
LIMITS = st.integers(0, 4) | st.just(10) | st.just(-1)
OFFSETS = st.sampled_from([0, 0, 0, 1, 2, -1])
PATHS = st.lists(st.sampled_from(LABELS), min_size=1, max_size=2).map(tuple)
PUTS = st.builds(
    PutOp,
    namespace=NAMESPACES,
    key=KEYS,
    value=DOCS | DOCS | st.none(),
    ttl=st.none(),
    index=st.none() | st.none() | st.just(False) | st.sampled_from([["t"], ["list[*]", "x"], []]),
)
OPS: st.SearchStrategy[Op] = (
    PUTS
    | PUTS
    | st.builds(GetOp, namespace=NAMESPACES, key=KEYS)
    | st.builds(
        SearchOp,
        namespace_prefix=PREFIXES,
        filter=FILTERS,
        limit=LIMITS,
        offset=OFFSETS,
        query=st.none() | TEXTS,
    )
    | st.builds(
        ListNamespacesOp,
        match_conditions=st.none()
        | st.lists(
            st.builds(MatchCondition, match_type=st.sampled_from(["prefix", "suffix"]), path=PATHS),
            max_size=2,
        ).map(tuple),
        max_depth=st.none() | st.integers(0, 3),
        limit=LIMITS,
        offset=OFFSETS,
    )
)
STEPS = st.lists(
    st.tuples(st.lists(OPS, max_size=5), st.booleans(), st.booleans()), min_size=1, max_size=12
)
Steps = list[tuple[list[Op], bool, bool]]


def embed(texts: Sequence[str]) -> list[list[float]]:
    """How often each letter stands in a text."""
    return [[float(text.count(letter)) for letter in "abcd"] for text in texts]


INDEX: Any = {"dims": 4, "embed": embed, "fields": ["t", "list[*]"]}


def outcome(store: Any, ops: list[Op], on_loop: bool) -> Any:
    """What a batch gives, or that it is refused."""
    try:
        found = asyncio.run(store.abatch(ops)) if on_loop else store.batch(ops)
    except ValueError:
        return "refused"
    return plain(found)


def play(steps: Steps, ours: Any, theirs: Mended, clock: FrozenClock) -> None:
    """Play batches on both, and compare all they give; at the end all there is."""
    everything: list[Op] = [SearchOp((), limit=1_000), ListNamespacesOp()]
    for ops, on_loop, passes in [*steps, (everything, False, False)]:
        if passes:
            clock.advance(1)
        wanted, found = outcome(theirs, ops, False), outcome(ours, ops, on_loop)
        assert found == wanted, json.dumps([repr(op) for op in ops], indent=1)


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_our_stores_answer_as_langgraphs_own(
    kind: str, indexed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    examples = settings().max_examples * (2 if kind == "memory" else 1)
    index = INDEX if indexed else None

    @settings(max_examples=examples)
    @given(STEPS)
    def check(steps: Steps) -> None:
        clock = FrozenClock()
        folder = tmp_path_factory.mktemp("items")
        with open_kind(kind, folder, clock=clock, index=index) as store:
            play(steps, store, Mended(clock, index), clock)

    check()


A, B = ("a",), ("b",)
T = {"t": "a"}
DISAGREEMENTS: dict[str, Steps] = {
    "an empty namespace is none": [([GetOp(A, "1"), ListNamespacesOp()], False, False)],
    "the order is that of places": [
        ([PutOp(A, "2", T)], False, False),
        ([PutOp(A, "1", T), SearchOp(())], False, False),
    ],
    "an update keeps the time of creation": [
        ([PutOp(A, "1", T)], False, False),
        ([PutOp(A, "1", T)], False, True),
    ],
    "values are not shared": [([PutOp(A, "1", {"t": [1]})], False, False)],
    "filters compare as JSON": [
        ([PutOp(A, "1", {"t": True})], False, False),
        ([SearchOp(A, {"t": 1})], False, False),
    ],
    "a negative number is refused": [
        ([PutOp(A, "1", T), PutOp(A, "2", T)], False, False),
        ([SearchOp(A, limit=-1)], False, False),
    ],
    "a new value has new vectors": [
        ([PutOp(A, "1", T)], False, False),
        ([PutOp(A, "1", T, index=False)], False, False),
        ([SearchOp(A, query="a")], False, False),
    ],
    "texts may be the same": [([PutOp(A, "1", T), PutOp(B, "1", T)], False, False)],
    "a page is a page": [
        ([PutOp(A, "1", T), PutOp(A, "2", {})], False, False),
        ([SearchOp(A, query="a", offset=2)], False, False),
    ],
    "scores have seven digits": [
        ([PutOp(A, "1", {"t": "ab"})], False, False),
        ([SearchOp(A, query="a")], False, False),
    ],
}


@pytest.mark.parametrize("mend", MENDS)
def test_every_mend_is_needed(mend: str) -> None:
    """What is documented as a disagreement is one."""
    for mended in (True, False):
        clock = FrozenClock()
        theirs = Mended(clock, INDEX)
        with MemoryStore(clock=clock, index=INDEX) as store:
            if mended:
                play(DISAGREEMENTS[mend], store, theirs, clock)
                continue
            theirs.mends.discard(mend)
            if mend == "values are not shared":
                given = {"t": [1]}
                for one in (store, theirs):
                    one.put(A, "1", given)
                given["t"].append(2)
                assert store.get(A, "1").value == {"t": [1]}  # type: ignore[union-attr]
                assert theirs.get(A, "1").value == {"t": [1, 2]}  # type: ignore[union-attr]
                continue
            with pytest.raises(AssertionError):
                play(DISAGREEMENTS[mend], store, theirs, clock)
