"""The commands that only look: show, messages, tree, diff, search."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels import DeltaChannel
from typing_extensions import TypedDict

from threadloom import CheckpointNode, CheckpointTree, SessionManager
from threadloom.cli import completing, trees
from threadloom.sessions import paging

from . import threads
from .running import Result, fails, rows, told

LOOKING = {
    "show": ["oslo-trip"],
    "messages": ["oslo-trip"],
    "tree": ["oslo-trip"],
    "diff": ["oslo-trip", "head~1"],
    "search": ["oslo"],
}


@pytest.mark.parametrize("command", LOOKING)
def test_looking_changes_nothing(command: str, trips: Path) -> None:
    before = trips.read_bytes()
    for _ in range(2):
        assert Result(command, trips, *LOOKING[command]).out
        assert told(command, trips, *LOOKING[command])["store"] == str(trips)
    assert trips.read_bytes() == before


def test_show_reads_like_a_chat(made_trips: Path) -> None:
    text = Result("show", made_trips, "oslo-trip").out
    facts, chat = text.split("\n\n", 1)
    assert facts.startswith("Oslo trip\noslo-trip · idle · of ana · #travel · #2026\n")
    assert "4 messages · 4 turns · 13 checkpoints · 2 branches" in facts
    said = ["human\n  Hello\n", "ai\n  answer 1 to Hello\n", "human\n  Hello again\n"]
    assert chat == "\n".join([*said, "ai\n  answer 2 to Hello again\n\n"])
    assert "\x1b" not in text
    assert 'waits for: {"ask": "Shall I book?"}' in Result("show", made_trips, "waiting").out
    assert "failed: ValueError('no more rooms')" in Result("show", made_trips, "broken").out


def test_show_what_the_process_has_no_class_for(made_trips: Path) -> None:
    assert "cli.trips" not in sys.modules
    text = Result("show", made_trips, "oslo-trip", "--state").out
    assert 'booking = {"type": "cli.trips:Booking", "value": {"city": "Oslo", "nights": 2}}' in text
    assert "visits = 2" in text
    state = told("show", made_trips, "oslo-trip", "--state")["state"]
    assert state["booking"]["value"] == {"city": "Oslo", "nights": 2}
    assert "messages" not in state
    chat = Result("show", made_trips, "chat").out
    assert "ai (cli.trips:OwnMessage)\n  Bergen is wet\n" in chat
    assert "human\n  See:\n  [image]\n" in chat
    assert "\x1b" not in chat
    assert "cli.trips" not in sys.modules


def test_show_as_json(made_trips: Path) -> None:
    found = told("show", made_trips, "oslo-trip", "--limit", 1)
    assert found.keys() == {"store", "session", "messages", "checkpoints", "head"}
    assert (found["session"]["id"], found["session"]["message_count"]) == ("oslo-trip", 4)
    assert [message["content"] for message in found["messages"]] == ["answer 2 to Hello again"]
    assert (found["checkpoints"], found["head"]["is_head"], found["head"]["messages"]) == (
        13, True, 4,
    )  # fmt: skip
    text = Result("show", made_trips, "oslo-trip", "--limit", 1).out
    assert f"… 3 earlier messages: threadloom messages {made_trips} oslo-trip" in text
    assert told("show", made_trips, "chat")["head"] is None


def test_a_conversation_that_only_its_graph_can_rebuild(tmp_path: Path) -> None:
    path = tmp_path / "delta.db"

    class Talk(TypedDict):
        messages: Annotated[list[Any], DeltaChannel(threads.extend, snapshot_frequency=1000)]

    with SessionManager(f"sqlite:///{path}") as sessions:
        graph = threads.line(Talk, one=lambda state: {"messages": [AIMessage("yes")]})
        compiled = graph.compile(checkpointer=sessions.checkpointer())
        compiled.invoke({"messages": [HumanMessage("well?")]}, threads.config("x"))
    text = Result("show", path, "x").out
    assert "channel 'messages' is a delta channel; only its graph can rebuild it" in text
    assert "is a delta channel" in fails(1, "messages", path, "x")


# ── messages ──────────────────────────────────────────────────────────────────────────────────
def test_messages(made_trips: Path) -> None:
    assert rows("messages", made_trips, "oslo-trip") == [
        ["00000000-0000-0000-0000-000000000001", "human", "Hello"],
        ["00000000-0000-0000-0000-000000000002", "ai", "answer 1 to Hello"],
        ["00000000-0000-0000-0000-000000000009", "human", "Hello again"],
        ["00000000-0000-0000-0000-00000000000a", "ai", "answer 2 to Hello again"],
    ]
    assert [row[2] for row in rows("messages", made_trips, "both")] == [
        "By the graph", "answer 1 to By the graph", "By the chain",
    ]  # fmt: skip
    for options, ids in {
        ("--limit", "2"): ["m2", ...],
        ("--limit", "1", "--before", "m2"): ["m1"],
        ("--before", "m2"): ["m1"],
        ("--before", "nobody"): [],
        ("--limit", "0"): [],
        ("--source", "graph"): [],
        ("--source", "history"): ["m1", "m2", ...],
    }.items():
        found = [row[0] for row in rows("messages", made_trips, "chat", *options)]
        assert len(found) == len(ids), options
        assert all(wanted in (..., id) for wanted, id in zip(ids, found, strict=True)), options


def test_messages_as_json(made_trips: Path) -> None:
    found = told("messages", made_trips, "chat")
    assert found.keys() == {"store", "session", "messages"}
    assert [message["type"] for message in found["messages"]] == ["human", "ai", "human"]
    assert found["messages"][1]["additional_kwargs"] == {
        "opaque_type": "cli.trips:OwnMessage", "mood": "grim",
    }  # fmt: skip
    assert told("messages", made_trips, "chat", "--limit", 0)["messages"] == []


def test_messages_are_printed_as_they_are_read(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "long.db"
    monkeypatch.setattr(paging, "PAGE", 3)
    with SessionManager(f"sqlite:///{path}") as sessions:
        sessions.memory("x").add_messages([HumanMessage(f"{n}", id=f"{n}") for n in range(10)])
        monkeypatch.setattr(SessionManager, "messages", None)
        assert [row[0] for row in rows("messages", path, "x")] == list("0123456789")
        walk = sessions.iter_messages("x")
        assert next(walk).id == "0"
        sessions.memory("x").append(HumanMessage("late", id="late"))
        assert [message.id for message in walk] == [*"123456789", "late"]


def test_calls_of_tools_are_shown(tmp_path: Path, made_trips: Path) -> None:
    tree = told("tree", made_trips, "oslo-trip")["checkpoints"]
    tip = next(node["id"] for node in tree if node["marks"] == ["tip"])
    copy = Result("fork", _copied(made_trips, tmp_path), "oslo-trip", "--checkpoint", tip).out
    text = Result("show", tmp_path / "copy.db", copy.strip()).out
    assert 'ai\n  Let me look.\n  → weather(city="Oslo")\n' in text
    assert "tool weather\n  Rain\n  and wind\n" in text


def _copied(path: Path, folder: Path) -> Path:
    copy = folder / "copy.db"
    copy.write_bytes(path.read_bytes())
    return copy


# ── tree ──────────────────────────────────────────────────────────────────────────────────────
def test_tree(made_trips: Path) -> None:
    found = rows("tree", made_trips, "oslo-trip")
    assert len(found) == 13
    assert {len(row) for row in found} == {10}
    assert [row[6] for row in found if row[6]] == ["tip", "head"]
    ids = [row[0] for row in found]
    assert [row[1] for row in found[:9]] == ["", *ids[:8]]
    assert found[9][1] == ids[1], "the branch leaves where the session was taken back to"
    nodes = told("tree", made_trips, "oslo-trip")["checkpoints"]
    assert [node["id"] for node in nodes] == ids
    assert nodes[9]["copy_of"] == ids[2]
    [waiting] = [n for n in told("tree", made_trips, "waiting")["checkpoints"] if n["interrupts"]]
    assert (waiting["interrupts"], waiting["marks"]) == (
        [{"ask": "Shall I book?"}], ["head", "interrupted"],
    )  # fmt: skip
    [broken] = [n for n in told("tree", made_trips, "broken")["checkpoints"] if n["errors"]]
    assert broken["errors"] == ["ValueError('no more rooms')"]
    assert rows("tree", made_trips, "chat") == []


def test_subgraphs_have_trees_of_their_own(migrated: Any) -> None:
    nodes = told("tree", migrated[1], "inherited")["checkpoints"]
    inner = [node for node in nodes if node["namespace"]]
    assert inner
    outer = {node["id"] for node in nodes if not node["namespace"]}
    assert {node["within"] for node in inner} <= outer


def drawn(links: dict[str, str | None], head: str) -> list[str]:
    parents = set(links.values())
    nodes = tuple(
        CheckpointNode(id=id, parent=parent, is_head=id == head, is_tip=id not in parents)
        for id, parent in links.items()
    )
    tree = CheckpointTree(session_id="x", nodes=nodes)
    return [line.lead + line.node.id for line in trees.draw(tree, "")]


def test_the_way_to_the_head_goes_straight_down() -> None:
    links = {"a": None, "b": "a", "c": "a", "d": "b", "e": "b", "f": "d", "g": "c", "h": None}
    assert drawn(links, "g") == ["○a", "├─○b", "│ ├─○d", "│ │ ○f", "│ ○e", "○c", "●g", "○h"]
    assert drawn(links, "f") == ["○a", "├─○c", "│ ○g", "○b", "├─○e", "○d", "●f", "○h"]
    chain = {str(n): str(n - 1) if n else None for n in range(5000)}
    assert drawn(chain, "4999")[-1] == "●4999"


def test_a_narrow_picture_has_short_ids() -> None:
    long = "1f1ea633-711c-66a6-8003-9d2661d1d602"
    tree = CheckpointTree(session_id="x", nodes=(CheckpointNode(id=long, step=3, messages=1),))
    [line] = trees.picture(tree, "", width=60)
    assert line.plain == "○ …61d1d602  step 3, 1 message"
    [line] = trees.picture(tree, "", width=120)
    assert line.plain.startswith(f"○ {long}  step 3, 1 message, 0 bytes")


# ── diff ──────────────────────────────────────────────────────────────────────────────────────
def test_diff(made_trips: Path) -> None:
    text = Result("diff", made_trips, "oslo-trip", "head~2").out
    lines = text.splitlines()
    assert lines[0].startswith("--- ")
    assert lines[0].endswith(", step 2")
    assert lines[1].endswith(", step 4")
    assert lines[2:] == [
        "booking: changed",
        '  - {"type": "cli.trips:Booking", "value": {"city": "Oslo", "nights": 1}}',
        '  + {"type": "cli.trips:Booking", "value": {"city": "Oslo", "nights": 2}}',
        "messages: 2 added",
        "  + human (00000000-0000-0000-0000-000000000009)",
        "    Hello again",
        "  + ai (00000000-0000-0000-0000-00000000000a)",
        "    answer 2 to Hello again",
        "visits: changed",
        "  - 1",
        "  + 2",
    ]
    back = Result("diff", made_trips, "oslo-trip", "head", "head~2").out
    assert "messages: 2 removed" in back
    assert "branch:" not in text
    assert "branch:" in Result("diff", made_trips, "oslo-trip", "head~1", "--all").out
    same = Result("diff", made_trips, "oslo-trip", "head", "head").out
    assert same.splitlines()[2] == "No channel of the graph differs"


def test_diff_as_json_and_how_checkpoints_are_named(made_trips: Path) -> None:
    nodes = told("tree", made_trips, "oslo-trip")["checkpoints"]
    ids = [node["id"] for node in nodes]
    for first in (ids[10], ids[10][-8:], ids[10][:18], f"{ids[11]}~1", "head~2"):
        found = told("diff", made_trips, "oslo-trip", first)
        assert (found["before"], found["after"]) == (ids[10], ids[12]), first
    changes = {change["channel"]: change for change in found["channels"]}
    assert changes["visits"] == {
        "channel": "visits", "kind": "changed", "before": 1, "after": 2, "messages": [],
    }  # fmt: skip
    [one, two] = changes["messages"]["messages"]
    assert (one["kind"], one["id"][-2:], two["after"]["type"]) == ("added", "09", "ai")
    for said, given in {
        "is the first": "head~99",
        "no checkpoint 'nobody'": "nobody",
        "may be 13 checkpoints": ids[0][:4],
        "no checkpoint ''": "",
    }.items():
        assert said in fails(1, "diff", made_trips, "oslo-trip", given)
    assert "no checkpoint at its head" in fails(1, "diff", made_trips, "chat", "head")


def test_diff_between_subgraphs(migrated: Any) -> None:
    path = migrated[1]
    nodes = told("tree", path, "inherited/done")["checkpoints"]
    inner = [node["id"] for node in nodes if node["namespace"]]
    found = told("diff", path, "inherited/done", inner[0], inner[-1])
    assert found["namespace"]
    [change] = [item for item in found["channels"] if item["channel"] == "log"]
    assert change["after"][-1] == "in2"
    assert "different graphs" in fails(1, "diff", path, "inherited/done", inner[0], "head")


def test_a_delta_channel_is_named_as_what_only_its_graph_knows(migrated: Any) -> None:
    found = told("diff", migrated[1], "rare", "head~1")
    assert found["unknown"] == ["log"]
    assert "log: has moved on" in Result("diff", migrated[1], "rare", "head~1").out


# ── search ────────────────────────────────────────────────────────────────────────────────────
def test_search(made_trips: Path) -> None:
    found = rows("search", made_trips, "bergen", "oslo")
    assert [row[0] for row in found] == ["oslo-trip", "chat"]
    assert float(found[0][2]) > float(found[1][2]) > 0
    assert found[1][4] == "What about Bergen?"
    assert [row[0] for row in rows("search", made_trips, '"answer*', "--owner", "ana")] == [
        "oslo-trip"
    ]
    assert len(rows("search", made_trips, "answer", "oslo", "bergen", "--limit", 1)) == 1
    assert rows("search", made_trips, "nothing-like-that") == []
    document = told("search", made_trips, "bergen")
    assert (document["query"], len(document["matches"])) == ("bergen", 1)
    assert document["matches"][0].keys() == {"session", "score", "snippet"}


def test_completion_of_ids(made_trips: Path) -> None:
    def completed(words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "threadloom"],
            env={
                "_THREADLOOM_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split(" ")) - 1),
                "PATH": "",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout

    assert completed(f"threadloom show {made_trips} oslo").split() == ["oslo-trip"]
    assert completing.ids({"store": str(made_trips)}, "") == [
        ("both", ""),
        ("chat", "Only a chat\N{REPLACEMENT CHARACTER}[31m"),
        ("broken", ""),
        ("waiting", ""),
        ("oslo-trip", "Oslo trip"),
    ]
    assert completing.ids({"store": str(made_trips), "tenant": "acme"}, "th") == [("theirs", "")]
    for nothing in ({}, {"store": "nothing.db"}, {"store": ""}, {"store": "ftp://x"}):
        assert completing.ids(nothing, "") == []
