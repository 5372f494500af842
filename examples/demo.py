"""The demo: one session, carried through two processes, a crash, a graph and a chain.

Run it with `make demo`, or `python examples/demo.py`. It works in a temporary folder.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from travel_agent import JOURNAL, build, call

from threadloom import SessionManager

URL = "sqlite:///sessions.db"
console = Console(highlight=False)


def first_process() -> None:
    """Creates the session, has three turns with the agent; the third never ends."""
    sessions = SessionManager(URL)
    trip = sessions.create_session(id="oslo-trip", name="Oslo in May", owner="ana")
    agent = build(
        [
            AIMessage("", tool_calls=[call("find_flights", "c1", city="Oslo")]),
            AIMessage("There is SK 1466 at 9:05 for 129 EUR."),
            AIMessage("I would stay at the Fjordview, it is close to the station."),
            AIMessage(
                "",
                tool_calls=[
                    call("book_flight", "c2", flight="SK 1466"),
                    call("book_hotel", "c3", name="Fjordview"),
                ],
            ),
        ]
    ).compile(checkpointer=sessions.checkpointer())
    for text in ("How do I get to Oslo?", "And where do I stay?", "Fine, book both."):
        print(f"ana: {text}", flush=True)
        state = agent.invoke({"messages": [("user", text)]}, trip.config)
        print(f"agent: {state['messages'][-1].content}", flush=True)


def second_process() -> None:
    """Goes on where the first one was killed."""
    sessions = SessionManager(URL)
    agent = build([AIMessage("Both are booked: K7QX2 and 4417.")]).compile(
        checkpointer=sessions.checkpointer()
    )
    trip = sessions.get_session("oslo-trip")
    state = agent.invoke(None, trip.config)  # None: no new input, finish what was begun
    print(f"agent: {state['messages'][-1].content}", flush=True)


def main() -> None:
    step("A first process creates a session and talks to a tool-calling agent (LangGraph).")
    child = start("first", HOTEL_IS_SLOW="1")
    kill_in_the_middle(child)

    step("A second process resumes the same session with invoke(None).")
    show(start("second"))
    done = JOURNAL.read_text().splitlines()
    say("What the tools really did, over both processes:")
    for line in done:
        console.print(f"    {line}")
    flights = done.count("booked flight SK 1466")
    hotels = done.count("booked hotel Fjordview")
    assert (flights, hotels) == (1, 1), done
    say("The flight was booked once: the node that had finished did not run again.")

    with SessionManager(URL) as sessions:
        step("A chain (LangChain) goes on in the same session, on the same store.")
        chain_continues(sessions)
        step("The index knows every session. Here they are, with a second one beside it.")
        sessions.memory.append("shopping", AIMessage("Milk, bread, brown cheese."))
        table_of(sessions)
        step("Deleting the session deletes all of it.")
        delete(sessions)
    console.print("\n[bold green]That was it.[/] The same few lines work in your own program.")


def kill_in_the_middle(child: subprocess.Popen[str]) -> None:
    """Wait until the flight's result is stored and the hotel still pends, then SIGKILL."""
    with SessionManager(URL) as sessions:
        checkpointer = sessions.checkpointer()
        config = {"configurable": {"thread_id": "oslo-trip"}}
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            found = checkpointer.get_tuple(config)
            stored = found.pending_writes if found else []
            if any(getattr(m, "name", "") == "book_flight" for w in stored for m in results(w)):
                break
            time.sleep(0.05)
        else:
            child.kill()
            show(child, expected=-signal.SIGKILL)
            raise SystemExit("the first process did not come as far as booking")
    child.send_signal(signal.SIGKILL)
    show(child, expected=-signal.SIGKILL)
    say(
        "The process was killed (SIGKILL) in the middle of the third turn: the flight was "
        "booked, the hotel was still pending."
    )


def results(write: tuple) -> list:
    return write[2] if isinstance(write[2], list) else []


def chain_continues(sessions: SessionManager) -> None:
    prompt = ChatPromptTemplate.from_messages(
        [("system", "You help with packing."), MessagesPlaceholder("history"), ("human", "{ask}")]
    )
    model = FakeListChatModel(responses=["A rain jacket. It is Norway."])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LangChain announces a successor of this class
        chain = RunnableWithMessageHistory(
            prompt | model,
            sessions.memory,
            input_messages_key="ask",
            history_messages_key="history",
        )
    trip = sessions.get_session("oslo-trip")
    chain.invoke({"ask": "What do I pack?"}, trip.config)
    say("The whole conversation, whichever door it came in by:")
    for message in sessions.messages(trip):
        called = ", ".join(one["name"] for one in getattr(message, "tool_calls", []))
        text = message.text if message.text else f"(calls {called})"
        console.print(f"    {message.type:>6}: {text}")


def table_of(sessions: SessionManager) -> None:
    table = Table("id", "name", "owner", "status", "turns", "messages", "last activity")
    for session in sessions.list_sessions(order_by="updated_at"):
        table.add_row(
            session.id,
            session.name,
            session.owner or "",
            session.status,
            str(session.turn_count),
            str(session.message_count),
            f"{session.updated_at:%H:%M:%S}",
        )
    console.print(table)


def delete(sessions: SessionManager) -> None:
    trip = sessions.get_session("oslo-trip")
    sessions.delete_session(trip)
    left = {
        "session": sessions.get_session(trip),
        "messages": sessions.messages(trip),
        "history": sessions.memory.load(trip),
        "checkpoints": list(sessions.checkpointer().list(trip.config)),
    }
    for name, value in left.items():
        console.print(f"    {name} left: {value}")
    assert not any(left.values()), left
    say(f"Sessions left: {[session.id for session in sessions.list_sessions()]}")


def start(role: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), role],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def show(process: subprocess.Popen[str], *, expected: int = 0) -> None:
    output, _ = process.communicate(timeout=60)
    for line in output.splitlines():
        console.print(f"    [dim]process {process.pid}[/] {line}")
    if process.returncode != expected:
        raise SystemExit(f"process {process.pid} ended with {process.returncode}")


def step(text: str) -> None:
    step.number = getattr(step, "number", 0) + 1
    console.print(f"\n[bold]{step.number}. {text}[/]")


def say(text: str) -> None:
    console.print(f"  [cyan]{text}[/]")


if __name__ == "__main__":
    role = sys.argv[1] if len(sys.argv) > 1 else ""
    if role == "first":
        first_process()
    elif role == "second":
        second_process()
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            main()
            os.chdir("/")
