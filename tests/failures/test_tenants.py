"""Tenants on one store: nothing that one does is seen by another."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Sequence
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
SESSION = st.sampled_from(["a", "b", "~a", "sessions", "~b"])
MAKING = ["create_session", "checkpointer.put", "memory.append", "store.batch", "store.put"]
NAMES = st.sampled_from([*STEPS, *MAKING, *MAKING])
STEP = st.tuples(NAMES, st.sampled_from(TENANTS), SESSION, SESSION)


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

    Made up ids become numbers in the order in which they are shown; versions, sizes and random
    digits go.
    """
    text = repr(value)
    known: dict[str, int] = {}
    text = re.sub(
        r"[0-9a-f]{8}-[0-9a-f]{4}-6[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
        lambda found: f"#{known.setdefault(found[0], len(known))}",
        text,
    )
    text = re.sub(r"\b((?:file_)?(?:bytes|version)'?[=:] ?)(?:\d+|None)", r"\1?", text)
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


@pytest.mark.parametrize("kind", KINDS)
def test_tenants_on_one_store_are_as_if_each_had_its_own(
    kind: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step of one tenant, by any method, is seen by another or changes what it sees."""
    examples = settings().max_examples
    index: Any = {"dims": 4, "embed": embed, "fields": ["t"]}

    @settings(max_examples=examples if kind == "memory" else max(10, examples // 5))
    @given(st.lists(STEP, max_size=25))
    def check(steps: list[tuple[str, str | None, str, str]]) -> None:
        folder = tmp_path_factory.mktemp("tenants")
        clock = FrozenClock()
        with open_kind(kind, folder, "shared", clock=clock) as shared:
            together = {name: SessionManager(shared, tenant=name, index=index) for name in TENANTS}
            apart = {
                name: SessionManager(MemoryStore(clock=clock), index=index) for name in TENANTS
            }
            for number, (name, tenant, one, two) in enumerate(steps):
                clock.advance(7)
                given = []
                for place, managers in (("together", together), ("apart", apart)):
                    own = folder / place / str(tenant)
                    own.mkdir(parents=True, exist_ok=True)
                    # Both make up the same ids.
                    monkeypatch.setattr(os, "urandom", random.Random(number).randbytes)
                    given.append(act(Step(managers[tenant], one, two, number, own), name))
                    monkeypatch.undo()
                assert given[0] == given[1], (number, name)
            for tenant in TENANTS:
                assert seen(together[tenant]) == seen(apart[tenant])

    check()
