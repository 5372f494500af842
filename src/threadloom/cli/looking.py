"""`threadloom show`, `messages`, `tree`, `diff` and `search`: looking, and nothing else."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.text import Text

from threadloom import (
    CheckpointTree,
    Keyring,
    SessionInfo,
    SessionMatch,
    SessionQuery,
    UnsupportedByStore,
)
from threadloom.cli import conversations, differences, finding, output, trees
from threadloom.cli.output import Column, Line
from threadloom.cli.places import Place
from threadloom.errors import CheckpointNotFound
from threadloom.sessions import SessionManager
from threadloom.sessions.conversation import Source
from threadloom.text import tokens
from threadloom.words.amounts import contents, counted
from threadloom.words.printable import visible
from threadloom.words.values import in_a_line, is_internal, plain

_MATCHES = (
    Column("id"),
    Column("name", rank=1),
    Column("score", right=True, rank=3),
    Column("updated", rank=2),
    Column("found"),
)
LAST = 20
"""Messages that `show` shows unless it is told otherwise."""


# ── show ──────────────────────────────────────────────────────────────────────────────────────
def show(
    place: Place,
    id: str,
    *,
    limit: int,
    state: bool,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Print a session: what is known of it, its newest messages, and what its graph waits for."""
    with place.sessions(tenant, keys) as sessions:
        info = finding.session(sessions, place, id)
        messages, why = _newest(sessions, info, limit)
        tree = sessions.checkpoint_tree(info)
        head = tree.head()
        channels = _state(sessions, info, tree) if state else {}
    if as_json:
        content: dict[str, Any] = {
            "store": place.shown,
            "session": info.model_dump(mode="json"),
            "messages": [conversations.document(message) for message in messages],
            "checkpoints": len(tree.nodes),
            "head": None if head is None else trees.document(head),
        }
        if state:
            content["state"] = {name: plain(value) for name, value in channels.items()}
        output.document(content)
        return
    output.lines(_facts(info, tree))
    left = info.message_count - len(messages)
    if why is not None:
        output.lines([Line(why, "yellow"), Line("")])
    elif left > 0:
        command = shlex.join(["threadloom", "messages", place.shown, info.id])
        note = f"… {counted(left, 'earlier message')}: {command}"
        output.lines([Line(note, "dim"), Line("")])
    output.lines(conversations.chat(messages))
    for name, value in channels.items():
        output.lines([Line(f"{name} = {in_a_line(value)}")])
    if head is not None:
        output.lines(Line(f"waits for: {in_a_line(item)}", "yellow") for item in head.interrupts)
        output.lines(Line(f"failed: {error}", "red") for error in head.errors)


def _newest(
    sessions: SessionManager, info: SessionInfo, limit: int
) -> tuple[list[BaseMessage], str | None]:
    """The newest messages, or why they cannot be shown."""
    try:
        return sessions.messages(info, limit=limit, opaque=True), None
    except UnsupportedByStore as error:
        return [], str(error)


def _state(sessions: SessionManager, info: SessionInfo, tree: CheckpointTree) -> dict[str, Any]:
    """The channels of the graph's head but its messages and LangGraph's own."""
    head = tree.head()
    if head is None:
        return {}
    found = sessions.compare_checkpoints(info, None, head.id)
    return {
        change.channel: change.after
        for change in found.channels
        if not change.messages and not is_internal(change.channel)
    }


def _facts(info: SessionInfo, tree: CheckpointTree) -> Iterator[Line]:
    yield Line(info.name or info.id, "bold")
    style = {"error": "red", "interrupted": "yellow", "running": "cyan"}.get(info.status, "dim")
    parts = [
        *([info.id] if info.name else []),
        info.status,
        *([f"of {info.owner}"] if info.owner else []),
        *([f"agent {info.agent_name}"] if info.agent_name else []),
        *([f"by {info.framework}"] if info.framework else []),
        *(f"#{tag}" for tag in info.tags),
    ]
    yield Line(" · ".join(parts), style)
    more = [counted(len(tree.nodes), "checkpoint")] if tree.nodes else []
    if (branches := len(tree.tips())) > 1:
        more.append(f"{branches} branches")
    yield Line(" · ".join(contents(info, *more)), "dim")
    times = f"created {info.created_at:%Y-%m-%d %H:%M}, updated {info.updated_at:%Y-%m-%d %H:%M}"
    if info.expires_at is not None:
        times += f", expires {info.expires_at:%Y-%m-%d %H:%M}"
    yield Line(times, "dim")
    if info.origin is not None and info.origin.session_id:
        yield Line(f"forked from {info.origin.session_id}", "dim")
    if info.metadata:
        yield Line(f"metadata {in_a_line(info.metadata)}", "dim")
    yield Line("")


