"""What a notebook is shown: whole, harmless, offline, and not too much of it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Annotated, Any, TypedDict
from xml.etree import ElementTree

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send, interrupt

from threadloom import (
    ChannelChange,
    CheckpointDiff,
    CheckpointNode,
    CheckpointTree,
    MessageChange,
    Session,
    SessionInfo,
    SessionManager,
    StorageStats,
)
from threadloom.display.trees import picture
from threadloom.models import CheckReport, MessageList, Problem, PruneReport, SessionPage

HOSTILE = (
    "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)> & \"q\" \u202e"
)
VOID = {"br", "img", "meta", "hr"}


class Reader(HTMLParser):
    """Reads HTML as strictly as a person would like it: everything that is opened is closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def read(shown: Any) -> Reader:
    """What a notebook gets, read; fails on anything that runs or loads something."""
    html = shown._repr_html_()
    html.encode()  # as a notebook is stored
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "img", "iframe", "link", "object"})
    for _, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert not {"src", "href", "data", "action"} & attributes.keys()
    style = re.sub(r"<svg xmlns=\"[^\"]*\"", "<svg", html)
    assert "url(" not in style
    assert "@import" not in style
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(svg)
    return reader


@pytest.fixture
def now() -> list[datetime]:
    return [datetime(2026, 3, 2, 8, tzinfo=UTC)]


@pytest.fixture
def sessions(now: list[datetime]) -> Iterator[SessionManager]:
    def clock() -> datetime:
        now[0] += timedelta(seconds=3)
        return now[0]

    with SessionManager("memory://", clock=clock) as manager:
        yield manager


def answers(sessions: SessionManager, answer: Callable[[str], Any]) -> Any:
    """A graph that answers."""
    builder = StateGraph(MessagesState)
    builder.add_node("reply", lambda state: {"messages": answer(state["messages"][-1].text)})
    builder.add_edge(START, "reply")
    return builder.compile(checkpointer=sessions.checkpointer())


# ── sessions ──────────────────────────────────────────────────────────────────────────────────
def test_a_session_shows_what_is_known_of_it(sessions: SessionManager) -> None:
    info = sessions.create_session(
        name="Oslo", owner="ana", tags=["travel"], agent_name="guide", metadata={"budget": 900}
    )
    found = read(info)
    for word in (info.id, "Oslo", "ana", "travel", "guide", '{"budget": 900}', "idle"):
        assert word in found.text
    assert "2026-03-02 08:00" in found.text
    assert "expires" not in found.text, "what is not there is left out"


def test_a_session_without_a_name_is_known_by_its_id(sessions: SessionManager) -> None:
    assert read(sessions.create_session(id="thread-1")).text.count("thread-1") == 2


def test_lists_are_tables(sessions: SessionManager) -> None:
    for number in range(3):
        sessions.create_session(name=f"Trip {number}", tags=["a", "b"])
    page = sessions.list_sessions(limit=2)
    found = read(page)
    assert "Trip 0" in found.text
    assert "Trip 2" not in found.text
    assert "a, b" in found.text
    assert "goes on" in found.text
    assert "goes on" not in read(sessions.list_sessions(after=page.cursor)).text
    assert "No sessions" in read(sessions.list_sessions(owner="nobody")).text


def test_a_slice_shows_itself_as_well(sessions: SessionManager) -> None:
    for number in range(4):
        sessions.create_session(name=f"Trip {number}")
    part = sessions.list_sessions()[1:3]
    assert [info.name for info in part] == ["Trip 1", "Trip 2"]
    assert "Trip 1" in read(part).text
    assert "goes on" not in read(sessions.list_sessions(limit=3)[:2]).text
    assert isinstance(part[0], SessionInfo)


def test_long_lists_show_their_beginning() -> None:
    page = SessionPage(SessionInfo(id=f"s{number}") for number in range(5_000))
    found = read(page)
    assert "4,900 more" in found.text
    assert len(page._repr_html_()) < 100_000


