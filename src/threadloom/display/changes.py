"""How the differences between two checkpoints look in a notebook."""

from __future__ import annotations

from collections.abc import Iterator

from threadloom import ChannelChange, CheckpointDiff, MessageChange
from threadloom.display.markup import HUES, Html, joined, safe, tag
from threadloom.display.messages import folded
from threadloom.words.speech import content, title
from threadloom.words.unlike import MARKS, unlike
from threadloom.words.values import is_internal, plain, text

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
        before, after = content(change.before), content(change.after)
        if before == after:  # what differs is not among what was said
            before, after = text(plain(change.before)), text(plain(change.after))
        return Html(head + _compared(before, after))
    return Html(head + tag("div", folded(content(some)), style="margin-left:14px"))


def _compared(before: str, after: str) -> Html:
    lines = list(_lines(before[:_LONGEST], after[:_LONGEST]))
    if max(len(before), len(after)) > _LONGEST:
        lines.append(safe("… of the rest nothing is shown"))
    first = Html("\n".join(lines[:_MOST]))
    more = tag("div", f"… {len(lines) - _MOST:,} more lines", css="dim")
    shown = tag("div", first, css="text", style="margin-left:14px;font-family:monospace")
    return Html(shown + more) if len(lines) > _MOST else shown


def _lines(before: str, after: str) -> Iterator[Html]:
    for mark, line in unlike(before, after):
        hue = _LINES.get(mark)
        yield safe(line) if hue is None else tag("span", line, style=f"color:{HUES[hue]}")


__all__ = ["differences"]
