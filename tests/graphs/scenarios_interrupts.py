"""Runs that stop for a person, and go on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from .harness import Run, scenario, thread
from .models import Log, chain_of, says


@scenario()
async def one_question(run: Run) -> None:
    calls: Counter[str] = Counter()

    def ask(state: Log) -> dict[str, Any]:
        calls["ask"] += 1
        answer = interrupt({"question": "which", "choices": ("a", "b")})
        return {"log": [f"answer {answer!r}"]}

    builder = chain_of("before")
    builder.add_node("ask", ask)
    builder.add_node("after", says("after"))
    builder.add_edge("before", "ask")
    builder.add_edge("ask", "after")
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"log": []})
    assert result["__interrupt__"][0].value == {"question": "which", "choices": ("a", "b")}
    assert (await run.state(graph)).next == ("ask",)
    await run.stored()
    # Without an answer it asks again; the id of the question stays.
    again = await run.invoke(graph, None)
    assert again["__interrupt__"][0].id == result["__interrupt__"][0].id
    result = await run.invoke(graph, Command(resume=("a", 1)))
    assert result["log"] == ["before", "answer ('a', 1)", "after"]
    assert calls["ask"] == 3
    await run.close_of(graph)


@scenario()
async def falsy_answers(run: Run) -> None:
    """None, 0, "" and [] are answers, too."""
    builder = StateGraph(Log)
    builder.add_node("ask", lambda state: {"log": [repr(interrupt("?"))]})
    builder.add_edge(START, "ask")
    graph = builder.compile(run.saver)
    for number, answer in enumerate((0, "", [], False)):
        config = thread(f"t{number}")
        await run.invoke(graph, {"log": []}, config)
        result = await run.invoke(graph, Command(resume=answer), config)
        assert result["log"] == [repr(answer)]
        await run.close_of(graph, config)


@scenario()
async def three_questions_in_one_node(run: Run) -> None:
    calls: Counter[str] = Counter()

    def ask(state: Log) -> dict[str, Any]:
        calls["ask"] += 1
        answers = [interrupt(f"question {n}") for n in range(3)]
        return {"log": answers}

    builder = StateGraph(Log)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"log": []})
    for number in range(3):
        assert result["__interrupt__"][0].value == f"question {number}"
        await run.state(graph)
        await run.stored()
        result = await run.invoke(graph, Command(resume=f"answer {number}"))
    assert result["log"] == ["answer 0", "answer 1", "answer 2"]
    assert calls["ask"] == 4
    await run.close_of(graph)


def parallel_questions(calls: Counter[str]) -> StateGraph[Any]:
    def ask(item: str) -> dict[str, Any]:
        calls[f"ask {item}"] += 1
        return {"log": [f"{item}: {interrupt(item)}"]}

    def work(state: Log) -> dict[str, Any]:
        calls["work"] += 1
        return {"log": ["work"]}

    builder = StateGraph(Log)
    builder.add_node("ask", ask)
    builder.add_node("work", work)
    builder.add_node("end", says("end"))
    builder.add_conditional_edges(
        START, lambda s: ["work", *(Send("ask", w) for w in "cab")], ["ask", "work"]
    )
    builder.add_edge("ask", "end")
    builder.add_edge("work", "end")
    return builder


@scenario()
async def answered_one_by_one(run: Run) -> None:
    """Three parallel questions and a node that has nothing to ask, which runs once."""
    calls: Counter[str] = Counter()
    graph = parallel_questions(calls).compile(run.saver)
    await run.invoke(graph, {"log": []})
    await run.stored()
    for answered in range(3):
        left = (await run.state(graph)).interrupts
        assert len(left) == 3 - answered
        result = await run.invoke(graph, Command(resume={left[-1].id: f"answer {answered}"}))
    assert result["log"] == ["work", "c: answer 2", "a: answer 1", "b: answer 0", "end"]
    assert calls["work"] == 1
    await run.close_of(graph)


@scenario()
async def answered_all_at_once(run: Run) -> None:
    calls: Counter[str] = Counter()
    graph = parallel_questions(calls).compile(run.saver)
    await run.invoke(graph, {"log": []})
    left = (await run.state(graph)).interrupts
    # A bare answer does not say whose it is.
    await run.invoke(graph, Command(resume="whose?"), expect=RuntimeError)
    answers = {i.id: str(i.value).upper() for i in left}
    result = await run.invoke(graph, Command(resume=answers))
    assert result["log"] == ["work", "c: C", "a: A", "b: B", "end"]
    assert calls == {"work": 1, "ask a": 2, "ask b": 2, "ask c": 2}
    await run.close_of(graph)


@scenario()
async def answer_with_update_and_goto(run: Run) -> None:
    builder = chain_of("before")
    builder.add_node("ask", lambda state: {"log": [f"{interrupt('?')} of {len(state['log'])}"]})
    builder.add_node("extra", says("extra"))
    builder.add_edge("before", "ask")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"log": []})
    command = Command(resume="yes", update={"log": ["slipped in"]}, goto="extra")
    result = await run.invoke(graph, command)
    assert "extra" in result["log"]
    await run.close_of(graph)


@scenario()
async def new_input_instead_of_an_answer(run: Run) -> None:
    builder = StateGraph(Log)
    builder.add_node("ask", lambda state: {"log": [interrupt(f"at {len(state['log'])}")]})
    builder.add_edge(START, "ask")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"log": ["one"]})
    result = await run.invoke(graph, {"log": ["two"]})
    assert result["__interrupt__"][0].value == "at 2"
    result = await run.invoke(graph, Command(resume="done"))
    assert result["log"] == ["one", "two", "done"]
    await run.close_of(graph)


@scenario()
async def breakpoints_before_and_after(run: Run) -> None:
    graph = chain_of("a", "b", "c").compile(
        run.saver, interrupt_before=["b"], interrupt_after=["b"]
    )
    await run.invoke(graph, {"log": []})
    assert (await run.state(graph)).next == ("b",)
    await run.invoke(graph, None)
    assert (await run.state(graph)).next == ("c",)
    await run.stored()
    assert (await run.invoke(graph, None))["log"] == ["a", "b", "c"]
    await run.close_of(graph)


@scenario()
async def breakpoint_at_every_step(run: Run) -> None:
    """Breakpoints given with the call, the state changed at each of them."""
    graph = chain_of("a", "b", "c").compile(run.saver)
    await run.invoke(graph, {"log": []}, interrupt_before="*")
    for number in range(3):
        await run.update(graph, thread(), {"log": [f"edit {number}"]})
        await run.invoke(graph, None, interrupt_before="*")
    assert (await run.state(graph)).next == ()
    await run.close_of(graph)


@scenario()
async def breakpoint_and_question(run: Run) -> None:
    builder = chain_of("a")
    builder.add_node("ask", lambda state: {"log": [interrupt("?")]})
    builder.add_edge("a", "ask")
    graph = builder.compile(run.saver, interrupt_before=["ask"])
    await run.invoke(graph, {"log": []})
    await run.invoke(graph, None)
    assert len((await run.state(graph)).interrupts) == 1
    result = await run.invoke(graph, Command(resume="yes"))
    assert result["log"] == ["a", "yes"]
    await run.close_of(graph)


@scenario()
async def asks_until_it_is_right(run: Run) -> None:
    """A loop of steps, each of which asks."""

    def ask(state: Log) -> Command[Any]:
        answer = interrupt(f"try {len(state['log'])}")
        goto = "end" if answer == "right" else "ask"
        return Command(update={"log": [answer]}, goto=goto)

    builder = StateGraph(Log)
    builder.add_node("ask", ask, destinations=("ask", "end"))
    builder.add_node("end", says("end"))
    builder.add_edge(START, "ask")
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"log": []})
    for number, answer in enumerate(("wrong", "no", "right")):
        assert result["__interrupt__"][0].value == f"try {number}"
        result = await run.invoke(graph, Command(resume=answer))
    assert result["log"] == ["wrong", "no", "right", "end"]
    await run.close_of(graph)
