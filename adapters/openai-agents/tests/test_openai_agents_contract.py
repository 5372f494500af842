"""The same scenarios on the SDK's own SQLite session and on ours: equal results."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    RunConfig,
    Runner,
    function_tool,
    input_guardrail,
)
from agents.memory import Session, SessionSettings, SQLiteSession

from openai_agents_fakes import calls, guide, says, scripted
from threadloom import SessionManager
from threadloom_openai_agents import ThreadloomSession

Make = Callable[..., Any]
Scenario = Callable[[Make], Awaitable[Any]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@scenario
async def items_come_back_in_order(make: Make) -> Any:
    session = make("a")
    await session.add_items([user("1"), user("2")])
    await session.add_items([user("3")])
    return await session.get_items()


@scenario
async def limits(make: Make) -> Any:
    session = make("a")
    await session.add_items([user(str(n)) for n in range(7)])
    return [await session.get_items(limit) for limit in (None, 0, 1, 3, 7, 8, 1000, -1, -3)]


@scenario
async def limits_of_settings(make: Make) -> Any:
    found = []
    for settings in (
        None,
        SessionSettings(),
        SessionSettings(limit=2),
        SessionSettings(limit=0),
        SessionSettings(limit=-1),
        SessionSettings(limit=100),
    ):
        session = make("a", session_settings=settings)
        await session.add_items([user("x"), user("y")])
        found.append([await session.get_items(limit) for limit in (None, 0, 1, -1)])
        found.append([session.session_settings.limit])
    session = make("a")
    session.session_settings = None
    found.append(await session.get_items())
    return found


@scenario
async def nothing_is_added(make: Make) -> Any:
    session = make("a")
    await session.add_items([])
    return await session.get_items(), await session.pop_item()


@scenario
async def popping(make: Make) -> Any:
    session = make("a")
    found = [await session.pop_item()]
    await session.add_items([user("1"), user("2"), user("3")])
    found.append(await session.pop_item())
    await session.add_items([user("4")])
    found.append(await session.get_items())
    found += [await session.pop_item() for _ in range(4)]
    found.append(await session.get_items())
    await session.add_items([user("5")])
    return [*found, await session.get_items()]


@scenario
async def clearing(make: Make) -> Any:
    session, other = make("a"), make("b")
    await session.clear_session()
    await session.add_items([user("1")])
    await other.add_items([user("2")])
    await session.clear_session()
    found = [await session.get_items(), await session.pop_item(), await other.get_items()]
    await session.add_items([user("3")])
    return [*found, await session.get_items()]


@scenario
async def odd_content(make: Make) -> Any:
    session = make("a/b:c%'; DROP TABLE agent_messages; --")
    await session.add_items(
        [
            user("'; DROP TABLE agent_messages; --"),
            user("🌍 Ωλλ \u0000 \n\t"),
            user(""),
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "x", "n": 2**70, "f": 1.5}],
            },
            {"type": "unheard_of", "deep": [[None, True, {"": {"a": []}}]]},
        ]
    )
    return await session.get_items(), await session.get_items(2)


@scenario
async def the_same_item_twice(make: Make) -> Any:
    session = make("a")
    item = {"id": "__fake_id__", **user("again")}
    await session.add_items([item, item])
    await session.add_items([item])
    return await session.get_items(), await session.pop_item(), await session.get_items()


@scenario
async def tools_over_turns(make: Make) -> Any:
    session, (agent, model) = make("a"), guide()
    first = await Runner.run(agent, "weather in Oslo", session=session)
    second = await Runner.run(agent, "and now?", session=session)
    return first.final_output, second.final_output, await session.get_items(), model.seen


@scenario
async def streamed(make: Make) -> Any:
    session, (agent, model) = make("a"), guide()
    outputs = []
    for text in ("weather in Rome", "and now?"):
        result = Runner.run_streamed(agent, text, session=session)
        async for _ in result.stream_events():
            pass
        outputs.append(result.final_output)
    return outputs, await session.get_items(), model.seen


@scenario
async def run_sync(make: Make) -> Any:
    session, (agent, model) = make("a"), guide()

    def in_thread() -> list[Any]:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            texts = ("weather in Oslo", "and?")
            return [Runner.run_sync(agent, text, session=session).final_output for text in texts]
        finally:
            loop.close()

    return await asyncio.to_thread(in_thread), await session.get_items(), model.seen


@scenario
async def conversations_stay_apart(make: Make) -> Any:
    agent, model = guide()
    for id, text in (("1", "hello"), ("10", "hi"), ("1", "again")):
        await Runner.run(agent, text, session=make(id))
    return model.seen, await make("1").get_items(), await make("10").get_items()


@scenario
async def limits_of_runs(make: Make) -> Any:
    session, (agent, model) = make("a", session_settings=SessionSettings(limit=1)), guide()
    for config in (None, RunConfig(session_settings=SessionSettings(limit=3)), None):
        await Runner.run(agent, "hello", session=session, run_config=config)
    return model.seen, await session.get_items(100)


@scenario
async def input_callbacks(make: Make) -> Any:
    session, (agent, model) = make("a"), guide()
    await Runner.run(agent, "hello", session=session)
    config = RunConfig(session_input_callback=lambda history, new: [*history[:1], *new])
    await Runner.run(agent, [user("second")], session=session, run_config=config)
    return model.seen, await session.get_items()


@scenario
async def parallel_calls(make: Make) -> Any:
    two = [calls("weather", f'{{"city": "{c}"}}', f"call_{c}") for c in ("Oslo", "Rome")]
    session, (agent, model) = make("a"), guide(scripted(two, [says("Both.")], [says("Yes.")]))
    for text in ("compare", "sure?"):
        await Runner.run(agent, text, session=session)
    return model.seen, await session.get_items()


@scenario
async def handing_off(make: Make) -> Any:
    expert, seen = guide(scripted([says("Ask me.")], [says("Once more.")]))
    first, _ = guide(
        scripted([calls("transfer_to_guide", "{}", "call_h")], [says("Back here.")]),
        handoffs=[expert],
    )
    session = make("a")
    await Runner.run(first, "hand me over", session=session)
    await Runner.run(first, "and?", session=session)
    return seen.seen, await session.get_items()


@scenario
async def a_tool_fails(make: Make) -> Any:
    @function_tool
    def broken() -> str:
        """Fails."""
        raise ValueError("no")

    session = make("a")
    agent, model = guide(scripted([calls("broken", "{}", "call_1")], [says("It failed.")]))
    agent.tools.append(broken)
    await Runner.run(agent, "try", session=session)
    return model.seen, await session.get_items()


@scenario
async def too_many_turns(make: Make) -> Any:
    again = [[calls("weather", '{"city": "X"}', f"call_{n}")] for n in range(2)]
    session, (agent, model) = make("a"), guide(scripted(*again, [says("Fine.")]))
    with pytest.raises(MaxTurnsExceeded):
        await Runner.run(agent, "loop", session=session, max_turns=2)
    await Runner.run(agent, "go on", session=session)
    return model.seen, await session.get_items()


@scenario
async def a_guardrail_trips(make: Make) -> Any:
    @input_guardrail
    async def guard(context: Any, agent: Agent[Any], given: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(
            output_info=None, tripwire_triggered="bad" in str(given[-1:])
        )

    session, (agent, model) = make("a"), guide(input_guardrails=[guard])
    await Runner.run(agent, [user("good")], session=session)
    with pytest.raises(InputGuardrailTripwireTriggered):
        await Runner.run(agent, [user("bad")], session=session)
    return await session.get_items(), len(model.seen)


@scenario
async def an_approval(make: Make) -> Any:
    @function_tool(needs_approval=True)
    def pay(amount: int) -> str:
        """Pays."""
        return f"paid {amount}"

    both = [calls("weather", '{"city": "Oslo"}', "call_1"), calls("pay", '{"amount": 3}', "call_2")]
    session, (agent, model) = make("a"), guide(scripted(both, [says("Done.")], [says("Bye.")]))
    agent.tools.append(pay)
    result = await Runner.run(agent, "pay", session=session)
    before = await session.get_items()
    state = result.to_state()
    for one in result.interruptions:
        state.approve(one)
    result = await Runner.run(agent, state, session=session)
    await Runner.run(agent, "thanks", session=session)
    return before, result.final_output, model.seen, await session.get_items()


@pytest.mark.parametrize("name", SCENARIOS)
async def test_equal_to_the_sdks_own_session(name: str, sessions: SessionManager) -> None:
    theirs: dict[str, SQLiteSession] = {}
    opened: list[SQLiteSession] = []

    def bundled(id: str, **options: Any) -> SQLiteSession:
        if id not in theirs or options:
            theirs[id] = SQLiteSession(id, **options)
            opened.append(theirs[id])
        return theirs[id]

    made: list[str] = []

    def ours(id: str, **options: Any) -> ThreadloomSession:
        if options and id in made:  # as with the bundled one: in memory, each object is new
            sessions.delete_session(id)
        made.append(id)
        return ThreadloomSession(id, sessions, **options)

    try:
        expected = await SCENARIOS[name](bundled)
    finally:
        for session in opened:
            session.close()
    assert await SCENARIOS[name](ours) == expected
    for id in made:
        shown = sessions.messages(id)
        items = await ThreadloomSession(id, sessions).get_items()
        assert len(shown) <= len(items)
        asked = {call["id"] for m in shown for call in getattr(m, "tool_calls", ())}
        results = [m for m in shown if m.type == "tool"]
        assert {m.tool_call_id for m in results} <= asked
        assert all(m.name for m in results)
        assert sessions.get_session(id) is None or not sessions.check(id).problems


def test_the_scenarios_can_tell_sessions_apart() -> None:
    class Forgetful(SQLiteSession):
        async def get_items(self, limit: int | None = None) -> list[Any]:
            return (await super().get_items(limit))[-2:]

    async def run(cls: type[SQLiteSession]) -> Any:
        made: list[SQLiteSession] = []

        def make(id: str, **options: Any) -> SQLiteSession:
            made.append(cls(id, **options))
            return made[-1]

        try:
            return copy.deepcopy(await tools_over_turns(make))
        finally:
            for session in made:
                session.close()

    assert asyncio.run(run(SQLiteSession)) != asyncio.run(run(Forgetful))


async def test_it_is_a_session_of_the_sdk(sessions: SessionManager) -> None:
    session = ThreadloomSession("a", sessions)
    assert isinstance(session, Session)
    assert ThreadloomSession("a", sessions, session_settings={"limit": 3}).session_settings == (
        SessionSettings(limit=3)
    )
