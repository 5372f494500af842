"""How the differences between two checkpoints look in a notebook."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from threadloom import ChannelChange, CheckpointDiff, MessageChange
from threadloom.display.markup import HUES, Html, joined, safe, tag
from threadloom.display.messages import folded
from threadloom.display.speech import calls, said, title
from threadloom.display.values import is_internal, plain, text

MARKS = {"added": "+", "removed": "-", "changed": "~"}
_HUES = {"added": "green", "removed": "red", "changed": "amber"}
_LINES = {"+": "green", "-": "red"}
_MOST = 200
"""Lines of a difference, and messages of a channel, that are shown."""
_LONGEST = 20_000
"""Characters of a value that are compared."""


def differences(diff: CheckpointDiff) -> Html:
    """What has changed, channel by channel; LangGraph's own channels are left out."""
    names = [tag("code", diff.before or "nothing"), tag("code", diff.after)]
    head = tag("div", joined(names, " → "))
    shown = [change for change in diff.channels if not is_internal(change.channel)]
    unknown = [name for name in diff.unknown if not is_internal(name)]
    parts = [_channel(change) for change in shown]
    parts += (
        tag("div", tag("b", name), " has moved on; as a delta channel only its graph rebuilds it")
        for name in unknown
    )
    if not parts:
        parts = [tag("div", "No channel of the graph differs", css="dim")]
    return Html(head + "".join(parts))


def _channel(change: ChannelChange) -> Html:
    head = tag("div", tag("b", change.channel), f" {change.kind}", style="margin-top:6px")
    if change.messages:
        more = tag("div", f"… {len(change.messages) - _MOST:,} more", css="dim")
        shown = "".join(map(_message, change.messages[:_MOST]))
        return Html(head + shown + (more if len(change.messages) > _MOST else ""))
    before = "" if change.kind == "added" else text(change.before)
    after = "" if change.kind == "removed" else text(change.after)
    return Html(head + _compared(before, after))


def _message(change: MessageChange) -> Html:
    some = change.after if change.before is None else change.before
    hue = HUES[_HUES[change.kind]]
    who = tag("span", f"{MARKS[change.kind]} {title(some)}", style=f"color:{hue}")
    head = tag("div", who, " ", tag("code", change.id or "", css="dim"))
    if change.kind == "changed":
        before, after = _content(change.before), _content(change.after)
        if before == after:  # what differs is not among what was said
            before, after = text(plain(change.before)), text(plain(change.after))
        return Html(head + _compared(before, after))
    return Html(head + tag("div", folded(_content(some)), style="margin-left:14px"))


def _content(message: object) -> str:
    return "\n".join([said(message), *calls(message)]).strip()  # type: ignore[arg-type]


def _compared(before: str, after: str) -> Html:
    lines = list(_lines(before[:_LONGEST], after[:_LONGEST]))
    if max(len(before), len(after)) > _LONGEST:
        lines.append(safe("… of the rest nothing is shown"))
    content = Html("\n".join(lines[:_MOST]))
    more = tag("div", f"… {len(lines) - _MOST:,} more lines", css="dim")
    shown = tag("div", content, css="text", style="margin-left:14px;font-family:monospace")
    return Html(shown + more) if len(lines) > _MOST else shown


def _lines(before: str, after: str) -> Iterator[Html]:
    old, new = (part.split("\n") if part else [] for part in (before, after))
    for number, line in enumerate(difflib.unified_diff(old, new, n=1, lineterm="")):
        if number < 2:  # the names of files
            continue
        if line.startswith("@@"):
            if number > 2:
                yield safe("…")
            continue
        hue = _LINES.get(line[0])
        told = f"{line[0]} {line[1:]}"
        yield safe(told) if hue is None else tag("span", told, style=f"color:{HUES[hue]}")


__all__ = ["MARKS", "differences"]
