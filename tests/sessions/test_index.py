"""Create, get, list, count, delete and change sessions, sync and async."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import pytest

from threadloom import (
    InvalidKey,
    MemoryStore,
    SerializationError,
    SessionConflict,
    SessionExists,
    SessionInfo,
    SessionManager,
    SessionNotFound,
)
from threadloom.testing import FrozenClock

from .conftest import Call


@pytest.mark.operation("create_session")
async def test_create_with_everything_and_get_it_back(call: Call, clock: FrozenClock) -> None:
    made = await call(
        "create_session",
        id="oslo",
        name="Oslo",
        owner="ana",
        tags=["b", "a", "b"],
        agent_name="guide",
        context={"channel_id": "c1", "room_id": " ", "sender_id": None},
        metadata={"budget": 900, "deep": {"list": [1, None, 2.5]}},
        ttl=timedelta(hours=1),
    )
    got = await call("get_session", "oslo")
    assert got == made
    assert (made.id, made.name, made.owner, made.agent_name) == ("oslo", "Oslo", "ana", "guide")
    assert made.tags == ("b", "a")
    assert made.context.model_dump() == {"channel_id": "c1", "room_id": None, "sender_id": None}
    assert made.metadata == {"budget": 900, "deep": {"list": [1, None, 2.5]}}
    assert made.created_at == made.updated_at == clock()
    assert made.expires_at == clock() + timedelta(hours=1)
    assert made.status == "idle"
    assert made.config == {"configurable": {"thread_id": "oslo", "session_id": "oslo"}}
    assert str(made) == "oslo"


@pytest.mark.operation("create_session")
async def test_an_id_is_made_up_where_none_is_given(call: Call) -> None:
    one, other = await call("create_session"), await call("create_session")
    assert one.id != other.id
    assert one.name == ""
    assert await call("count_sessions") == 2


@pytest.mark.operation("create_session")
async def test_an_id_that_is_taken(call: Call) -> None:
    first = await call("create_session", id="x", name="first")
    with pytest.raises(SessionExists, match="'x'"):
        await call("create_session", id="x", name="second")
    again = await call("create_session", id="x", name="second", if_exists="return")
    assert again == first
    with pytest.raises(ValueError, match="if_exists"):
        await call("create_session", id="y", if_exists="replace")
    assert await call("get_session", "y") is None


@pytest.mark.operation("get_session")
async def test_unknown_ids(call: Call) -> None:
    assert await call("get_session", "nobody") is None
    assert await call("delete_session", "nobody") is False
    assert await call("messages", "nobody") == []
    for name, args in (
        ("rename_session", ("nobody", "x")),
        ("tag_session", ("nobody", "x")),
        ("untag_session", ("nobody", "x")),
        ("update_session", ("nobody",)),
    ):
        with pytest.raises(SessionNotFound, match="nobody"):
            await call(name, *args)
    assert await call("count_sessions") == 0


@pytest.mark.operation("get_session")
async def test_a_session_info_will_do_for_an_id(call: Call) -> None:
    made = await call("create_session")
    assert (await call("rename_session", made, "A")).name == "A"
    assert (await call("get_session", made)).name == "A"
    assert await call("delete_session", made) is True


@pytest.mark.operation("rename_session")
async def test_rename_and_clear_the_name(call: Call, clock: FrozenClock) -> None:
    made = await call("create_session", id="x", name="A")
    clock.advance(1)
    renamed = await call("rename_session", "x", "n" * 3000)
    assert renamed.name == "n" * 3000
    assert renamed.version > made.version
    assert renamed.created_at == made.created_at
    assert renamed.updated_at == clock()
    assert (await call("rename_session", "x", "")).name == ""


@pytest.mark.operation("tag_session", "untag_session")
async def test_tags_keep_their_order_and_never_double(call: Call) -> None:
    await call("create_session", id="x", tags=["b"])
    assert (await call("tag_session", "x", "a", "B", "b", "a")).tags == ("b", "a", "B")
    assert (await call("untag_session", "x", "b", "not there")).tags == ("a", "B")
    with pytest.raises(InvalidKey):
        await call("tag_session", "x", "")


@pytest.mark.operation("update_session")
async def test_update_merges_metadata_and_adds_context(call: Call) -> None:
    await call("create_session", id="x", metadata={"a": 1, "b": 2}, context={"room_id": "r"})
    await call("update_session", "x", metadata={"b": 3, "c": {"d": 4}})
    after = await call(
        "update_session", "x", context={"channel_id": "c", "room_id": None}, owner="eva"
    )
    assert after.metadata == {"a": 1, "b": 3, "c": {"d": 4}}
    assert after.context.model_dump() == {"channel_id": "c", "room_id": "r", "sender_id": None}
    assert after.owner == "eva"
    assert (await call("update_session", "x", context={"room_id": "  "})).context == after.context
    with pytest.raises(InvalidKey, match="building"):
        await call("update_session", "x", context={"building": "7"})


@pytest.mark.operation("update_session")
async def test_update_with_an_expected_version(call: Call) -> None:
    made = await call("create_session", id="x")
    after = await call("update_session", "x", metadata={"a": 1}, expected_version=made.version)
    with pytest.raises(SessionConflict, match=str(made.version)):
        await call("update_session", "x", metadata={"a": 2}, expected_version=made.version)
    assert (await call("get_session", "x")) == after
    with pytest.raises(SessionConflict, match="does not exist"):
        await call("update_session", "y", expected_version=1, create=True)


@pytest.mark.operation("update_session")
async def test_update_may_create(call: Call) -> None:
    made = await call("update_session", "x", metadata={"a": 1}, owner="ana", create=True)
    assert (made.id, made.owner, made.metadata) == ("x", "ana", {"a": 1})
    assert await call("count_sessions") == 1


@pytest.mark.operation("create_session")
async def test_metadata_must_be_json(call: Call) -> None:
    for wrong in ({"a": object()}, {1: "a"}, {"a": float("nan")}, {"a": "\ud800"}):
        with pytest.raises(SerializationError):
            await call("create_session", id="x", metadata=wrong)
    assert await call("get_session", "x") is None
    big = await call("create_session", id="x", metadata={"n": 2**80, "s": "é\x00"})
    assert big.metadata == {"n": 2**80, "s": "é\x00"}


@pytest.mark.operation("get_session")
async def test_ttl_slides_with_activity_and_is_not_revived_by_reading(
    call: Call, clock: FrozenClock
) -> None:
    await call("create_session", id="x", name="old", ttl=timedelta(minutes=10))
    clock.advance(timedelta(minutes=9))
    await call("tag_session", "x", "a")
    clock.advance(timedelta(minutes=9))
    assert (await call("get_session", "x")).tags == ("a",)
    clock.advance(timedelta(minutes=1))
    assert await call("get_session", "x") is None
    assert await call("list_sessions") == []
    assert await call("count_sessions") == 0
    with pytest.raises(SessionNotFound):
        await call("tag_session", "x", "b")
    fresh = await call("create_session", id="x")
    assert (fresh.name, fresh.tags, fresh.expires_at) == ("", (), None)


@pytest.mark.operation("update_session")
async def test_ttl_can_be_set_and_lifted(call: Call, clock: FrozenClock) -> None:
    await call("create_session", id="x")
    set_now = await call("update_session", "x", ttl=timedelta(minutes=1))
    assert set_now.expires_at == clock() + timedelta(minutes=1)
    lifted = await call("update_session", "x", ttl=None)
    assert lifted.expires_at is None
    clock.advance(timedelta(days=1))
    assert await call("get_session", "x") is not None
    with pytest.raises(ValueError, match="positive"):
        await call("update_session", "x", ttl=timedelta(0))


@pytest.mark.operation("get_session")
async def test_what_an_expired_session_held_is_gone_with_it(
    call: Call, sessions: SessionManager, clock: FrozenClock
) -> None:
    await call("create_session", id="x", ttl=timedelta(minutes=1))
    sessions.memory("x").add_user_message("secret")
    clock.advance(timedelta(minutes=1))
    assert sessions.memory.load("x") == []
    sessions.memory("x").add_user_message("new life")
    assert [message.content for message in sessions.messages("x")] == ["new life"]


@pytest.mark.operation("delete_session")
async def test_delete_is_all_of_it(call: Call, sessions: SessionManager) -> None:
    await call("create_session", id="x")
    sessions.memory("x").add_user_message("hello")
    sessions.memory.set_summary("x", "they said hello")
    await call("create_session", id="y")
    sessions.memory("y").add_user_message("other")
    assert await call("delete_session", "x") is True
    assert await call("delete_session", "x") is False
    assert sessions.memory.load("x") == []
    assert sessions.memory.get_summary("x") is None
    assert [message.content for message in sessions.messages("y")] == ["other"]


@pytest.mark.operation("delete_session")
async def test_delete_of_what_has_changed_is_refused(call: Call, sessions: SessionManager) -> None:
    read = await call("create_session", id="x")
    sessions.memory("x").add_user_message("hello")
    with pytest.raises(SessionConflict, match="expected at version"):
        await call("delete_session", "x", expected_version=read.version)
    assert [message.content for message in sessions.messages("x")] == ["hello"]
    now = await call("get_session", "x")
    assert await call("delete_session", "x", expected_version=now.version) is True
    with pytest.raises(SessionConflict, match="does not exist"):
        await call("delete_session", "x", expected_version=now.version)


@pytest.mark.operation("list_sessions")
async def test_lists_are_ordered_with_ties_by_id(call: Call, clock: FrozenClock) -> None:
    for id in ("b", "a", "c"):
        await call("create_session", id=id)
    clock.advance(1)
    await call("create_session", id="0")
    clock.advance(1)
    await call("tag_session", "b", "t")
    assert [s.id for s in await call("list_sessions")] == ["a", "b", "c", "0"]
    assert [s.id for s in await call("list_sessions", descending=True)] == ["0", "c", "b", "a"]
    newest = await call("list_sessions", order_by="updated_at")
    assert [s.id for s in newest] == ["b", "0", "c", "a"]
    oldest = await call("list_sessions", order_by="updated_at", descending=False)
    assert [s.id for s in oldest] == ["a", "c", "0", "b"]


@pytest.mark.operation("list_sessions")
@pytest.mark.parametrize("order_by", ["created_at", "updated_at"])
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_are_complete_and_without_repeats(
    call: Call, clock: FrozenClock, order_by: str, descending: bool
) -> None:
    for number in range(23):
        await call("create_session", id=f"s{number:02}", owner="ana" if number % 2 else "eva")
        if number % 3 == 0:
            clock.advance(1)
    order = {"order_by": order_by, "descending": descending}
    for filters in ({}, {"owner": "ana"}, {"owner": "ana", "metadata": {"no": "such"}}):
        whole = await call("list_sessions", **order, **filters)
        assert whole.cursor is None
        by_cursor: list[SessionInfo] = []
        after = None
        while True:
            page = await call("list_sessions", limit=4, after=after, **order, **filters)
            by_cursor += page
            if page.cursor is None:
                break
            assert len(page) == 4
            after = page.cursor
        assert by_cursor == whole
        by_info: list[SessionInfo] = []
        while page := await call(
            "list_sessions", limit=5, after=by_info[-1] if by_info else None, **order, **filters
        ):
            by_info += page
        assert by_info == whole
        assert await call("count_sessions", **filters) == len(whole)


@pytest.mark.operation("list_sessions", "count_sessions")
async def test_filters(call: Call, clock: FrozenClock) -> None:
    await call("create_session", id="1", owner="ana", tags=["a", "b"], agent_name="x")
    clock.advance(1)
    await call(
        "create_session",
        id="2",
        owner="ana",
        tags=["b"],
        context={"room_id": "r", "channel_id": "c"},
        metadata={"n": 1, "deep": {"a": 1, "b": 2}},
    )
    clock.advance(1)
    await call("create_session", id="3", owner="Ana", metadata={"n": True, "deep": {"a": 1}})

    async def ids(**filters: object) -> str:
        return "".join(session.id for session in await call("list_sessions", **filters))

    assert await ids(owner="ana") == "12"
    assert await ids(tags="b") == "12"
    assert await ids(tags=["a", "b"]) == "1"
    assert await ids(tags=[]) == "123"
    assert await ids(agent_name="x") == "1"
    assert await ids(status="idle") == "123"
    assert await ids(status="error") == ""
    assert await ids(context={"room_id": "r"}) == "2"
    assert await ids(metadata={"n": 1}) == "2"
    assert await ids(metadata={"n": True}) == "3"
    assert await ids(metadata={"deep": {"a": 1, "b": 2}}) == "2"
    assert await ids(created_since=clock() - timedelta(seconds=1)) == "23"
    assert await ids(updated_since=clock()) == "3"
    assert await ids(owner="ana", tags="b", created_since=clock() - timedelta(seconds=1)) == "2"
    assert await ids(owner="%") == await ids(owner="' OR 1=1 --") == ""
    with pytest.raises(ValueError, match="status"):
        await ids(status="asleep")
    with pytest.raises(TypeError, match="colour"):
        await ids(colour="red")
    with pytest.raises(ValueError, match="time zone"):
        await ids(created_since=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.operation("list_sessions")
async def test_limits_and_cursors_that_make_no_sense(call: Call) -> None:
    for id in "abc":
        await call("create_session", id=id)
    assert await call("list_sessions", limit=0) == []
    page = await call("list_sessions", limit=1)
    with pytest.raises(InvalidKey, match="order"):
        await call("list_sessions", order_by="updated_at", after=page.cursor)
    for wrong in ("", "nonsense", "W10="):
        with pytest.raises(InvalidKey, match="cursor"):
            await call("list_sessions", after=wrong)
    with pytest.raises(ValueError, match="order_by"):
        await call("list_sessions", order_by="name")


@pytest.mark.operation("create_session")
async def test_ids_that_cannot_be(call: Call) -> None:
    for wrong in ("", "x" * 1025, "a\x00b", "\ud800", 1, None, b"x"):
        with pytest.raises(InvalidKey):
            await call("get_session", wrong)
    assert (await call("create_session", id="x" * 1024)).id == "x" * 1024


def test_the_manager_reads_its_own_clock() -> None:
    moments = iter([datetime(2030, 1, 1, tzinfo=UTC)] * 10)
    with SessionManager("memory://", clock=lambda: next(moments)) as sessions:
        assert sessions.create_session().created_at == datetime(2030, 1, 1, tzinfo=UTC)


def test_a_store_that_was_handed_in_stays_open() -> None:
    with MemoryStore() as store:
        with SessionManager(store) as sessions:
            sessions.create_session(id="x")
        assert SessionManager(store).get_session("x") is not None


@pytest.mark.parametrize("kind", [SessionManager])
def test_every_operation_has_a_twin_with_one_signature(kind: type) -> None:
    names = {name for name in dir(kind) if not name.startswith("_")}
    one, other = (inspect.signature(getattr(kind, f"{a}iter_messages")) for a in ("", "a"))
    assert one.parameters == other.parameters
    names -= {"iter_messages", "aiter_messages"}  # these give iterators
    operations = [name for name in names if inspect.iscoroutinefunction(getattr(kind, name))]
    assert len(operations) >= 12
    for name in operations:
        assert name.startswith("a")
        twin, other = getattr(kind, name[1:]), getattr(kind, name)
        assert not inspect.iscoroutinefunction(twin)
        assert inspect.signature(twin) == inspect.signature(other), name
    plain = names - set(operations)
    plain -= {"checkpointer", "memory", "shared_state", "store", "stream", "turn"}
    assert {f"a{name}" for name in plain} == set(operations)
