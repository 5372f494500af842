"""Which lines of a transcript the conversation consists of, where somebody went back in it.

Each entry names the one before it (``parentUuid``). A transcript is only ever added to: who goes
back to an earlier point and asks something else leaves what came after it in the transcript, and
the new question names the earlier point. Only questions turn back; the results of tools that ran
side by side have different parents as well, and all of them count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from threadloom_claude_agent_sdk.showing import answers, calls, is_shown, response_id

_LINKED = frozenset({"user", "assistant", "attachment", "progress", "system"})


def link(entry: Any) -> str | None:
    """The id under which later entries may name an entry as theirs before; None for none."""
    if not isinstance(entry, dict) or entry.get("type") not in _LINKED or entry.get("isSidechain"):
        return None
    uuid = entry.get("uuid")
    return uuid if isinstance(uuid, str) and uuid else None


def last_link(entries: Sequence[Any], before: str | None = None) -> str | None:
    """The last id among entries that later ones may name, or the one before them."""
    return next((id for entry in reversed(entries) if (id := link(entry))), before)


def turns_back(entry: Any, last: str | None) -> bool:
    """Whether an entry is a question that does not follow what was last."""
    if last is None or link(entry) is None or not is_shown(entry):
        return False
    if entry["type"] != "user" or answers(entry) or "parentUuid" not in entry:
        return False
    return bool(entry["parentUuid"] != last)


def conversation(entries: Sequence[Any]) -> list[int]:
    """The places of the entries that the conversation consists of, in order.

    Entries that nothing refers to, such as titles, belong to it where what is around them does.
    """
    line: list[int] = []
    places: dict[str, int] = {}
    last: str | None = None
    for at, entry in enumerate(entries):
        if turns_back(entry, last):
            parent = entry["parentUuid"]
            if parent in places:
                line = _back_to(places[parent], entries, places, line)
            elif parent is None and not entry.get("logicalParentUuid"):
                line = []
        line.append(at)
        if id := link(entry):
            places[id] = at
            last = id
    return line


def _back_to(
    place: int, entries: Sequence[Any], places: dict[str, int], line: Sequence[int]
) -> list[int]:
    """The conversation as it was at a place; what stands before its first entry stays."""
    chain: set[int] = set()
    here: int | None = place
    while here is not None and here not in chain:
        chain.add(here)
        entry = entries[here]
        before = entry.get("parentUuid") or entry.get("logicalParentUuid")
        here = places.get(before) if isinstance(before, str) else None
    first = min(chain)
    responses = {id for at in chain if (id := response_id(entries[at])) is not None}
    said = [at for at in places.values() if at in chain or response_id(entries[at]) in responses]
    called = {call for at in said for call in calls(entries[at])}
    answered = [at for at in places.values() if called.intersection(answers(entries[at]))]
    kept = [at for at in line if at < first or (at < place and not is_shown(entries[at]))]
    back: list[int] = []
    for at in sorted({*kept, *said, *answered}, reverse=True):
        # What is not shown belongs to what is shown behind it. Where that is left out, so is this:
        # otherwise what is shown next would reach back over all that is left out.
        if is_shown(entries[at]) or (back and back[-1] == at + 1):
            back.append(at)
    return back[::-1]
