"""`read_streams`: what is kept in streams of many sessions, read by one batch."""

from __future__ import annotations

from threadloom import SessionManager


def test_it_reads_what_each_stream_reads(sessions: SessionManager) -> None:
    for id, count in (("a", 3), ("b", 0), ("c", 1)):
        items = [f"{id}{number}" for number in range(count)]
        sessions.stream(id).append(items, note={"of": id}, state={"count": count})
    sessions.stream("a", "other").append(["else"])
    sessions.create_session(id="bare")
    for limit in (None, 0, 2):
        found = sessions.read_streams(["c", "a", "gone", "b", "a", "bare"], limit=limit)
        assert found == {id: sessions.stream(id).read(limit) for id in ("c", "a", "b", "bare")}
    assert found["a"].items == ("a1", "a2")
    assert found["bare"].revision == 0
    assert sessions.read_streams(["a", "b"], "other")["a"].items == ("else",)
    assert sessions.read_streams([]) == {}


async def test_it_does_so_from_an_event_loop(sessions: SessionManager) -> None:
    info = sessions.stream("a").append(["x"]).session
    assert info is not None
    assert (await sessions.aread_streams([info]))["a"] == sessions.stream("a").read()
