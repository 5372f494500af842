"""Tenants on one store: nothing that one does is seen by another."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import KINDS, open_kind
from threadloom import MemoryStore, SessionManager, ThreadloomError
from threadloom.testing import FrozenClock

from .doors import NO_STEPS, PUBLIC, STEPS, Step
from .helpers import texts

TENANTS = ("a", "b", None)
SESSION = st.sampled_from(["a", "b", "~a", "sessions"])
MAKING = ["create_session", "checkpointer.put", "memory.append", "store.batch", "store.put"]
NAMES = st.sampled_from([*STEPS, *MAKING, *MAKING])
STEP = st.tuples(NAMES, st.sampled_from(TENANTS), SESSION, SESSION)


# Everybody has something from the beginning, so that there is something to take from everybody.
FIRST = [
    (name, tenant, one, two)
    for tenant in TENANTS
    for one, two in (("a", "b"), ("b", "~a"))
    for name in MAKING
]


def test_every_public_method_is_a_step() -> None:
    """Whoever adds a method says here what a tenant does with it."""
    assert PUBLIC - NO_STEPS == set(STEPS)
    assert PUBLIC >= NO_STEPS


def embed(words: Sequence[str]) -> list[list[float]]:
    return [[float(word.count(digit)) for digit in "012"] + [1.0] for word in words]


def act(step: Step, name: str) -> str:
    """One step: what it gives, or the name of its error."""
    try:
        return plain(STEPS[name](step))
    except ThreadloomError as error:
        return type(error).__name__


def plain(value: Any) -> str:
    """A value as text, without what two stores cannot have in common.

    Made up ids become numbers in the order in which they are shown; versions, sizes, random
    digits and the time of checkpoints, which is the system's, go.
    """
    text = repr(value)
    known: dict[str, int] = {}
    text = re.sub(
        r"[0-9a-f]{8}-[0-9a-f]{4}-6[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
        lambda found: f"#{known.setdefault(found[0], len(known))}",
        text,
    )
    text = re.sub(r"('ts': )'[^']+'", r"\1?", text)
    text = re.sub(r"\b((?:file_)?(?:bytes|version|revision)'?[=:] ?)(?:\d+|None)", r"\1?", text)
    return re.sub(r"(?<=\d)\.[0-9a-f]{12}\b", "", text)


def seen(manager: SessionManager) -> Any:
    """Everything that one tenant sees."""
    sessions = sorted(manager.list_sessions(), key=lambda info: info.id)
    return (
        plain(sessions),
        manager.count_sessions(),
        {info.id: texts(manager.messages(info.id)) for info in sessions},
        plain(list(manager.checkpointer().list(None))),
        plain(manager.store.search((), limit=99, refresh_ttl=False)),
        manager.store.list_namespaces(),
        sorted(item.key for item in manager.store.search(("sessions",), limit=99)),
    )


PARTS = 10
INDEX: Any = {"dims": 4, "embed": embed, "fields": ["t"]}


def play(kind: str, folder: Path, steps: Iterable[tuple[str, str | None, str, str]]) -> None:
    """Take steps on one store for all, and on a store for each; nobody is to see a difference."""
    clock = FrozenClock()
    with open_kind(kind, folder, "shared", clock=clock) as shared:
        together = {name: SessionManager(shared, tenant=name, index=INDEX) for name in TENANTS}
        apart = {name: SessionManager(MemoryStore(clock=clock), index=INDEX) for name in TENANTS}
        for number, (name, tenant, one, two) in enumerate([*FIRST, *steps]):
            clock.advance(7)
            given = []
            for place, managers in (("together", together), ("apart", apart)):
                own = folder / place / str(tenant)
                own.mkdir(parents=True, exist_ok=True)
                with pytest.MonkeyPatch.context() as patch:  # both make up the same ids
                    patch.setattr(os, "urandom", random.Random(number).randbytes)
                    given.append(act(Step(managers[tenant], one, two, number, own), name))
            assert given[0] == given[1], (number, name)
        for tenant in TENANTS:
            assert seen(together[tenant]) == seen(apart[tenant])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_method_reaches_another_tenant(kind: str, part: int, tmp_path: Path) -> None:
    names = sorted(STEPS)[part::PARTS]
    steps = [(name, tenant, one, "b") for name in names for tenant in TENANTS for one in ("a", "b")]
    play(kind, tmp_path, steps)


@pytest.mark.parametrize("kind", KINDS)
def test_tenants_on_one_store_are_as_if_each_had_its_own(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No step of one tenant, by any method, is seen by another or changes what it sees."""
    examples = settings().max_examples

    @settings(max_examples=examples if kind == "memory" else max(10, examples // 3))
    @given(st.lists(STEP, min_size=5, max_size=30))
    def check(steps: list[tuple[str, str | None, str, str]]) -> None:
        play(kind, tmp_path_factory.mktemp("tenants"), steps)

    check()
