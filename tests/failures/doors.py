"""Every public method of whatever a tenant can get hold of, each as a step to take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.store.base import GetOp, ListNamespacesOp, PutOp, SearchOp

from streamed import call, say, stream_of
from threadloom import (
    MemoryStore,
    Session,
    SessionInfo,
    SessionManager,
    SessionStream,
    SharedState,
    StoreChatMessageHistory,
    StoreCheckpointer,
)
from threadloom.history import Memory
from threadloom.views import TenantStore

from .helpers import checkpoint, config


class Step(NamedTuple):
    """What a step is told.

    Attributes:
        manager: whose step it is.
        one: a session's id.
        two: another one.
        number: which step it is.
        folder: where the manager may write files.
    """

    manager: SessionManager
    one: str
    two: str
    number: int
    folder: Path

    @property
    def saver(self) -> StoreCheckpointer:
        return self.manager.checkpointer()

    @property
    def notes(self) -> tuple[str, ...]:
        return ("notes", self.one.strip("~"))

    @property
    def word(self) -> str:
        return f"word{self.number % 3}"

    def history(self) -> StoreChatMessageHistory:
        history = self.manager.memory(self.one)
        assert isinstance(history, StoreChatMessageHistory)
        return history


HOUR = timedelta(hours=1)


def _put(step: Step) -> Any:
    messages = [HumanMessage(f"g {step.word}", id="g")]
    made = checkpoint(f"{step.number:04}", messages=messages)
    parent = step.saver.get_tuple(config(step.one))
    named = config(step.one, checkpoint_ns="")
    if parent is not None:
        named["configurable"]["checkpoint_id"] = parent.checkpoint["id"]
    run = f"r{step.number % 3}"
    metadata: Any = {"source": "loop", "step": step.number, "run_id": run}
    return step.saver.put(named, made, metadata, made["channel_versions"])


def _put_writes(step: Step) -> Any:
    head = step.saver.get_tuple(config(step.one))
    if head is not None:
        step.saver.put_writes(head.config, [("messages", [step.number])], f"task{step.number}")


def _turn(step: Step) -> Any:
    with step.manager.turn(step.one, turn_id=f"turn{step.number}") as turn:
        turn.add_tokens(step.number)


def _import(step: Step) -> Any:
    path = step.folder / "sessions.jsonl"
    step.manager.export_sessions(path)
    return step.manager.import_sessions(path, if_exists="replace")


def _delta(step: Step) -> Any:
    head = step.saver.get_tuple(config(step.one))
    if head is None:
        return None
    return step.saver.get_delta_channel_history(config=head.config, channels=["messages"])


def _compare(step: Step) -> Any:
    head = step.saver.get_tuple(config(step.one))
    return step.manager.compare_checkpoints(
        step.one, None, "none" if head is None else head.checkpoint["id"]
    )


def _save(step: Step) -> Any:
    info = SessionInfo(id=step.one, name=f"saved {step.word}", owner=step.two)
    state = {"n": step.number}
    return step.manager.save_session(
        Session(info=info, messages=[HumanMessage(step.word, id="h")], state=state)
    )


def _batch(step: Step) -> Any:
    ops = [
        PutOp(step.notes, step.two, {"n": step.number, "t": step.word}, ttl=1.0),
        GetOp(step.notes, step.one),
        SearchOp((), {"n": {"$gt": 3}}, query=step.word),
        ListNamespacesOp(max_depth=1),
    ]
    return step.manager.store.batch(ops)


def _append(step: Step) -> Any:
    items = [say(step.word, id=f"i{step.number}"), call(f"c{step.number}")]
    shared = {("user", step.two): {step.one: step.word}}
    stream = stream_of(step.manager, step.one)
    return stream.append(items, ids=[step.word, None], note=step.word, shared=shared)


STEPS: dict[str, Callable[[Step], Any]] = {
    # The manager
    "check": lambda s: s.manager.check(),
    "checkpoint_tree": lambda s: s.manager.checkpoint_tree(s.one),
    "cleanup_stale": lambda s: s.manager.cleanup_stale(timedelta(seconds=9)),
    "compact": lambda s: s.manager.compact(s.one),
    "compare_checkpoints": _compare,
    "copy_sessions": lambda s: s.manager.copy_sessions(MemoryStore()),
    "count_sessions": lambda s: s.manager.count_sessions(owner=s.two),
    "create_session": lambda s: s.manager.create_session(
        id=s.one, name=f"n {s.word}", owner=s.two, tags=[s.two], ttl=HOUR if s.number % 2 else None
    ),
    "delete_session": lambda s: s.manager.delete_session(s.one),
    "delete_sessions": lambda s: s.manager.delete_sessions(owner=s.two),
    "export_sessions": lambda s: s.manager.export_sessions(s.folder / f"{s.number}.jsonl"),
    "fork_session": lambda s: s.manager.fork_session(s.one),
    "get_session": lambda s: s.manager.get_session(s.one),
    "get_status": lambda s: s.manager.get_status(s.one),
    "import_sessions": _import,
    "iter_messages": lambda s: list(s.manager.iter_messages(s.one)),
    "list_running_sessions": lambda s: s.manager.list_running_sessions(),
    "list_session_ids": lambda s: sorted(s.manager.list_session_ids()),
    "list_sessions": lambda s: list(s.manager.list_sessions(order_by="updated_at", limit=3)),
    "list_stuck_sessions": lambda s: s.manager.list_stuck_sessions(timedelta(seconds=1)),
    "load_session": lambda s: s.manager.load_session(s.one),
    "messages": lambda s: s.manager.messages(s.one),
    "prune": lambda s: s.manager.prune(),
    "rename_session": lambda s: s.manager.rename_session(s.one, f"renamed {s.word}"),
    "resume_session": lambda s: s.manager.resume_session(s.one),
    "rewind_session": lambda s: s.manager.rewind_session(s.one, messages=s.number % 2),
    "save_session": _save,
    # Scores look at all words of a store's file, so the order may differ, and nothing else.
    "search_sessions": lambda s: sorted(
        match.session.id for match in s.manager.search_sessions(s.word)
    ),
    "set_status": lambda s: s.manager.set_status(s.one, "error"),
    "stats": lambda s: s.manager.stats(),
    "tag_session": lambda s: s.manager.tag_session(s.one, s.two, s.word),
    "turn": _turn,
    "untag_session": lambda s: s.manager.untag_session(s.one, s.two),
    "update_session": lambda s: s.manager.update_session(
        s.one, owner=s.two, create=bool(s.number % 2)
    ),
    # Long-term memory
    "store.batch": _batch,
    "store.delete": lambda s: s.manager.store.delete(s.notes, s.two),
    "store.get": lambda s: s.manager.store.get(s.notes, s.two),
    "store.list_namespaces": lambda s: s.manager.store.list_namespaces(suffix=("*",)),
    "store.put": lambda s: s.manager.store.put(s.notes, s.two, {"n": s.number, "t": s.word}),
    "store.search": lambda s: s.manager.store.search(("notes",), query=s.word),
    "store.sweep_ttl": lambda s: s.manager.store.sweep_ttl(),
    # Chat histories
    "memory.append": lambda s: s.manager.memory.append(s.one, AIMessage(s.word, id=f"m{s.number}")),
    "memory.clear": lambda s: s.manager.memory.clear(s.one),
    "memory.get_summary": lambda s: s.manager.memory.get_summary(s.one),
    "memory.load": lambda s: s.manager.memory.load(s.one),
    "memory.set_summary": lambda s: s.manager.memory.set_summary(s.one, s.word),
    "history.add_ai_message": lambda s: s.history().add_ai_message(AIMessage(s.word, id="ai")),
    "history.add_message": lambda s: s.history().add_message(AIMessage(s.word, id="one")),
    "history.add_messages": lambda s: s.history().add_messages([HumanMessage(s.word, id=s.word)]),
    "history.add_user_message": lambda s: s.history().add_user_message(
        HumanMessage(s.word, id="user")
    ),
    "history.append": lambda s: s.history().append(HumanMessage(s.word, id=f"h{s.number}")),
    "history.clear": lambda s: s.history().clear(),
    "history.clear_messages": lambda s: s.history().clear_messages(),
    "history.get_summary": lambda s: s.history().get_summary(),
    "history.load": lambda s: s.history().load(limit=2),
    "history.load_with_timestamps": lambda s: s.history().load_with_timestamps(),
    "history.messages": lambda s: s.history().messages,
    "history.remove_last": lambda s: s.history().remove_last(),
    "history.set_summary": lambda s: s.history().set_summary(s.word),
    "history.update_last": lambda s: s.history().update_last(AIMessage(s.word)),
    # Streams
    "list_streams": lambda s: s.manager.list_streams(s.one),
    "read_streams": lambda s: s.manager.read_streams([s.one, s.two]),
    "shared_states": lambda s: s.manager.shared_states([("user", s.one), ("user", s.two)]),
    "shared.read": lambda s: s.manager.shared_state("user", s.two).read(),
    "shared.update": lambda s: s.manager.shared_state("user", s.two).update({"by": s.word}),
    "stream.append": _append,
    "stream.clear": lambda s: stream_of(s.manager, s.one).clear(),
    "stream.drop": lambda s: stream_of(s.manager, s.one).drop(),
    "stream.find": lambda s: stream_of(s.manager, s.one).find([s.word]),
    "stream.pop": lambda s: stream_of(s.manager, s.one).pop(),
    "stream.read": lambda s: stream_of(s.manager, s.one).read(limit=3),
    "stream.replace": lambda s: stream_of(s.manager, s.one).replace([say(s.word, id=s.word)]),
    # Checkpoints
    "checkpointer.copy_thread": lambda s: s.saver.copy_thread(s.one, s.two),
    "checkpointer.delete_for_runs": lambda s: s.saver.delete_for_runs([f"r{s.number % 3}"]),
    "checkpointer.delete_thread": lambda s: s.saver.delete_thread(s.one),
    "checkpointer.get": lambda s: s.saver.get(config(s.one)),
    "checkpointer.get_delta_channel_history": _delta,
    "checkpointer.get_tuple": lambda s: s.saver.get_tuple(config(s.one)),
    "checkpointer.list": lambda s: list(s.saver.list(None)),
    "checkpointer.prune": lambda s: s.saver.prune([s.one]),
    "checkpointer.put": _put,
    "checkpointer.put_writes": _put_writes,
}

NO_STEPS = {
    # What opens and closes, what other doors hang on, and what holds no data.
    *("checkpointer", "close", "memory", "open", "setup", "shared_state", "store", "stream"),
    *("store.index_config", "store.supports_ttl", "store.ttl_config"),
    *("store.start_ttl_sweeper", "store.stop_ttl_sweeper"),
    "history.session_id",
    *("checkpointer.config_specs", "checkpointer.get_next_version", "checkpointer.serde"),
    *("checkpointer.setup", "checkpointer.with_allowlist"),
}


def public(prefix: str, cls: type) -> set[str]:
    """What a class shows that is not the twin of another, each name behind a prefix."""
    names = {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}
    twins = {name for name in names if name.startswith("a") and name[1:] in names}
    twins |= {name for name in names if name == "aget_messages"}
    return {prefix + name for name in names - twins}


PUBLIC = (
    public("", SessionManager)
    | public("store.", TenantStore)
    | public("memory.", Memory)
    | public("history.", StoreChatMessageHistory)
    | public("checkpointer.", StoreCheckpointer)
    | public("stream.", SessionStream)
    | public("shared.", SharedState)
)
