"""What a `SessionConflict` says: which version was expected, and which was found."""

from __future__ import annotations

import pickle

import pytest

from streamed import say, stream_of
from threadloom import SessionConflict, SessionManager

pytestmark = pytest.mark.operation("stream")


def test_a_stream_at_another_revision(sessions: SessionManager) -> None:
    stream = stream_of(sessions, "x")
    with pytest.raises(SessionConflict) as gone:
        stream.append([say("a")], expect=7)
    assert (gone.value.expected, gone.value.found) == (7, 0)
    first = stream.append([say("a")], expect=0).revision
    second = stream.append([say("b")], expect=first).revision
    with pytest.raises(SessionConflict, match="read it again") as stale:
        stream.replace([], expect=first)
    assert (stale.value.expected, stale.value.found) == (first, second)
    again = pickle.loads(pickle.dumps(stale.value))
    assert (str(again), again.expected, again.found) == (str(stale.value), first, second)


def test_another_item_with_the_same_id(sessions: SessionManager) -> None:
    stream = stream_of(sessions, "x")
    page = stream.append([say("a")], ids=["1"])
    with pytest.raises(SessionConflict, match="another item") as other:
        stream.append([say("b")], ids=["1"], expect=page.revision)
    assert (other.value.expected, other.value.found) == (None, None)


def test_a_turn_that_is_over(sessions: SessionManager) -> None:
    stream = stream_of(sessions, "x")
    stream.append([say("a")])

    def overtaken() -> None:
        with sessions.turn("x"):
            sessions.delete_session("x")
            stream.append([say("b")])

    with pytest.raises(SessionConflict, match="nothing was written") as over:
        overtaken()
    assert (over.value.expected, over.value.found) == (None, None)


def test_a_session_at_another_version(sessions: SessionManager) -> None:
    before = sessions.create_session(id="x")
    now = sessions.rename_session("x", "n")
    for change in (
        lambda: sessions.update_session("x", owner="ana", expected_version=before.version),
        lambda: sessions.delete_session("x", expected_version=before.version),
        lambda: sessions.save_session(
            sessions.resume_session("x").model_copy(update={"info": before})
        ),
    ):
        with pytest.raises(SessionConflict) as stale:
            change()
        assert (stale.value.expected, stale.value.found) == (before.version, now.version)
    sessions.delete_session("x")
    with pytest.raises(SessionConflict) as gone:
        sessions.delete_session("x", expected_version=before.version)
    assert (gone.value.expected, gone.value.found) == (before.version, 0)
