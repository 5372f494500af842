"""Whether the note of a stream still tells of the items that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamed import call, results, say, stream_of
from threadloom import SessionManager, SessionStream

pytestmark = pytest.mark.operation("stream")


@pytest.fixture
def stream(sessions: SessionManager) -> SessionStream:
    made = stream_of(sessions, "x")
    page = made.append([say("a"), call("1"), results("1"), say("b")], note={"items": 4})
    assert page.note_current
    return made


def current(sessions: SessionManager, id: Any = "x") -> bool:
    page = stream_of(sessions, id).read(limit=0)
    assert page.note == {"items": 4}
    assert sessions.read_streams([id], limit=0)[getattr(id, "id", id)] == page
    return page.note_current


def test_what_changes_beside_the_items_leaves_it(
    sessions: SessionManager, stream: SessionStream
) -> None:
    stream.append([], state={"s": 1})
    sessions.memory("x").add_user_message("by another door")
    sessions.tag_session("x", "t")
    stream_of(sessions, "x", "other").append([say("c")])
    assert current(sessions)


def test_what_comes_without_a_note_outdates_it(
    sessions: SessionManager, stream: SessionStream
) -> None:
    assert not stream.append([say("c")]).note_current
    assert not current(sessions)
    stream.append([], state={"s": 1})
    assert not current(sessions)
    assert stream.append([], note={"items": 4}).note_current  # as it is now
    assert current(sessions)
    assert stream.append([say("d")], note={"items": 4}).note_current
    assert current(sessions)


def test_what_goes_outdates_it(sessions: SessionManager, stream: SessionStream) -> None:
    stream.pop()
    assert not current(sessions)
    stream.replace([say("a")], note={"items": 4})
    assert current(sessions)
    stream.replace([])
    assert not current(sessions)
    stream.replace([say("a"), say("b")], note={"items": 4})
    stream.replace([say("a"), say("b")])  # nothing comes or goes
    assert current(sessions)
    stream.clear()
    assert not current(sessions)


def test_a_rewind_outdates_it(sessions: SessionManager, stream: SessionStream) -> None:
    sessions.rewind_session("x", messages=9)  # there are four
    assert current(sessions)
    sessions.rewind_session("x", messages=3)
    assert not current(sessions)
    stream.append([say("c")])
    assert not current(sessions)


def test_a_save_of_less_outdates_it(sessions: SessionManager, stream: SessionStream) -> None:
    loaded = sessions.resume_session("x")
    sessions.save_session(loaded)
    assert current(sessions)
    loaded = sessions.resume_session("x")
    sessions.save_session(loaded.model_copy(update={"messages": loaded.messages[:3]}))
    assert not current(sessions)


def test_a_fork_knows_whether_it_was_cut(sessions: SessionManager, stream: SessionStream) -> None:
    whole = sessions.fork_session("x")
    cut = sessions.fork_session("x", messages=3)
    of_cut = sessions.fork_session(cut)
    assert [current(sessions, id) for id in (whole, cut, of_cut, "x")] == [True, False, False, True]


def test_it_is_moved(sessions: SessionManager, stream: SessionStream, tmp_path: Path) -> None:
    sessions.fork_session("x", messages=3)
    sessions.export_sessions(tmp_path / "all.jsonl")
    with SessionManager("memory://") as others:
        others.import_sessions(tmp_path / "all.jsonl")
        found = {info.id == "x": current(others, info) for info in others.list_sessions()}
    assert found == {True: True, False: False}


def test_without_a_note_there_is_none(sessions: SessionManager) -> None:
    stream = stream_of(sessions, "y")
    assert not stream.read().note_current
    assert not stream.append([say("a")]).note_current
    assert stream.append([], note=0).note_current
    assert not stream.append([], note=None).note_current
