"""Work of the main thread is done on another one, and its signal handlers break nothing off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from threadloom.errors import StoreUnavailable
from threadloom.stores.shielding import Shield


@pytest.fixture
def shield() -> Iterator[Shield]:
    shield = Shield("a place")
    yield shield
    shield.close()


def interrupt_in(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    def handler(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_it_returns_and_raises_what_work_does(shield: Shield) -> None:
    name: ContextVar[str] = ContextVar("name")
    name.set("here")
    assert shield.run(lambda: (name.get(), threading.current_thread().name)) == (
        "here",
        "threadloom-shield",
    )

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        shield.run(fail)


def test_other_threads_do_their_own_work(shield: Shield) -> None:
    found: list[bool] = []

    def work() -> None:
        found.append(shield.run(threading.current_thread) is threading.current_thread())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]


def test_an_interrupt_is_felt_when_the_work_is_done(shield: Shield) -> None:
    done: list[int] = []

    def work() -> None:
        time.sleep(0.2)
        done.append(1)

    interrupt_in(0.05)
    with pytest.raises(KeyboardInterrupt):
        shield.run(work)
    assert done == [1]
    assert shield.run(lambda: 2) == 2


def test_a_second_interrupt_does_not_wait(shield: Shield) -> None:
    release = threading.Event()
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.1)
    with pytest.raises(KeyboardInterrupt):
        shield.run(lambda: release.wait(20))
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert not release.is_set()
    release.set()
    assert shield.run(lambda: 3) == 3  # behind what was left


def test_a_handler_cannot_use_what_it_interrupted(shield: Shield) -> None:
    refused: list[str] = []

    def handler(number: int, frame: object) -> None:
        try:
            shield.run(lambda: None)
        except StoreUnavailable as error:
            refused.append(str(error))

    signal.signal(signal.SIGALRM, handler)
    interrupt_in(0.05)
    assert shield.run(lambda: time.sleep(0.2)) is None
    assert len(refused) == 1
    assert "a place" in refused[0]
    assert "signal handler" in refused[0]


def test_interrupts_at_any_moment(shield: Shield) -> None:
    done: list[int] = []
    interrupted, armed = 0, False

    def handler(signum: int, frame: object) -> None:
        nonlocal armed
        if armed:  # one that comes late is not for the next round
            armed = False
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, handler)
    for number in range(3_000):
        try:
            armed = True
            interrupt_in(1e-6 + number % 100 * 1e-6)
            shield.run(lambda: done.append(number))  # noqa: B023
            armed = False
        except KeyboardInterrupt:
            interrupted += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert interrupted > 300
    assert shield.run(lambda: done.append(-1)) is None
    assert done == [*sorted(set(done) - {-1}), -1], "in order, and none twice"


def test_a_forked_child_works_on_its_own(shield: Shield) -> None:
    assert shield.run(os.getpid) == os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(0 if shield.run(os.getpid) == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


AT_EXIT = """
import atexit
atexit.register(lambda: print(shield.run(lambda: "at the end")))
from threadloom.stores.shielding import Shield
shield = Shield("a place")
print(shield.run(lambda: "before"))
"""


def test_it_works_at_exit() -> None:
    """Also for who registered before this module was imported, and so is called last."""
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n") == ["before", "at the end", ""]
