"""Time travel: old checkpoints read, run again, changed and branched."""

from __future__ import annotations

from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.types import Command, StateUpdate, interrupt

from .harness import WAITED, Run, scenario, thread
from .models import Log, chain_of, says

# With "exit" there is one checkpoint a run, so there is nothing between to travel to.
STEPWISE = ("sync", "async")


def at(history: list[Any], *following: str) -> Any:
    """The newest snapshot from which these nodes run next."""
    return next(s for s in history if s.next == following)


@scenario(durabilities=STEPWISE)
async def run_again_from_the_middle(run: Run) -> None:
    graph = chain_of("a", "b", "c").compile(run.saver)
    await run.invoke(graph, {"log": []})
    middle = at(await run.history(graph), "b")
    assert (await run.invoke(graph, None, middle.config))["log"] == ["a", "b", "c"]
    assert len(await run.history(graph)) == 8
    # The newest checkpoint is the end of the branch; the old end is still there by id.
    await run.state(graph, middle.config)
    await run.close_of(graph)


@scenario(durabilities=STEPWISE)
async def run_again_from_the_end(run: Run) -> None:
    """Nothing is left to run, so nothing runs."""
    graph = chain_of("a", "b").compile(run.saver)
    await run.invoke(graph, {"log": []})
    end = await run.state(graph)
    await run.invoke(graph, None, end.config)
    await run.invoke(graph, None)
    await run.close_of(graph)


@scenario()
async def new_input_on_an_old_checkpoint(run: Run) -> None:
    """Two branches from one turn; each has only its own past."""
    graph = chain_of("a").compile(run.saver)
    await run.invoke(graph, {"log": ["one"]})
    fork_at = (await run.state(graph)).config
    await run.invoke(graph, {"log": ["two"]})
    result = await run.invoke(graph, {"log": ["other two"]}, fork_at)
    assert result["log"] == ["one", "a", "other two", "a"]
    result = await run.invoke(graph, {"log": ["three"]})
    assert result["log"] == ["one", "a", "other two", "a", "three", "a"]
    await run.close_of(graph)


@scenario(durabilities=STEPWISE)
async def changed_past(run: Run) -> None:
    """update_state on an old checkpoint makes a branch that is run from there."""
    graph = chain_of("a", "b", "c").compile(run.saver)
    await run.invoke(graph, {"log": []})
    old = at(await run.history(graph), "b")
    branch = await run.update(graph, old.config, {"log": ["changed"]})
    await run.state(graph, branch)
    assert (await run.invoke(graph, None, branch))["log"] == ["a", "changed", "b", "c"]
    second = await run.update(graph, old.config, {"log": ["as b"]}, as_node="b")
    assert (await run.invoke(graph, None, second))["log"] == ["a", "as b", "c"]
    await run.state(graph, branch)
    await run.close_of(graph)


@scenario(durabilities=STEPWISE)
async def copied_checkpoint(run: Run) -> None:
    """update_state(None) as __copy__: a sibling of the old checkpoint."""
    graph = chain_of("a", "b").compile(run.saver)
    await run.invoke(graph, {"log": ["in"]})
    old = at(await run.history(graph), "b")
    copy = await run.update(graph, old.config, None, as_node="__copy__")
    copied = await run.state(graph, copy)
    assert copied.metadata is not None
    assert copied.metadata["source"] == "fork"
    assert copied.parent_config == old.parent_config
    assert (await run.invoke(graph, None, copy))["log"] == ["in", "a", "b"]
    await run.close_of(graph)


@scenario()
async def state_of_a_new_thread(run: Run) -> None:
    """What is not there reads as empty; update_state begins a thread."""
    graph = chain_of("a", "b").compile(run.saver)
    empty = await run.state(graph)
    assert empty.values == {}
    assert await run.history(graph) == []
    assert await run.stored() == []
    await run.update(graph, thread(), {"log": ["first"]}, as_node="a")
    assert (await run.state(graph)).next == ("b",)
    assert (await run.invoke(graph, None))["log"] == ["first", "b"]
    await run.update(graph, thread("input"), {"log": ["as input"]}, as_node="__start__")
    assert (await run.invoke(graph, None, thread("input")))["log"] == ["as input", "a", "b"]
    await run.close_of(graph, thread(), thread("input"))


