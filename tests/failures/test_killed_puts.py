"""A process that is killed while it stores checkpoints loses none whose put had returned."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from threadloom import SessionManager

from .helpers import Program, config


@pytest.mark.skipif(sys.platform == "win32", reason="the system cannot fork")
@pytest.mark.soak(full=200)
def test_a_checkpoint_whose_put_had_returned_is_there_and_whole(
    shared_url: str, rounds: int
) -> None:
    chance = random.Random(11)
    returned: list[str] = []
    with Program("puts", shared_url) as program:
        for number in range(rounds):
            before = len(returned)
            program.tell()
            born, pid = program.line().split()
            assert born == "born"
            word, told = program.line().split()
            assert word == "put", f"the process ended by itself: {program.errors()}"
            returned.append(told)
            time.sleep(chance.uniform(0, 0.05))
            os.kill(int(pid), signal.SIGKILL)
            while (line := program.line().split())[0] == "put":
                returned.append(line[1])
            if number % 10 == 9 or number == rounds - 1:
                _check(shared_url, returned[before:] if number < rounds - 1 else returned)
    assert len(returned) > 2 * rounds


def _check(url: str, returned: list[str]) -> None:
    with SessionManager(url) as sessions:
        saver = sessions.checkpointer()
        kept = {item.checkpoint["id"]: item.checkpoint for item in saver.list(config("t"))}
        assert set(returned) <= set(kept)
        for checkpoint in kept.values():
            _whole(checkpoint["channel_values"])
        info = sessions.get_session("t")
        assert info is not None
        assert info.message_count == len(sessions.messages("t"))


def _whole(values: dict[str, Any]) -> None:
    """Nothing is lost, done twice, or of another checkpoint."""
    messages = values.get("messages", [])
    answers = [message.content for message in messages if isinstance(message, AIMessage)]
    assert answers == [f"answer {number} " * 20 for number in range(len(answers))]
    asked = [message for message in messages if isinstance(message, HumanMessage)]
    assert 0 <= len(asked) - len(answers) <= 1
    assert values.get("number", 0) == len(answers)
    expected = {f"f{number % 20}": f"{number} " * 200 for number in range(len(answers))}
    assert values.get("files", {}) == expected
