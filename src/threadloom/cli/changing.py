"""`threadloom fork`, `rewind`, `tag`, `untag`, `rename` and `delete`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from threadloom import Keyring, SessionInfo
from threadloom.cli import finding, output
from threadloom.cli.asking import ask
from threadloom.cli.group import FAILED, OK, USAGE, Fault
from threadloom.cli.listing import pages
from threadloom.cli.output import Column
from threadloom.cli.places import Place
from threadloom.errors import SessionConflict
from threadloom.sessions import SessionManager
from threadloom.words.amounts import counted

_DOOMED = (
    Column("id"),
    Column("name"),
    Column("owner", rank=3),
    Column("status", rank=1),
    Column("messages", right=True),
    Column("updated", rank=2),
)


def fork(
    place: Place,
    id: str,
    *,
    name: str | None,
    checkpoint: str | None,
    messages: int | None,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Copy a session and print the id of the copy."""
    if checkpoint is not None and messages is not None:
        raise Fault("fork up to what? Give --messages N or --checkpoint ID, not both", code=USAGE)
    with place.sessions(tenant, keys) as sessions:
        info = finding.session(sessions, place, id)
        at = _checkpoint_id(sessions, info, checkpoint)
        made = sessions.fork_session(info, name=name, checkpoint_id=at, messages=messages)
    _tell(place, made, as_json=as_json, text=made.id)


def rewind(
    place: Place,
    id: str,
    *,
    checkpoint: str | None,
    messages: int | None,
    dry_run: bool,
    yes: bool,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Take a session back, after a question."""
    if (checkpoint is None) == (messages is None):
        raise Fault("rewind to what? Give either --messages N or --checkpoint ID", code=USAGE)
    with place.sessions(tenant, keys) as sessions:
        info = finding.session(sessions, place, id)
        at = _checkpoint_id(sessions, info, checkpoint)
        if messages is not None:
            kept = min(messages, info.message_count)
            what = f"to its first {counted(kept, 'message')} of {info.message_count:,}"
        else:
            what = f"to checkpoint {at}"
        if dry_run:
            if as_json:
                session = info.model_dump(mode="json")
                output.document({"store": place.shown, "session": session, "dry_run": True})
            else:
                output.fact(f"Dry run, nothing was changed: {_named(info)} would go back {what}")
            return
        ask(f"Take {_named(info)} back {what}?", yes=yes)
        made = sessions.rewind_session(info, checkpoint_id=at, messages=messages).info
    text = f"{_named(made)} has {counted(made.message_count, 'message')} now"
    _tell(place, made, as_json=as_json, text=text)


def _checkpoint_id(sessions: SessionManager, info: SessionInfo, said: str | None) -> str | None:
    """The id of a checkpoint of the graph itself, as people name it."""
    if said is None:
        return None
    node = finding.checkpoint(sessions.checkpoint_tree(info), said)
    if node.namespace:
        raise Fault(
            f"checkpoint {node.id} is a subgraph's, of {node.namespace!r}: give one of the graph "
            "itself" + (f", such as {node.within}, which it ran under" if node.within else "")
        )
    return node.id


def tag(
    place: Place,
    id: str,
    tags: Sequence[str],
    *,
    take_away: bool,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Add tags or take them away, and print those that are there."""
    with place.sessions(tenant, keys) as sessions:
        info = finding.session(sessions, place, id)
        change = sessions.untag_session if take_away else sessions.tag_session
        made = change(info, *tags)
    _tell(place, made, as_json=as_json, text="\n".join(made.tags))


def rename(
    place: Place, id: str, name: str, *, tenant: str | None, keys: Keyring | None, as_json: bool
) -> None:
    """Give a session another name."""
    with place.sessions(tenant, keys) as sessions:
        made = sessions.rename_session(finding.session(sessions, place, id), name)
    _tell(place, made, as_json=as_json, text=f'{made.id} is called "{made.name}"')


def _tell(place: Place, info: SessionInfo, *, as_json: bool, text: str) -> None:
    if as_json:
        output.document({"store": place.shown, "session": info.model_dump(mode="json")})
    elif text:
        output.lines([output.Line(text)])


def _named(info: SessionInfo) -> str:
    return f'"{info.name}" ({info.id})' if info.name else info.id


# ── delete ────────────────────────────────────────────────────────────────────────────────────
def delete(
    place: Place,
    ids: Sequence[str],
    *,
    filters: dict[str, Any],
    older_than: timedelta | None,
    dry_run: bool,
    yes: bool,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> int:
    """Delete sessions, by their ids or all that pass filters, after a question.

    By filters a session with a turn under way is spared, and one that changed after the question.
    Returns the exit code.
    """
    by_filter = bool(filters) or older_than is not None
    if bool(ids) == by_filter:
        raise Fault("delete what? Give either ids or filters such as --older-than", code=USAGE)
    with place.sessions(tenant, keys) as sessions:
        if by_filter:
            found = list(_passing(sessions, filters, older_than))
        else:
            found = finding.all_sessions(sessions, place, ids)
        if dry_run or not found:
            return _deleted(place, found, [], dry_run=dry_run, as_json=as_json)
        if not yes and not as_json:
            output.rows_for_people(_DOOMED, map(_doomed, found))
        ask(f"{_question(found)}", yes=yes)
        gone: list[SessionInfo] = []
        spared: list[SessionInfo] = []
        with output.counting("Deleting", quiet=as_json) as show:
            for number, info in enumerate(found, start=1):
                version = info.version if by_filter else None
                (gone if _erased(sessions, info, version) else spared).append(info)
                if show is not None:
                    show(number, len(found), info.id)
    return _deleted(place, gone, spared, dry_run=False, as_json=as_json)


def _passing(
    sessions: SessionManager, filters: dict[str, Any], older_than: timedelta | None
) -> Iterator[SessionInfo]:
    end = None if older_than is None else datetime.now(UTC) - older_than
    for info in pages(sessions, "created_at", None, filters):
        is_old = end is None or info.updated_at < end
        if is_old and (info.status != "running" or "status" in filters):
            yield info


def _erased(sessions: SessionManager, info: SessionInfo, version: int | None) -> bool:
    try:
        return sessions.delete_session(info, expected_version=version)
    except SessionConflict:
        return False


def _question(found: Sequence[SessionInfo]) -> str:
    messages = sum(info.message_count for info in found)
    running = sum(info.status == "running" for info in found)
    what = f"session {_named(found[0])}" if len(found) == 1 else counted(len(found), "session")
    turns = f", {counted(running, 'turn')} under way" if running else ""
    return f"Delete {what} with {counted(messages, 'message')}{turns}? It cannot be undone."


def _doomed(info: SessionInfo) -> tuple[Any, ...]:
    return (info.id, info.name, info.owner, info.status, info.message_count, info.updated_at)


def _deleted(
    place: Place,
    gone: Sequence[SessionInfo],
    spared: Sequence[SessionInfo],
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    if as_json:
        output.document(
            {
                "store": place.shown,
                "deleted": [info.id for info in gone],
                "spared": [info.id for info in spared],
                "dry_run": dry_run,
            }
        )
    else:
        output.table(_DOOMED[:2], [(info.id, info.name) for info in gone])
        for info in spared:
            output.remark(f"threadloom: {info.id} was spared: it changed or went away meanwhile")
        what = counted(len(gone), "session")
        if dry_run:
            output.fact(f"Dry run, nothing was deleted: it would be {what}")
        else:
            output.line(f"Deleted {what}")
    return FAILED if spared else OK


__all__ = ["delete", "fork", "rename", "rewind", "tag"]