def test_matches_show_where_they_were_found(sessions: SessionManager) -> None:
    trip = sessions.create_session(name="Oslo")
    sessions.memory(trip).add_user_message("is there a night train?")
    found = read(sessions.search_sessions("train"))
    assert "night train" in found.text
    assert trip.id in found.text
    assert "Nothing found" in read(sessions.search_sessions("bicycle")).text


def test_running_and_stuck_sessions_are_tables_too(sessions: SessionManager) -> None:
    trip = sessions.create_session(name="Oslo")
    with sessions.turn(trip):
        assert "Oslo" in read(sessions.list_running_sessions()).text
        stuck = sessions.list_stuck_sessions(timedelta(microseconds=1))
        assert "running" in read(stuck).text


# ── conversations ─────────────────────────────────────────────────────────────────────────────
def test_a_conversation_reads_like_a_chat(sessions: SessionManager) -> None:
    history = sessions.memory("trip")
    call = {"name": "weather", "args": {"city": "Oslo"}, "id": "c1"}
    for message in (
        HumanMessage("And the weather?"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("rain\nand wind", tool_call_id="c1", name="weather"),
    ):
        history.append(message)
    found = read(sessions.messages("trip"))
    assert 'weather(city="Oslo")' in found.text
    assert "rain\nand wind" in found.text, "lines stay lines"
    assert len([tag for tag, _ in found.tags if tag == "circle"]) == 3, "who spoke when"
    assert "08:00" in found.text


def test_times_are_known_of_both_doors(sessions: SessionManager) -> None:
    trip = sessions.create_session()
    answers(sessions, lambda _: [("ai", "yes")]).invoke({"messages": "there?"}, trip.config)
    sessions.memory(trip).add_user_message("and back?")
    found = sessions.messages(trip)
    assert len(found) == 3
    assert [found.times[message.id or ""] for message in found] == sorted(found.times.values())
    assert all(at.tzinfo is UTC for at in found.times.values())
    assert sessions.memory(trip).load().times.keys() == {found[-1].id}


def test_messages_of_one_moment_have_no_timeline() -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    messages = [HumanMessage(f"{n}", id=f"{n}") for n in range(3)]
    shown = MessageList(messages, {f"{n}": at for n in range(3)})
    assert "svg" not in {tag for tag, _ in read(shown).tags}
    assert "svg" not in {tag for tag, _ in read(MessageList(messages)).tags}
    assert "No messages" in read(MessageList()).text


def test_long_conversations_show_their_end(sessions: SessionManager) -> None:
    shown = MessageList(HumanMessage(f"message {n}", id=f"{n}") for n in range(10_000))
    found = read(shown)
    assert "9,800 earlier messages" in found.text
    assert "message 9999" in found.text
    assert "message 9799 " not in found.text
    assert "message 0" not in found.text
    assert len(shown._repr_html_()) < 100_000


def test_long_messages_are_folded() -> None:
    found = read(MessageList([HumanMessage("word " * 3_000 + "end", id="1")]))
    assert "details" in {tag for tag, _ in found.tags}
    assert "end" in found.text


def test_a_slice_of_a_conversation_keeps_its_times(sessions: SessionManager) -> None:
    sessions.memory("trip").add_messages([HumanMessage(f"{n}") for n in range(5)])
    last = sessions.messages("trip")[-2:]
    assert [message.text for message in last] == ["3", "4"]
    assert {message.id for message in last} <= last.times.keys()


def test_a_whole_session_shows_its_state(sessions: SessionManager) -> None:
    sessions.save_session(
        Session(
            info=SessionInfo(id="note"), messages=(HumanMessage("Buy maps"),), state={"step": 1}
        )
    )
    found = read(sessions.resume_session("note"))
    assert "Buy maps" in found.text
    assert '{"step": 1}' in found.text


# ── checkpoints ───────────────────────────────────────────────────────────────────────────────
def test_a_tree_shows_branches_heads_and_what_waits(sessions: SessionManager) -> None:
    trip = sessions.create_session()

    def answer(asked: str) -> Any:
        if asked == "book":
            interrupt({"book": "train"})
        return [("ai", "yes")]

    graph = answers(sessions, answer)
    graph.invoke({"messages": "there?"}, trip.config)
    graph.invoke({"messages": "and back?"}, trip.config)
    sessions.rewind_session(trip, messages=2)
    graph.invoke({"messages": "book"}, trip.config)
    tree = sessions.checkpoint_tree(trip)
    found = read(tree)
    assert f"{len(tree.nodes)} checkpoints" in found.text
    assert "2 branches" in found.text
    assert 'waits: {"book": "train"}' in found.text
    assert all(node.id in found.text for node in tree.nodes)
    circles = [attributes for tag, attributes in found.tags if tag == "circle"]
    assert len(circles) == len(tree.nodes)
    assert len({circle["cx"] for circle in circles}) == 2, "a branch stands beside the way"
    edges = [tag for tag, _ in found.tags if tag == "path"]
    assert len(edges) == sum(node.parent is not None for node in tree.nodes)


def test_what_failed_says_so(sessions: SessionManager) -> None:
    trip = sessions.create_session()

    def fail(_: str) -> Any:
        raise RuntimeError("no <b>train</b>")

    with pytest.raises(RuntimeError):
        answers(sessions, fail).invoke({"messages": "there?"}, trip.config)
    assert "no <b>train</b>" in read(sessions.checkpoint_tree(trip)).text


def test_long_runs_are_drawn_as_one_line(sessions: SessionManager) -> None:
    trip = sessions.create_session()
    graph = answers(sessions, lambda _: [("ai", "yes")])
    for turn in range(30):
        graph.invoke({"messages": f"{turn}?"}, trip.config)
    tree = sessions.checkpoint_tree(trip)
    found = read(tree)
    shown = len([tag for tag, _ in found.tags if tag == "circle"])
    assert shown < 10
    assert f"… {len(tree.nodes) - shown} checkpoints …" in found.text
    assert tree.head() is not None
    assert tree.head().id in found.text  # type: ignore[union-attr]


def test_a_graph_with_subgraphs_shows_all_namespaces(sessions: SessionManager) -> None:
    inner = StateGraph(MessagesState)
    inner.add_node("deep", lambda _: {"messages": [("ai", "deep")]})
    inner.add_edge(START, "deep")
    builder = StateGraph(MessagesState)
    builder.add_node("sub", inner.compile(checkpointer=True))
    builder.add_edge(START, "sub")
    trip = sessions.create_session()
    graph = builder.compile(checkpointer=sessions.checkpointer())
    graph.invoke({"messages": "there?"}, trip.config)
    assert "subgraph  sub" in read(sessions.checkpoint_tree(trip)).text


def test_a_session_without_a_graph_has_no_tree(sessions: SessionManager) -> None:
    assert "No checkpoints" in read(sessions.checkpoint_tree("unknown")).text
    assert "No checkpoints" in picture(CheckpointTree(session_id="x"))


def test_differences_name_what_changed(sessions: SessionManager) -> None:
    trip = sessions.create_session()
    graph = answers(sessions, lambda _: [("ai", "yes\nindeed")])
    graph.invoke({"messages": "there?"}, trip.config)
    first = sessions.checkpoint_tree(trip).head()
    graph.invoke({"messages": "and back?"}, trip.config)
    last = sessions.checkpoint_tree(trip).head()
    assert first is not None
    assert last is not None
    found = read(sessions.compare_checkpoints(trip, first.id, last.id))
    assert "+ human" in found.text
    assert "and back?" in found.text
    assert "there?" not in found.text
    assert "branch:" not in found.text
    same = read(sessions.compare_checkpoints(trip, last.id, last.id))
    assert "No channel" in same.text


# ── reports ───────────────────────────────────────────────────────────────────────────────────
def test_statistics_show_where_the_bytes_are(sessions: SessionManager) -> None:
    sessions.memory("trip").add_user_message("how do I get there?")
    stats = sessions.stats()
    found = read(stats)
    assert "1 session" in found.text
    assert all(kind.kind in found.text for kind in stats.kinds)
    assert sum(int(share) for share in re.findall(r"(\d+)%", found.text)) in range(98, 103)
    assert "0 bytes" in read(StorageStats(sessions=0, records=0, bytes=0)).text


def test_reports_are_sentences(sessions: SessionManager) -> None:
    assert "would remove 3 checkpoints" in read(PruneReport(checkpoints=3, dry_run=True)).text
    bad = CheckReport(sessions=2, problems=(Problem(session_id="x", kind="head", detail=HOSTILE),))
    assert "damaged" in read(bad).text
    assert "ok" in read(sessions.check()).text


# ── what nobody wants to see ──────────────────────────────────────────────────────────────────
def test_nothing_that_is_stored_becomes_markup(sessions: SessionManager) -> None:
    trip = sessions.create_session(
        name=HOSTILE, owner=HOSTILE, tags=[HOSTILE], agent_name=HOSTILE, metadata={HOSTILE: HOSTILE}
    )
    graph = answers(sessions, lambda _: [("ai", HOSTILE)])
    graph.invoke({"messages": HOSTILE}, trip.config)
    sessions.memory(trip).add_user_message(HOSTILE)
    tree = sessions.checkpoint_tree(trip)
    everything = (
        sessions.get_session(trip),
        sessions.list_sessions(),
        sessions.search_sessions("alert"),
        sessions.messages(trip),
        tree,
        sessions.compare_checkpoints(trip, None, tree.nodes[-1].id),
        sessions.resume_session(trip.id),
    )
    for shown in everything:
        found = read(shown)  # finds no element and no attribute that was not ours
        assert "\u202e" not in found.text
        if not isinstance(shown, CheckpointTree):
            assert "<script>alert('x')</script>" in found.text


def test_text_that_is_no_unicode_is_shown() -> None:
    assert "\N{REPLACEMENT CHARACTER}" in read(MessageList([HumanMessage("\ud800")])).text


def test_content_that_is_no_text_has_a_place() -> None:
    blocks: list[Any] = [
        {"type": "text", "text": "see"},
        {"type": "image", "url": "http://x/y.png"},
    ]
    found = read(MessageList([HumanMessage(blocks)]))
    assert "see\n[image]" in found.text
    assert "http://" not in found.text


def test_showing_needs_nothing_of_the_command_line() -> None:
    program = (
        "import sys, threadloom; s = threadloom.SessionManager('memory://');"
        "before = 'threadloom.display' in sys.modules;"
        "s.list_sessions()._repr_html_(); s.create_session()._repr_html_();"
        "print(before, {'rich', 'typer', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "set()"]


# ── a list like any other ─────────────────────────────────────────────────────────────────────
class Seen(TypedDict):
    seen: list[BaseMessage]


@pytest.mark.parametrize("hand_on", [list, lambda messages: messages])
def test_a_list_of_messages_in_a_state_is_stored_like_any_list(
    sessions: SessionManager, hand_on: Callable[[MessageList], list[BaseMessage]]
) -> None:
    sessions.memory("trip").add_messages([HumanMessage("x" * 300) for _ in range(40)])
    builder = StateGraph(Seen)
    builder.add_node("more", lambda state: {"seen": [*state["seen"], HumanMessage("one more")]})
    builder.add_edge(START, "more")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    config = {"configurable": {"thread_id": "graph"}}
    given = hand_on(sessions.messages("trip"))
    graph.invoke({"seen": given}, config)
    kept = graph.get_state(config).values["seen"]
    assert type(kept) is list
    assert kept[:-1] == given
    kinds = {kind.kind: kind.records for kind in sessions.stats("graph").kinds}
    assert kinds["elements"] < 50, "the list that came and the one that grew share their elements"


# ── what is odd, large or foreign ─────────────────────────────────────────────────────────────
def test_scripts_and_emoji_are_shown_as_they_are() -> None:
    for text in ("می‌خواهم", "क्‍ष", "\U0001f469‍\U0001f4bb"):
        assert text in read(MessageList([HumanMessage(text)])).text


def test_odd_calls_and_contents_are_shown() -> None:
    odd = AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "c1"}])
    odd.tool_calls[0]["args"] = None  # type: ignore[typeddict-item]
    del odd.tool_calls[0]["name"]  # type: ignore[misc]
    assert "→ None()" in read(MessageList([odd])).text
    empty = HumanMessage("")
    empty.content = None  # type: ignore[assignment]
    assert "human" in read(MessageList([empty])).text


