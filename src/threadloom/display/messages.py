"""How a conversation looks in a notebook: when it was, and what was said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from math import sqrt

from langchain_core.messages import BaseMessage

from threadloom.display.markup import HUES, Html, block, moment, safe, tag
from threadloom.words.amounts import counted
from threadloom.words.speech import calls, said, title

_MOST = 200
"""Messages that are shown, the newest."""
_LONGEST = 1_500
"""Characters of a message that are shown at once."""
_FOLDED = 20_000
"""Characters of one that can be unfolded; of a longer one no more than its beginning is shown."""
_CALLS = 20
"""Calls of a message that are shown."""

_WHO = {"human": "green", "ai": "blue", "system": "violet", "tool": "amber"}
_WIDTH, _LEFT, _LANE, _DOT = 880, 90, 22, 3.0
_SVG = "http://www.w3.org/2000/svg"


def chat(messages: Sequence[BaseMessage], times: Mapping[str, datetime] | None = None) -> Html:
    """A conversation, message by message.

    Args:
        messages: oldest first.
        times: by message id, when they were added.
    """
    if not messages:
        return tag("div", "No messages", css="dim")
    known = times or {}
    left_out = len(messages) - _MOST
    parts = []
    if left_out > 0:
        parts.append(tag("div", f"… {counted(left_out, 'earlier message')}", css="dim"))
    parts += (_message(item, known.get(item.id or "")) for item in messages[-_MOST:])
    return Html(timeline(messages[-_MOST:], known) + "".join(parts))


def _message(message: BaseMessage, at: datetime | None) -> Html:
    hue = HUES[hue_of(message)]
    who = tag("b", title(message), style=f"color:{hue}")
    when = Html("") if at is None else tag("span", " ", moment(at), css="dim")
    content = folded(said(message))
    called = [tag("div", tag("code", call), css="text") for call in islice(calls(message), _CALLS)]
    return tag(
        "div",
        Html(who + when),
        Html("".join((content, *called))),
        style=f"border-left:3px solid {hue};padding:1px 0 3px 9px;margin:7px 0",
    )


def folded(content: str) -> Html:
    """A text of several lines, a long one folded."""
    if not content:
        return Html("")
    if len(content) <= _LONGEST:
        return tag("div", block(content), css="text")
    begin = tag("div", block(content[:_LONGEST]), "…", css="text")
    rest = counted(len(content) - _LONGEST, "more character")
    if len(content) > _FOLDED:
        return Html(begin + tag("div", rest, css="dim"))
    whole = tag("div", block(content[_LONGEST:]), css="text")
    return Html(begin + tag("details", tag("summary", rest), whole))


def hue_of(message: BaseMessage) -> str:
    """The colour of who speaks."""
    return _WHO.get(message.type, "grey")


# ── when it was ───────────────────────────────────────────────────────────────────────────────
def timeline(messages: Sequence[BaseMessage], times: Mapping[str, datetime]) -> Html:
    """Who spoke when, a line for each; nothing where fewer than two times are known."""
    known = [(times[item.id], item) for item in messages if item.id and item.id in times]
    moments = [at for at, _ in known]
    if len(set(moments)) < 2:
        return Html("")
    first, last = min(moments), max(moments)
    span = (last - first).total_seconds()
    lanes = {kind: number for number, kind in enumerate(dict.fromkeys(m.type for _, m in known))}
    height = _LANE * len(lanes) + 20
    dots = _dots(known, lanes, first, span)
    drawn = "".join((*_lanes(lanes), *dots, *_ends(first, last, height)))
    return Html(
        f'<svg xmlns="{_SVG}" role="img" aria-label="Who spoke when" '
        f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'style="max-width:100%;height:auto;font:11px sans-serif">{drawn}</svg>'
    )


def _lanes(lanes: Mapping[str, int]) -> Iterator[str]:
    for kind, lane in lanes.items():
        y = _LANE * lane + _LANE / 2
        yield (
            f'<text x="0" y="{y + 4:g}" fill="currentColor" opacity=".75">{safe(kind)}</text>'
            f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:g}" y2="{y:g}" '
            'stroke="currentColor" opacity=".2"/>'
        )


def _dots(
    known: Sequence[tuple[datetime, BaseMessage]],
    lanes: Mapping[str, int],
    first: datetime,
    span: float,
) -> Iterator[str]:
    for at, message in known:
        x = _LEFT + 10 + (_WIDTH - _LEFT - 30) * ((at - first).total_seconds() / span)
        y = _LANE * lanes[message.type] + _LANE / 2
        size = min(_DOT + sqrt(len(said(message))) / 8, _LANE / 2 - 1)
        told = f"{title(message)}, {at.astimezone(UTC):%Y-%m-%d %H:%M:%S}: {said(message)[:80]}"
        yield (
            f'<circle cx="{x:.1f}" cy="{y:g}" r="{size:.1f}" fill="{HUES[hue_of(message)]}" '
            f'opacity=".8"><title>{safe(told)}</title></circle>'
        )


def _ends(first: datetime, last: datetime, height: int) -> Iterator[str]:
    style = "%Y-%m-%d %H:%M" if (last - first).total_seconds() >= 600 else "%Y-%m-%d %H:%M:%S"
    for at, x, anchor in ((first, _LEFT, "start"), (last, _WIDTH - 10, "end")):
        yield (
            f'<text x="{x}" y="{height - 5}" text-anchor="{anchor}" fill="currentColor" '
            f'opacity=".62">{at.astimezone(UTC).strftime(style)}</text>'
        )


__all__ = ["chat", "folded", "hue_of", "timeline"]
