"""The same things done to the framework's own store and to ours, with the same results."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ToolCallPart
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.usage import RunUsage

from pydantic_ai_fakes import nothing, says, user
from threadloom import SessionManager
from threadloom_pydantic_ai import ThreadloomConversationStore
from threadloom_pydantic_ai.showing import to_langchain

IDS = ("a", "b/c", "d%", "long " * 40)
SCOPES = (None, "ana", "eva", "")


class Pair:
    """Two stores to which the same is done; entries are told apart by the order of their coming."""

    def __init__(self, ours: ThreadloomConversationStore) -> None:
        self.ours, self.theirs = ours, InMemoryConversationStore()
        self.names: dict[str, int] = {}
        self.entries: list[tuple[str, str]] = []
        self.loaded: dict[str, tuple[Conversation, Conversation]] = {}

    async def both(self, act: Callable[[ConversationStore, int], Awaitable[Any]]) -> Any:
        """What both did, after making sure that it is the same; None if both refused."""
        results: list[Any] = []
        for side, store in enumerate((self.theirs, self.ours)):
            try:
                results.append(await act(store, side))
            except UserError as error:
                results.append(error)
        theirs, ours = results
        if isinstance(theirs, UserError) or isinstance(ours, UserError):
            assert type(ours) is type(theirs), (theirs, ours)
            return None
        if isinstance(theirs, list) and theirs and isinstance(theirs[0], ConversationEntry):
            self.learn(theirs, ours)
        assert self.plain(ours) == self.plain(theirs)
        return theirs, ours

    def learn(self, theirs: list[ConversationEntry], ours: list[ConversationEntry]) -> None:
        assert len(theirs) == len(ours)
        for one, other in zip(theirs, ours, strict=True):
            if one.id not in self.names:
                self.names[one.id] = self.names[other.id] = len(self.entries)
                self.entries.append((one.id, other.id))

    def plain(self, found: Any) -> Any:
        """A result without the ids that each store mints."""
        if isinstance(found, list):
            return [self.plain(one) for one in found]
        if isinstance(found, ConversationEntry):
            return self.names[found.id], self.name(found.parent_id), found.message
        if isinstance(found, ConversationRecord):
            return dataclasses.replace(
                found,
                head_id=self.name(found.head_id),
                forked_at=self.name(found.forked_at),
                branches=[self.name(tip) for tip in found.branches],
                revision="",
                updated_at=None,
            )
        if isinstance(found, Conversation):
            return dataclasses.replace(found, revision=None if found.revision is None else "")
        return found

    def name(self, id: str | None) -> Any:
        return None if id is None else self.names[id]


async def _walk(ours: ThreadloomConversationStore, seed: int, steps: int) -> set[str]:
    dice = random.Random(seed)
    pair = Pair(ours)
    done: set[str] = set()
    written = 0

    def message() -> ModelMessage:
        nonlocal written
        written += 1
        return dice.choice([user, says, user, says, lambda _: nothing()])(f"text {written}")

    for _ in range(steps):
        id, scope = dice.choice(IDS), dice.choice([None, None, *SCOPES])
        kind = dice.choice(
            "load load extend extend extend rewrite new branch branch fork delete list entries"
            " window plain".split()
        )
        if kind == "load":
            limit = dice.choice([None, None, 0, 1, 3])
            loaded = await pair.both(
                lambda store, _, id=id, limit=limit: store.load(id, limit=limit)
            )
            if loaded and loaded[0] is not None:
                pair.loaded[id] = loaded
        elif kind == "new":
            messages = [message() for _ in range(dice.randrange(3))]
            made = tuple(Conversation(conversation_id=id, messages=list(messages)) for _ in "12")
            saved = await pair.both(
                lambda store, side, made=made, scope=scope: store.save(made[side], scope=scope)
            )
            if saved is not None:
                pair.loaded[id] = made
        elif kind in {"extend", "rewrite", "window", "plain"} and id in pair.loaded:
            copies = pair.loaded[id]
            fresh = [message() for _ in range(dice.randrange(3))]
            keep = dice.randrange(len(copies[0].messages) + 1)
            deferred = DeferredToolRequests(
                approvals=[ToolCallPart("pay", {"sum": written}, f"c{written}")],
                metadata={f"c{written}": {"why": "dear"}},
            )
            for copy in copies:
                if kind == "rewrite":
                    copy.messages = copy.messages[:keep]
                if kind == "plain":
                    copy.new_message_index = None
                copy.messages = [*copy.messages, *fresh]
                copy.usage = RunUsage(requests=written, input_tokens=3 * written)
                copy.deferred_tool_requests = deferred if written % 3 == 0 else None
            await pair.both(
                lambda store, side, copies=copies, scope=scope: store.save(
                    copies[side], scope=scope
                )
            )
        elif kind == "branch" and id in pair.loaded and pair.entries:
            at, entry = dice.randrange(6), dice.choice(pair.entries)
            by_entry = dice.random() < 0.5
            copies = pair.loaded[id]
            moved = await pair.both(
                lambda store, side, id=id, at=at, entry=entry, copies=copies, by=by_entry: (
                    store.branch(
                        id,
                        at=None if by else at,
                        from_entry=entry[side] if by else None,
                        expected_revision=copies[side].revision,
                    )
                )
            )
            if moved is not None:
                pair.loaded[id] = moved
        elif kind == "fork":
            target = dice.choice(IDS)
            at = dice.choice([None, 0, 1, 2, 4])
            entry = dice.choice(pair.entries) if pair.entries and dice.random() < 0.3 else None
            forked = await pair.both(
                lambda store, side, id=id, at=at, entry=entry, target=target, scope=scope: (
                    store.fork(
                        id,
                        at=None if entry else at,
                        from_entry=entry[side] if entry else None,
                        new_conversation_id=target,
                        scope=scope,
                    )
                )
            )
            if forked is not None:
                pair.loaded[target] = forked
        elif kind == "delete" and dice.random() < 0.4:
            await pair.both(lambda store, _, id=id, scope=scope: store.delete(id, scope=scope))
        elif kind == "list":
            limit = dice.choice([None, 0, 1, 2])
            await pair.both(
                lambda store, _, scope=scope, limit=limit: store.list_conversations(
                    scope=scope, limit=limit
                )
            )
        elif kind == "entries":
            await pair.both(lambda store, _, id=id: store.load_entries(id))
        else:
            continue
        done.add(kind)
        await _check(pair)
    return done


async def _check(pair: Pair) -> None:
    """Records, histories and what is shown are the same for every conversation."""
    for id in IDS:
        await pair.both(lambda store, _, id=id: store.load_entries(id))
        await pair.both(lambda store, _, id=id: store.read_record(id))
        loaded = await pair.theirs.load(id)
        expected = [] if loaded is None else loaded.messages
        shown = pair.ours.sessions.messages(id)
        want = [one for message in expected for one in to_langchain(message)]
        assert [(one.type, one.content) for one in shown] == [
            (one.type, one.content) for one in want
        ]
    records = await pair.both(lambda store, _: store.read_records())
    for theirs, ours in zip(*records, strict=True):
        for tip, own in zip(theirs.branches, ours.branches, strict=True):
            found = pair.plain(await pair.ours.read_history(own))
            assert found == pair.plain(await pair.theirs.read_history(tip))


@pytest.mark.parametrize("seed", range(4))
async def test_a_random_walk_is_the_same_as_in_the_framework_s_store(
    store: ThreadloomConversationStore, seed: int
) -> None:
    await _walk(store, seed, 60)
    assert store.sessions.check().problems == ()


@pytest.mark.timeout(900)
@pytest.mark.soak(full=60)
async def test_long_walks(rounds: int) -> None:
    done: set[str] = set()
    for seed in range(rounds):
        with SessionManager("memory://") as sessions:
            done |= await _walk(ThreadloomConversationStore(sessions), 1000 + seed, 120)
    wanted = {"load", "new", "extend", "rewrite", "window", "plain", "branch", "fork", "delete"}
    assert done >= {*wanted, "list", "entries"}


async def test_a_walk_that_forgets_where_entries_are(url: str) -> None:
    """Every look at an entry goes through all conversations."""

    class Forgetful(ThreadloomConversationStore):
        def _remember(self, record: ConversationRecord) -> None:
            pass

    async with Forgetful(url) as store:
        await _walk(store, 77, 50)


async def test_what_the_framework_refuses(store: ThreadloomConversationStore) -> None:
    conversation = Conversation(conversation_id="x", messages=[user("1"), says("2")])
    await store.save(conversation, scope="ana")
    stale = await store.load("x")
    await store.save(conversation)
    with pytest.raises(ConversationConflict):
        await store.save(stale)
    with pytest.raises(ConversationConflict):
        await store.save(conversation, scope="eva")
    with pytest.raises(ConversationConflict):
        await store.save(Conversation(conversation_id="x"))
    with pytest.raises(ConversationConflict):
        await store.delete_record("x", expected_revision=stale.revision)
    with pytest.raises(ConversationConflict):
        await store.delete_record("y", expected_revision="1")
    record = await store.read_record("x")
    nowhere = dataclasses.replace(record, conversation_id="z", head_id="nowhere")
    with pytest.raises(ConversationConflict):
        await store.write_record(nowhere, expected_revision=None)
    assert store.sessions.get_session("z") is None
    with pytest.raises(KeyError):
        await store.read_entry("nowhere")
    odd = ConversationEntry(parent_id=record.head_id, message=user("3"))
    with pytest.raises(UserError):
        await store.write_record(record, new_entries=[odd], expected_revision=record.revision)
    loose = ConversationEntry(parent_id=None, message=user("4"))
    with pytest.raises(UserError):
        await store.write_record(
            dataclasses.replace(record, head_id=loose.id),
            new_entries=[odd, loose],
            expected_revision=record.revision,
        )
    assert [str(m.parts[0].content) for m in (await store.load("x")).messages] == ["1", "2"]
