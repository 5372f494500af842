"""A graph with subgraphs, LangGraph's own saver under it, and what a session should be."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph, add_messages
from langgraph.types import Interrupt, StateSnapshot, interrupt

THREAD = "t"
CONFIG: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}

# The graph: two nodes at once, one of them a graph that is new each time; then a graph that
# remembers; then the answer. What a message says decides who asks back, or fails.


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {**old, **new}


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    count: Annotated[int, operator.add]
    notes: Annotated[dict[str, Any], merge]


class Inside(TypedDict):
    """What both subgraphs have of their own; the graph around them has neither calls nor heard."""

    messages: list[AnyMessage]
    notes: Annotated[dict[str, Any], merge]
    calls: Annotated[int, operator.add]
    heard: Annotated[list[str], operator.add]


ASKING = ("fresh", "keeper", "answer")


def said(state: Any) -> str:
    return state["messages"][-1].text if state.get("messages") else ""


def asked(state: Any, where: str) -> str:
    """What was answered, if this is where the message makes the graph ask."""
    return str(interrupt(f"{where}: {said(state)}")) if f"ask {where}" in said(state) else "-"


def hear(state: Inside) -> dict[str, Any]:
    return {"calls": 1, "heard": [said(state)]}


def subgraph(name: str, *, remembers: bool) -> Any:
    def tell(state: Inside) -> dict[str, Any]:
        told = f"{state['calls']} {' '.join(state['heard'])} {asked(state, name)}"
        return {"notes": {name: told}}

    builder = StateGraph(Inside)
    builder.add_node("hear", hear)
    builder.add_node("tell", tell)
    builder.add_edge(START, "hear")
    builder.add_edge("hear", "tell")
    return builder.compile(checkpointer=True if remembers else None)


def side(state: State) -> dict[str, Any]:
    return {"notes": {f"side {state['count']}": f"{said(state)} " * 20}}


def answer(state: State) -> dict[str, Any]:
    text, number = said(state), len(state["messages"])
    if "boom" in text:
        raise RuntimeError(text)
    told = f"re {text}, {asked(state, 'answer')}, {state['notes'].get('keeper')}"
    last = state["messages"][-1].id if state["messages"] else None
    return {"messages": [AIMessage(told, id=f"{last}.{number}")], "count": 1}


NODES = ("fresh", "side", "keeper", "answer")


def build() -> StateGraph[Any]:
    builder = StateGraph(State)
    builder.add_node("fresh", subgraph("fresh", remembers=False))
    builder.add_node("keeper", subgraph("keeper", remembers=True))
    builder.add_node("side", side)
    builder.add_node("answer", answer)
    builder.add_edge(START, "fresh")
    builder.add_edge(START, "side")
    builder.add_edge("fresh", "keeper")
    builder.add_edge("keeper", "answer")
    return builder


# The same graph on LangGraph's saver


class Image(NamedTuple):
    """All that LangGraph's saver holds of the one thread that it is used for."""

    storage: dict[str, dict[str, Any]]
    writes: dict[Any, dict[Any, Any]]
    blobs: dict[Any, Any]


EMPTY = Image({}, {}, {})


class Taken(NamedTuple):
    """How everything stood when a checkpoint of the graph itself was put.

    Attributes:
        image: all of it, without pending writes of this checkpoint and what was run from it.
        source: where it came from, as LangGraph says.
        messages: its conversation.
    """

    image: Image
    source: str
    messages: list[Any]