def test_what_is_shown_is_bounded() -> None:
    long = "x" * 3_000_000
    info = SessionInfo(id="s", name=long, owner=long, tags=(long,) * 500, metadata={"text": long})
    shown = (
        info,
        SessionPage([info] * 3),
        MessageList([HumanMessage(long, name=long)] * 50),
        Session(info=info, state=long),
        CheckReport(problems=(Problem(session_id=long, kind="head", detail=long),)),
    )
    for item in shown:
        assert len(item._repr_html_()) < 500_000, type(item)


def test_a_tree_of_many_namespaces_is_bounded_and_quick() -> None:
    nodes = [
        CheckpointNode(id=f"{space}-{n}", parent=f"{space}-{n - 1}" if n else None, namespace=space)
        for space in ("", *(f"sub:{k:05}" for k in range(3_000)))
        for n in range(3)
    ]
    tree = CheckpointTree(session_id="s", nodes=tuple(nodes))
    began = time.process_time()
    found = read(tree)
    assert time.process_time() - began < 5
    assert "more namespaces of subgraphs" in found.text
    assert len(tree._repr_html_()) < 500_000


class Handed(TypedDict):
    messages: Annotated[list[BaseMessage], add_messages]


@pytest.mark.parametrize("hand_on", [list, lambda messages: messages])
def test_a_list_of_messages_that_is_sent_costs_what_is_new(
    sessions: SessionManager, hand_on: Callable[[MessageList], list[BaseMessage]]
) -> None:
    trip = sessions.create_session()

    def pass_on(state: Handed) -> list[Send]:
        return [Send("work", {"messages": hand_on(sessions.messages(trip))})]

    builder = StateGraph(Handed)
    builder.add_node("begin", lambda _: {"messages": [AIMessage("y" * 200)]})
    builder.add_node("work", lambda state: {"messages": hand_on(state["messages"])[-1:]})
    builder.add_edge(START, "begin")
    builder.add_conditional_edges("begin", pass_on)
    graph = builder.compile(checkpointer=sessions.checkpointer())
    sizes = []
    for turn in range(40):
        graph.invoke({"messages": [HumanMessage(f"{turn} " + "x" * 200)]}, trip.config)
        sizes.append(sessions.stats(trip).bytes)
    assert sizes[39] - sizes[29] < 1.3 * (sizes[19] - sizes[9])


def test_a_message_that_changed_says_how() -> None:
    before, after = (HumanMessage("same", id="1", name=name) for name in ("ana", "ben"))
    change = MessageChange(kind="changed", before=before, after=after)
    diff = CheckpointDiff(
        session_id="s",
        after="c",
        channels=(ChannelChange(channel="messages", kind="changed", messages=(change,)),),
    )
    found = read(diff).text
    assert '"ana"' in found
    assert '"ben"' in found


def test_differences_are_bounded() -> None:
    long = "word " * 500_000
    change = MessageChange(kind="added", after=HumanMessage(long, id="1"))
    diff = CheckpointDiff(
        session_id="s",
        after="c",
        channels=(
            ChannelChange(channel="messages", kind="changed", messages=(change,) * 1_000),
            ChannelChange(channel="text", kind="changed", before=long, after=long + "x"),
        ),
    )
    assert len(diff._repr_html_()) < 700_000
