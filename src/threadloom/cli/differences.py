"""What differs between two checkpoints, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from threadloom import ChannelChange, CheckpointDiff, CheckpointNode, MessageChange
from threadloom.cli.output import Line
from threadloom.words.speech import content, title
from threadloom.words.unlike import MARKS, unlike
from threadloom.words.values import is_internal, plain, text

_STYLES = {"+": "green", "-": "red", "~": "yellow", "…": "dim"}
_INDENT = 2


def told(
    diff: CheckpointDiff,
    before: CheckpointNode | None,
    after: CheckpointNode,
    *,
    everything: bool = False,
) -> Iterator[Line]:
    """The differences, channel by channel.

    Args:
        diff: what differs.
        before, after: the two checkpoints.
        everything: LangGraph's own channels as well.
    """
    yield Line("--- " + ("nothing" if before is None else _name(before)), "bold red")
    yield Line("+++ " + _name(after), "bold green")
    changes = [item for item in diff.channels if everything or not is_internal(item.channel)]
    for change in changes:
        yield from channel(change)
    for name in diff.unknown:
        if everything or not is_internal(name):
            yield Line(f"{name}: has moved on; as a delta channel only its graph rebuilds it")
    if not changes and not diff.unknown:
        yield Line("No channel of the graph differs")


def _name(node: CheckpointNode) -> str:
    step = "" if node.step is None else f", step {node.step}"
    space = f", namespace {node.namespace}" if node.namespace else ""
    return f"{node.id}{step}{space}"


def channel(change: ChannelChange) -> Iterator[Line]:
    """What differs in one channel."""
    if change.messages:
        kinds = [item.kind for item in change.messages]
        counts = [f"{kinds.count(kind)} {kind}" for kind in MARKS if kind in kinds]
        yield Line(f"{change.channel}: {', '.join(counts)}", "bold")
        for item in change.messages:
            yield from _message(item)
        return
    yield Line(f"{change.channel}: {change.kind}", "bold")
    yield from _compared(text(change.before), text(change.after), change.kind)


def _message(change: MessageChange) -> Iterator[Line]:
    mark, style = MARKS[change.kind], _STYLES[MARKS[change.kind]]
    some = change.after if change.before is None else change.before
    yield Line(f"{mark} {title(some)} ({some.id})", style, _INDENT)
    if change.kind != "changed":
        yield Line(content(some), style, 2 * _INDENT)
        return
    old, new = content(change.before), content(change.after)
    if old == new:
        old, new = text(plain(change.before)), text(plain(change.after))
    yield from _compared(old, new, "changed", indent=2 * _INDENT)


def _compared(before: str, after: str, kind: str, indent: int = _INDENT) -> Iterator[Line]:
    old, new = "" if kind == "added" else before, "" if kind == "removed" else after
    for mark, line in unlike(old, new):
        yield Line(line, _STYLES.get(mark, ""), indent)


def document(diff: CheckpointDiff) -> dict[str, Any]:
    """The differences as JSON."""
    found = plain(diff)
    assert isinstance(found, dict)
    for shown, change in zip(found["channels"], diff.channels, strict=True):
        for item, message in zip(shown["messages"], change.messages, strict=True):
            item["id"] = message.id
    return found


__all__ = ["channel", "document", "told"]