# ── messages ──────────────────────────────────────────────────────────────────────────────────
def messages(
    place: Place,
    id: str,
    *,
    limit: int | None,
    before: str | None,
    source: Source,
    channel: str,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Print a conversation, oldest first, as it is read."""
    with place.sessions(tenant, keys) as sessions:
        info = finding.session(sessions, place, id)
        found: Iterable[BaseMessage]
        if limit is None and before is None:
            found = sessions.iter_messages(info, source=source, messages_key=channel, opaque=True)
        else:
            found = sessions.messages(
                info,
                limit=limit,
                before=before,
                source=source,
                messages_key=channel,
                opaque=True,
            )
        if as_json:
            content = (conversations.document(message) for message in found)
            output.stream({"store": place.shown, "session": info.id}, "messages", content)
        elif sys.stdout.isatty():
            output.lines(conversations.chat(found))
        else:
            output.table(conversations.COLUMNS, map(conversations.row, found))


# ── tree ──────────────────────────────────────────────────────────────────────────────────────
def tree(place: Place, id: str, *, tenant: str | None, keys: Keyring | None, as_json: bool) -> None:
    """Draw the checkpoints of a session."""
    with place.sessions(tenant, keys) as sessions:
        info = finding.session(sessions, place, id)
        found = sessions.checkpoint_tree(info)
    if as_json:
        nodes = [trees.document(node) for node in found.nodes]
        output.document({"store": place.shown, "session": info.id, "checkpoints": nodes})
        return
    if not sys.stdout.isatty():
        output.table(trees.COLUMNS, map(trees.row, found.nodes))
        return
    if not found.nodes:
        output.line(f"Session {info.id} has no checkpoints: no graph has run in it")
        return
    console = Console(highlight=False)
    for namespace in found.namespaces:
        if namespace:
            console.print(Text(f"\nsubgraph {namespace}", style="bold"))
        for line in trees.picture(found, namespace, width=console.width):
            console.print(line, overflow="fold")


# ── diff ──────────────────────────────────────────────────────────────────────────────────────
def diff(
    place: Place,
    id: str,
    before: str,
    after: str,
    *,
    everything: bool,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Print what has changed between two checkpoints of a session."""
    with place.sessions(tenant, keys) as sessions:
        info = finding.session(sessions, place, id)
        nodes = sessions.checkpoint_tree(info)
        first, second = finding.checkpoint(nodes, before), finding.checkpoint(nodes, after)
        if first.namespace != second.namespace:
            raise CheckpointNotFound(
                f"{first.id} and {second.id} are of different graphs: {first.namespace!r} and "
                f"{second.namespace!r}"
            )
        found = sessions.compare_checkpoints(info, first.id, second.id, namespace=first.namespace)
    if as_json:
        output.document({"store": place.shown, **differences.document(found)})
    else:
        output.lines(differences.told(found, first, second, everything=everything))


# ── search ────────────────────────────────────────────────────────────────────────────────────
def search(
    place: Place,
    words: str,
    *,
    filters: dict[str, Any],
    limit: int,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Print the sessions that words are found in, best first."""
    with place.sessions(tenant, keys) as sessions:
        found = sessions.search_sessions(SessionQuery(text=words, limit=limit, **filters))
    if as_json:
        matches = [match.model_dump(mode="json") for match in found]
        output.document({"store": place.shown, "query": words, "matches": matches})
        return
    rows = (_match(match, words) for match in found)
    output.table(_MATCHES, rows, none=f"Nothing found for {words!r}")


def _match(match: SessionMatch, words: str) -> tuple[Any, ...]:
    info = match.session
    return (
        info.id,
        info.name,
        f"{match.score:.2f}",
        info.updated_at,
        _marked(match.snippet, words),
    )


def _marked(snippet: str, words: str) -> Text:
    """A snippet whose words that were looked for stand out."""
    shown = Text(visible(snippet))
    wanted = sorted(set(tokens(words)), key=len, reverse=True)
    for word in wanted:
        shown.highlight_words([word], style="bold yellow", case_sensitive=False)
    return shown


__all__ = ["LAST", "diff", "messages", "search", "show", "tree"]