@scenario()
async def ended_by_hand(run: Run) -> None:
    """as_node=END clears what was still to run."""
    graph = chain_of("a", "b").compile(run.saver, interrupt_before=["b"])
    await run.invoke(graph, {"log": []})
    await run.update(graph, thread(), None, as_node="__end__")
    assert (await run.state(graph)).next == ()
    await run.invoke(graph, {"log": ["again"]})
    await run.close_of(graph)


@scenario()
async def several_updates_at_once(run: Run) -> None:
    graph = chain_of("a", "b", "c").compile(run.saver)
    steps = [
        [StateUpdate({"log": ["in"]}, as_node="__input__")],
        [StateUpdate({"log": ["x"]}, as_node="a"), StateUpdate({"log": ["y"]}, as_node="b")],
        [StateUpdate({"log": ["z"]}, as_node="b")],
    ]
    await run.bulk_update(graph, thread(), steps)
    assert (await run.state(graph)).values["log"] == ["x", "y", "z"]
    await run.invoke(graph, None)
    await run.close_of(graph)


@scenario(durabilities=WAITED)
async def one_task_given_by_id(run: Run) -> None:
    """A result put in the place of one of several waiting tasks."""
    builder = StateGraph(Log)
    for word in ("a", "b"):
        builder.add_node(word, says(word))
        builder.add_edge(START, word)
    builder.add_node("end", says("end"))
    builder.add_edge(["a", "b"], "end")
    graph = builder.compile(run.saver, interrupt_before=["a", "b"])
    await run.invoke(graph, {"log": []})
    await run.update(graph, thread(), {"log": ["given"]}, as_node="a")
    await run.state(graph)
    await run.invoke(graph, None)
    await run.close_of(graph)


@scenario(durabilities=STEPWISE)
async def question_asked_again(run: Run) -> None:
    """From before a question it is asked again, and answered otherwise, more than once."""
    builder = chain_of("a")
    builder.add_node("ask", lambda state: {"log": [interrupt("?")]})
    builder.add_node("end", says("end"))
    builder.add_edge("a", "ask")
    builder.add_edge("ask", "end")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"log": []})
    await run.invoke(graph, Command(resume="first"))
    asked = at(await run.history(graph), "ask")
    assert "__interrupt__" in await run.invoke(graph, None, asked.config)
    assert "__interrupt__" in await run.invoke(graph, None, asked.config)
    result = await run.invoke(graph, Command(resume="second"))
    assert result["log"] == ["a", "second", "end"]
    copy = await run.update(graph, asked.config, None, as_node="__copy__")
    assert "__interrupt__" in await run.invoke(graph, None, copy)
    result = await run.invoke(graph, Command(resume="third"))
    assert result["log"] == ["a", "third", "end"]
    await run.close_of(graph)


@scenario(durabilities=STEPWISE)
async def update_while_waiting(run: Run) -> None:
    """A changed state asks anew: answers given before do not carry over."""
    builder = chain_of("a")
    builder.add_node("ask", lambda s: {"log": [f"{interrupt('1')}{interrupt('2')}"]})
    builder.add_edge("a", "ask")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"log": []})
    await run.invoke(graph, Command(resume="x"))
    await run.update(graph, thread(), {"log": ["changed"]})
    result = await run.invoke(graph, None)
    assert result["__interrupt__"][0].value == "1"
    await run.invoke(graph, Command(resume="y"))
    result = await run.invoke(graph, Command(resume="z"))
    assert result["log"] == ["a", "changed", "yz"]
    await run.close_of(graph)


@scenario(durabilities=STEPWISE)
async def history_in_pages(run: Run) -> None:
    graph = chain_of("a", "b", "c").compile(run.saver)
    for word in "xyz":
        await run.invoke(graph, {"log": [word]}, {**thread(), "metadata": {"turn": word}})
    everything = await run.history(graph)
    assert len(everything) == 15
    await run.history(graph, limit=4)
    await run.history(graph, before=everything[6].config, limit=3)
    await run.history(graph, filter={"turn": "y"})
    await run.history(graph, filter={"turn": "y", "source": "loop", "step": 6})
    await run.history(graph, filter={"turn": "nothing"})
    await run.history(graph, everything[3].config)
    await run.history(graph, limit=0)
    await run.stored(everything[3].config)
    await run.close_of(graph)
