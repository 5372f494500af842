"""Streams under fire: parallel writers, and processes that are killed while they write."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import Any

import pytest

from streamed import call, results, said, say, stream_of, think
from threadloom import SessionConflict, SessionManager

from .helpers import Door, Program, all_well, at_once


def test_parallel_appends_lose_nothing(url: str, do: Door) -> None:
    """Whatever is appended by one call stands together, and each writer's calls are in order."""
    with SessionManager(url) as sessions:

        def write(writer: int) -> None:
            stream = stream_of(sessions, "s")
            for number in range(10):
                name = f"{writer}-{number}"
                do(stream, "append", [say(name), think(), call(name), results(name)], ids=None)

        def talk() -> None:
            for number in range(10):
                do.history(sessions.memory("s"))
                sessions.memory("s").add_user_message(f"own {number}")

        all_well(at_once([*(lambda n=n: write(n) for n in range(4)), talk]))  # type: ignore[misc]
        items = stream_of(sessions, "s").read().items
        assert len(items) == 160
        calls = [items[at : at + 4] for at in range(0, 160, 4)]
        names = [group[0]["text"] for group in calls]
        assert all(
            list(group) == [say(name), think(), call(name), results(name)]
            for name, group in zip(names, calls, strict=True)
        )
        for writer in range(4):
            own = [name for name in names if name.startswith(f"{writer}-")]
            assert own == [f"{writer}-{number}" for number in range(10)]
        shown = said(sessions.messages("s"))
        assert len(shown) == 130
        assert [text for text in shown if not text.startswith("own")] == [
            text for name in names for text in (name, name, f"of {name}")
        ]
        assert not sessions.check().problems


def test_of_writers_with_one_revision_one_wins(url: str) -> None:
    with SessionManager(url) as sessions:
        revision = stream_of(sessions, "s").append([say("first")]).revision

        def write(writer: int) -> Any:
            return stream_of(sessions, "s").append([say(str(writer))], expect=revision)

        found = at_once([lambda n=n: write(n) for n in range(6)])  # type: ignore[misc]
        lost = [result for result in found if isinstance(result, SessionConflict)]
        assert len(lost) == 5, found
        (won,) = [result for result in found if not isinstance(result, BaseException)]
        assert stream_of(sessions, "s").read().items == (say("first"), *won.items)


def test_what_is_popped_is_popped_once(url: str) -> None:
    with SessionManager(url) as sessions:
        stream = stream_of(sessions, "s")
        stream.append([say(str(number)) for number in range(24)])
        found = all_well(at_once([lambda: [stream.pop() for _ in range(6)]] * 4))
        popped = [item["text"] for items in found for item in items]
        assert sorted(popped, key=int) == [str(number) for number in range(24)]
        assert stream.read().items == ()
        assert sessions.messages("s") == []


def test_fields_of_shared_states_do_not_fight(url: str) -> None:
    with SessionManager(url) as sessions:

        def write(writer: int) -> None:
            stream = stream_of(sessions, f"s{writer}")
            for number in range(5):
                fields = {f"{writer}-{number}": number}
                stream.append([say("x")], shared={("user", "ana"): fields}, state=fields)

        all_well(at_once([lambda n=n: write(n) for n in range(4)]))  # type: ignore[misc]
        assert sessions.shared_state("user", "ana").read() == {
            f"{writer}-{number}": number for writer in range(4) for number in range(5)
        }
        pages = sessions.read_streams([f"s{writer}" for writer in range(4)])
        assert [len(page.state) for page in pages.values()] == [5] * 4


@pytest.mark.skipif(sys.platform == "win32", reason="the system cannot fork")
@pytest.mark.soak(full=200)
def test_a_killed_append_is_there_as_a_whole_or_not_at_all(shared_url: str, rounds: int) -> None:
    chance = random.Random(17)
    stored: list[str] = []
    with Program("streaming", shared_url) as program:
        for number in range(rounds):
            before = len(stored)
            program.tell()
            born, pid = program.line().split()
            assert born == "born"
            word, name = program.line().split()
            assert word == "stored", f"the process ended by itself: {program.errors()}"
            stored.append(name)
            time.sleep(chance.uniform(0, 0.05))
            os.kill(int(pid), signal.SIGKILL)
            while (line := program.line().split())[0] == "stored":
                stored.append(line[1])
            assert len(stored) > before
            if number % 10 != 9 and number != rounds - 1:
                continue
            with SessionManager(shared_url) as sessions:
                page = sessions.stream("s").read()
                calls = [page.items[at : at + 3] for at in range(0, len(page.items), 3)]
                names = [items[0].rpartition("-")[0] for items in calls]
                assert all(
                    list(items) == [f"{name}-{part}" for part in range(3)]
                    for name, items in zip(names, calls, strict=True)
                )
                assert set(stored) <= set(names)
                assert (page.note, page.state) == (names[-1], {"last": names[-1]})
                assert said(sessions.messages("s")) == list(page.items)
                assert not sessions.check().problems
