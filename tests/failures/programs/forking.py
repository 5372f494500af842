"""forking.py HOW URL [HOW URL …]: forks with an open store; parent and children go on writing.

Each way in a process of its own, which has opened nothing yet. Prints its name and `ok` if every
process kept what it wrote.
"""

import asyncio
import multiprocessing
import os
import sys
import threading
import warnings

from langchain_core.messages import HumanMessage

from threadloom import SessionManager

warnings.simplefilter("ignore", DeprecationWarning)
ways = list(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
while ways:
    how, url = ways.pop(0)
    pid = os.fork()
    if pid == 0:
        break
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"{how}: {status}")
else:
    sys.exit()
shared = not url.startswith("memory")
sessions = SessionManager(url)
sessions.create_session(id="s", name="before")
saver = sessions.checkpointer()
EACH = 10


def append(who: str) -> None:
    for number in range(EACH):
        sessions.memory("s").append(HumanMessage(f"{who}:{number}"))


async def aappend(who: str) -> None:
    for number in range(EACH):
        await sessions.memory("s").aappend(HumanMessage(f"{who}:{number}"))


def texts() -> list[str]:
    return [str(message.content) for message in sessions.memory("s").load()]


def of(who: str) -> list[str]:
    return [text for text in texts() if text.startswith(who + ":")]


def wanted(who: str) -> list[str]:
    return [f"{who}:{number}" for number in range(EACH)]


def child(who: str) -> None:
    """What a child does; leaves the process."""
    code = 1
    try:
        assert sessions.get_session("s").name == "before"
        append(who)
        assert of(who) == wanted(who), texts()
        asyncio.run(aappend(who + "-async"))
        assert of(who + "-async") == wanted(who + "-async"), texts()
        code = 0
    except BaseException as error:
        print(f"{who}: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def fork(who: str) -> int:
    pid = os.fork()
    if pid == 0:
        child(who)
    return pid


def join(*pids: int) -> None:
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, f"child {pid}: {status}"


expected = ["parent"]
if how == "one child":
    append("early")
    pid = fork("child")
    append("parent")
    join(pid)
    expected += ["early"]
    others = ["child"]
elif how == "several children":
    pids = [fork(f"child{number}") for number in range(4)]
    append("parent")
    join(*pids)
    others = [f"child{number}" for number in range(4)]
elif how == "multiprocessing":
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=child, args=(f"child{n}",)) for n in range(2)]
    for process in processes:
        process.start()
    append("parent")
    for process in processes:
        process.join()
        assert process.exitcode == 0
    others = ["child0", "child1"]
elif how == "while another thread writes":
    stop, started = threading.Event(), threading.Event()
    written = 0

    def write() -> None:
        global written
        while not stop.is_set():
            sessions.memory("other").append(HumanMessage(str(written)))
            written += 1
            started.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert started.wait(30)
    pids = [fork(f"child{number}") for number in range(4)]
    append("parent")
    join(*pids)
    stop.set()
    thread.join()
    kept = [str(message.content) for message in sessions.memory("other").load()]
    assert kept == [str(number) for number in range(written)]
    others = [f"child{number}" for number in range(4)]
elif how == "after async use":

    async def busy() -> None:
        await asyncio.gather(
            *(sessions.memory(f"x{number}").aappend(HumanMessage("x")) for number in range(8))
        )

    asyncio.run(busy())
    pid = fork("child")
    asyncio.run(busy())
    append("parent")
    join(pid)
    others = ["child"]
elif how == "while a loop works":
    stop, started = threading.Event(), threading.Event()

    async def work() -> None:
        while not stop.is_set():
            started.set()
            await sessions.acount_sessions()
            await sessions.memory("other").aappend(HumanMessage("x"))

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    pids = [fork(f"child{number}") for number in range(4)]
    append("parent")
    join(*pids)
    stop.set()
    for thread in threads:
        thread.join()
    others = [f"child{number}" for number in range(4)]
elif how == "grandchild":
    pid = os.fork()
    if pid == 0:
        inner = fork("grandchild")
        append("middle")
        join(inner)
        child("child")
    append("parent")
    join(pid)
    others = ["middle", "child", "grandchild"]
else:
    raise SystemExit(f"unknown: {how}")

for who in expected:
    assert of(who) == wanted(who), (who, texts())
for who in others:
    assert of(who) == (wanted(who) if shared else []), (who, texts())
    if who != "middle":
        assert of(who + "-async") == (wanted(who + "-async") if shared else [])
sessions.close()
print(f"{how}: ok", flush=True)
