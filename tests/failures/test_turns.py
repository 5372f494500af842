"""Turns of many processes on one session, of which one is killed and one is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
from tests.failures.helpers import PATIENCE, Program

from threadloom import SessionManager


@pytest.mark.operation("turn")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot stop processes")
@pytest.mark.soak(full=60)
def test_turns_never_overlap_whoever_dies_or_sleeps(tmp_path: Path, rounds: int) -> None:
    """Eight processes: six take turns, one is killed in a turn, one is stopped in a turn."""
    url = f"sqlite:///{tmp_path}/s.db"
    with SessionManager(url) as sessions:
        sessions.create_session(id="s")
        with contextlib.ExitStack() as stack:

            def start(name: str, turns: int) -> Program:
                return stack.enter_context(Program("taking_turns", url, name, turns))

            sleeper = start("sleeper", 2)
            assert sleeper.line() == "in"
            sleeper.process.send_signal(signal.SIGSTOP)
            victim = start("victim", 1)
            assert victim.line() == "in"  # once the sleeper's lease has run out
            victim.kill()
            others = [start(f"p{number}", rounds) for number in range(6)]
            for other in others:
                assert other.line() == "in"
            sleeper.tell()
            sleeper.process.send_signal(signal.SIGCONT)
            assert sleeper.line() == "refused"
            assert sleeper.line() == "in"
            for other in (*others, sleeper):
                assert other.end()[-1] == "done"
        said = [message.text.split() for message in sessions.messages("s")]
        assert said[0] == ["begin", "sleeper", "0"]
        assert said[1] == ["begin", "victim", "0"]
        rest = said[2:]
        assert len(rest) == 2 * (6 * rounds + 1)
        for begin, end in zip(rest[::2], rest[1::2], strict=True):
            assert (begin[0], end[0]) == ("begin", "end")
            assert begin[1:] == end[1:]
        info = sessions.get_session("s")
        assert info is not None
        assert (info.status, info.turn_count) == ("idle", 3 + 6 * rounds)


@pytest.mark.operation("list_stuck_sessions", "turn")
def test_a_killed_turn_is_found_and_the_next_one_waits_for_its_lease(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    with SessionManager(url) as sessions:
        sessions.create_session(id="s")
        with Program("taking_turns", url, "victim", 1) as victim:
            assert victim.line() == "in"
            victim.kill()
        assert [info.id for info in sessions.list_running_sessions()] == ["s"]
        began = time.monotonic()
        with sessions.turn("s", wait=PATIENCE):
            assert 0.5 < time.monotonic() - began < 10
        assert sessions.get_status("s") == "idle"
        assert sessions.list_stuck_sessions(timedelta(seconds=1)) == []
