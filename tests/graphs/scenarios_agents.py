"""Agents that call tools, and conversations over several turns."""

from __future__ import annotations

from typing import Annotated, Any

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, tools_condition
from langgraph.types import Command, interrupt

from .harness import Run, scenario, thread
from .models import ScriptedChat


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def broken(text: str) -> str:
    """Always fails."""
    raise ValueError(f"cannot use {text}")


@tool(response_format="content_and_artifact")
def look_up(word: str) -> tuple[str, dict[str, Any]]:
    """Look a word up."""
    return f"{word}: found", {"pages": (1, 2), "raw": b"\x00\xff"}


@tool
def approve(amount: int) -> str:
    """Ask a person."""
    answer = interrupt({"amount": amount})
    return f"answer: {answer}"


@tool
def note(text: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Write a note into the state."""
    done = ToolMessage("noted", tool_call_id=tool_call_id)
    return Command(update={"notes": text, "messages": [done]})


@tool
def count_messages(state: Annotated[Any, InjectedState]) -> str:
    """How long the conversation is."""
    return f"{len(state['messages'])} messages"


def call(name: str, id: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": id, "type": "tool_call"}


class Notes(MessagesState):
    notes: str


class Pile(MessagesState):
    pile: list[Any]  # a plain channel keeps even chunks as they are


def tool_loop(script: list[AIMessage], tools: list[Any], schema: Any = MessagesState) -> Any:
    model = ScriptedChat(script=script).bind_tools(tools)

    def ask(state: Any) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(schema)
    builder.add_node("ask", ask)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", tools_condition, ["tools", END])
    builder.add_edge("tools", "ask")
    return builder


@scenario()
async def ready_made_agent(run: Run) -> None:
    script = [
        AIMessage("let me add", tool_calls=[call("add", "c1", a=2, b=3)]),
        AIMessage("it is 5"),
        AIMessage("", tool_calls=[call("add", "c2", a=5, b=5), call("look_up", "c3", word="ten")]),
        AIMessage("it is 10"),
    ]
    agent = create_agent(
        ScriptedChat(script=script),
        [add, look_up],
        system_prompt="Be short",
        checkpointer=run.saver,
    )
    await run.invoke(agent, {"messages": [("user", "2+3?")]})
    result = await run.invoke(agent, {"messages": [("user", "twice that?")]})
    assert [m.type for m in result["messages"]] == (
        ["human", "ai", "tool", "ai", "human", "ai", "tool", "tool", "ai"]
    )
    await run.close_of(agent)


@scenario()
async def tool_loop_by_hand(run: Run) -> None:
    script = [
        AIMessage("", tool_calls=[call("look_up", "c1", word="x"), call("note", "c2", text="y")]),
        AIMessage("", tool_calls=[call("count_messages", "c3")]),
        AIMessage("done", response_metadata={"finish_reason": "stop", "scores": [0.5, None]}),
    ]
    graph = tool_loop(script, [look_up, note, count_messages], Notes).compile(run.saver)
    result = await run.invoke(graph, {"messages": [HumanMessage("go", id="h1")]})
    assert result["notes"] == "y"
    found = next(m for m in result["messages"] if m.type == "tool" and m.tool_call_id == "c1")
    assert found.artifact == {"pages": (1, 2), "raw": b"\x00\xff"}
    await run.close_of(graph)


@scenario()
async def tool_that_fails(run: Run) -> None:
    script = [AIMessage("", tool_calls=[call("broken", "c1", text="ink")]), AIMessage("sorry")]
    tools = [broken]
    builder = StateGraph(MessagesState)
    model = ScriptedChat(script=script)
    builder.add_node("ask", lambda s: {"messages": [model.invoke(s["messages"])]})
    builder.add_node("tools", ToolNode(tools, handle_tool_errors=True))
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", tools_condition, ["tools", END])
    builder.add_edge("tools", "ask")
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"messages": [("user", "try")]})
    assert result["messages"][2].status == "error"
    await run.close_of(graph)


@scenario()
async def three_tools_wait_for_a_person(run: Run) -> None:
    """Interrupts inside parallel tool calls; two are answered first, then the third."""
    ask_for = [call("approve", f"c{n}", amount=n) for n in (1, 2, 3)]
    script = [AIMessage("", tool_calls=ask_for), AIMessage("all answered")]
    agent = create_agent(ScriptedChat(script=script), [approve], checkpointer=run.saver)
    await run.invoke(agent, {"messages": [("user", "pay")]})
    waiting = (await run.state(agent)).interrupts
    assert sorted(i.value["amount"] for i in waiting) == [1, 2, 3]
    by_amount = {i.value["amount"]: i.id for i in waiting}
    first = Command(resume={by_amount[1]: "yes", by_amount[3]: "no"})
    await run.invoke(agent, first)
    left = (await run.state(agent)).interrupts
    assert [i.value["amount"] for i in left] == [2]
    result = await run.invoke(agent, Command(resume={by_amount[2]: "maybe"}))
    assert [m.content for m in result["messages"] if m.type == "tool"] == (
        ["answer: yes", "answer: maybe", "answer: no"]
    )
    await run.close_of(agent)


@scenario()
async def many_turns(run: Run) -> None:
    """The state grows turn by turn, on two threads in turn."""
    model = GenericFakeChatModel(messages=iter([f"answer {n}" for n in range(12)]))

    async def unused(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", unused if run.style == "async" else ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(run.saver)
    for turn in range(6):
        for name in ("ana", "ben"):
            message = HumanMessage(f"{name} {turn}", id=f"{turn}", additional_kwargs={"n": turn})
            result = await run.invoke(graph, {"messages": [message]}, thread(name))
            assert len(result["messages"]) == 2 * (turn + 1)
    await run.close_of(graph, thread("ana"), thread("ben"))


@scenario()
async def every_kind_of_message(run: Run) -> None:
    """Multi-modal content, names, ids, usage, invalid tool calls and extra fields survive."""
    from langchain_core.messages import AIMessageChunk, ChatMessage, SystemMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.messages.tool import invalid_tool_call

    usage = UsageMetadata(input_tokens=1, output_tokens=2, total_tokens=3)
    rich = [
        SystemMessage("rules", id="s"),
        HumanMessage(
            [
                {"type": "text", "text": "see"},
                {"type": "image", "base64": "AA==", "mime_type": "i/p"},
            ],
            name="ana",
            id="h",
        ),
        AIMessage(
            "ok",
            id="a",
            usage_metadata=usage,
            invalid_tool_calls=[invalid_tool_call(name="add", args="{", id="x", error="bad")],
            additional_kwargs={"deep": {"list": [1, (2, 3)], "none": None}},
        ),
        AIMessageChunk("part", id="k"),
        ToolMessage("42", tool_call_id="c", id="t", status="error", artifact={"n": 1.5}),
        ChatMessage("hello", role="critic", id="c"),
    ]
    builder = StateGraph(Pile)
    builder.add_node("end", lambda state: {"messages": [AIMessage("bye", id="z")]})
    builder.add_edge(START, "end")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"messages": rich, "pile": rich})
    state = await run.state(graph)
    assert [type(m) for m in state.values["pile"]] == [type(m) for m in rich]
    assert [m.type for m in state.values["messages"]] == [
        *("system", "human", "ai", "ai", "tool", "chat", "ai")
    ]
    await run.close_of(graph)