class Remembering(InMemorySaver):
    """LangGraph's saver, whose thread can be taken out and put back as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Taken] = []

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        made = super().put(config, checkpoint, metadata, new_versions)
        if not config["configurable"].get("checkpoint_ns"):
            shown = checkpoint["channel_values"].get("messages", [])
            image = self.image(before=checkpoint["id"])
            self.taken.append(Taken(image, metadata["source"], bare(shown)))
        return made

    def image(self, *, before: str | None = None) -> Image:
        """Everything; or everything but what was run from a checkpoint of the graph itself."""
        return Image(
            {
                ns: {
                    id: item
                    for id, item in found.items()
                    if not ns or before is None or self._run_from(item) != before
                }
                for ns, found in self.storage[THREAD].items()
            },
            {
                place: dict(found)
                for place, found in self.writes.items()
                if before is None or place[1:] != ("", before)
            },
            dict(self.blobs),
        )

    def _run_from(self, item: Any) -> Any:
        return self.serde.loads_typed(item[1]).get("parents", {}).get("")

    def load(self, image: Image) -> None:
        self.taken = []
        self.storage.clear()
        self.writes.clear()
        for ns, found in image.storage.items():
            self.storage[THREAD][ns].update(found)
        for place, found in image.writes.items():
            self.writes[place].update(found)
        self.blobs = dict(image.blobs)

    def waits(self) -> list[str]:
        """The channels of the pending writes of the newest checkpoint."""
        found = self.get_tuple(CONFIG)
        return [] if found is None else [write[1] for write in found.pending_writes or ()]

    def messages(self) -> list[BaseMessage]:
        found = self.get_tuple(CONFIG)
        return [] if found is None else found.checkpoint["channel_values"].get("messages", [])

    def change_messages(self, messages: list[BaseMessage]) -> None:
        """Another conversation, and the graph goes on from where it is."""
        found = self.get_tuple(CONFIG)
        old: Any = empty_checkpoint() if found is None else found.checkpoint
        version = self.get_next_version(old["channel_versions"].get("messages"), None)
        new = {
            **old,
            "id": str(uuid6()),
            "channel_values": {**old["channel_values"], "messages": messages},
            "channel_versions": {**old["channel_versions"], "messages": version},
            "updated_channels": None,
        }
        meta: Any = {"step": -2, "parents": {}} if found is None else found.metadata
        meta = {**meta, "source": "update", "step": meta["step"] + 1}
        self.put(CONFIG if found is None else found.config, new, meta, {"messages": version})


# What a session should be


@dataclass
class Kept:
    """A checkpoint of the graph itself.

    Attributes:
        parent: the id of the one before it, if it is still there.
        image: all graph state as it was when this checkpoint was put.
        source: where it came from, as LangGraph says.
        messages: its conversation.
        shown: the ids of the conversation of both doors when it was put.
        number: when it was put, on the scale that messages of the history have as well.
        rest: all graph state when it was last seen as the head.
    """

    parent: str | None
    image: Image
    source: str
    messages: list[Any]
    shown: list[str]
    number: int
    rest: Image | None = None


@dataclass
class Life:
    """A session.

    Attributes:
        image: its graph state.
        head: the newest checkpoint of the graph itself.
        kept: all of its checkpoints, in the order in which they were put.
        graph: the graph's messages: ids and texts.
        history: those of the chat history.
        numbers: when messages of the history came.
        shown: the ids of both doors, in order.
        exact: whether time alone tells that order.
        pruned: whether the way to the head may have lost its beginning.
    """

    image: Image = EMPTY
    head: str | None = None
    kept: dict[str, Kept] = field(default_factory=dict)
    graph: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    exact: bool = True
    pruned: bool = False

    def way(self, id: str | None) -> list[str]:
        """A checkpoint and its ancestors, nearest first."""
        found = []
        while id is not None:
            found.append(id)
            id = self.kept[id].parent
        return found

    def has_children(self, id: str) -> bool:
        return any(kept.parent == id for kept in self.kept.values())

    def with_messages(self, count: int) -> str | None:
        """Where a rewind to the first of the graph's messages goes.

        To a checkpoint on the way to the head, if there is one of exactly this conversation, and
        to one with new input only if there is no other; of several to the newest.
        """
        wanted = list(self.graph.values())[:count]
        way = self.way(self.head)
        places = {id: place for place, id in enumerate(self.kept)}
        fitting = [id for id, kept in self.kept.items() if kept.messages == wanted]
        return max(
            fitting,
            key=lambda id: (id in way, self.kept[id].source != "input", places[id]),
            default=None,
        )

    def show(self, messages: list[Any]) -> None:
        """The graph's conversation has changed."""
        old, self.graph = self.graph, {message[1]: message for message in messages}
        stay = [id for id in old if id in self.graph]
        lost = old.keys() - self.graph.keys()
        if stay != list(self.graph)[: len(stay)] or stay != list(old)[: len(stay)]:
            self.exact = False
        if lost & self.history.keys():
            self.exact = False  # shown where the history has them, from now on
        self.shown = [
            *(id for id in self.shown if id in (stay if id in self.graph else self.history)),
            *(id for id in self.graph if id not in stay),
        ]

    def keep_history(self, ids: list[str]) -> None:
        self.history = {id: item for id, item in self.history.items() if id in ids}

    def older(self, checkpoint: str) -> list[str]:
        """The messages of the history that are older than a checkpoint."""
        number = self.kept[checkpoint].number
        return [id for id in self.history if self.numbers[id] < number]

    def contents(self) -> list[Any]:
        return [(self.graph.get(id) or self.history[id]) for id in self.shown]


# Plain data


def bare(value: Any) -> Any:
    """A value without what differs between two runs of the same."""
    if isinstance(value, BaseMessage):
        return (type(value).__name__, value.id, value.content)
    if isinstance(value, Interrupt):
        return value.value
    if isinstance(value, Mapping):
        return {key: bare(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bare(item) for item in value]
    return value


def plain(snapshot: StateSnapshot) -> Any:
    """A state without ids and times."""
    tasks = [
        (
            task.name,
            None if task.error is None else str(task.error),
            bare(task.interrupts),
            bare(task.result),
            _inside(task.state, waits=bool(task.interrupts)),
        )
        for task in snapshot.tasks
    ]
    step = (snapshot.metadata or {}).get("step")
    return bare(snapshot.values), snapshot.next, step, bare(snapshot.interrupts), tasks


def _inside(state: Any, *, waits: bool) -> Any:
    """A subgraph's state; what it once asked says nothing where the graph itself has gone on."""
    if isinstance(state, StateSnapshot):
        return plain(state) if waits else plain(state)[:3]
    return None if state is None else state["configurable"]["checkpoint_ns"].split(":")[0]
