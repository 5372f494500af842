"""Real conversations through both doors, read back message by message. Run by hand.

    python tests/local/real_conversations.py CONVERSATIONS.jsonl [URL]

The file has one JSON object a line with `id` and `messages` in OpenAI's format. Every
conversation is written through the chat history and, in turns, through a graph; each is then
read by a second manager and compared. Prints what it did and ends with 1 at a difference.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from langchain_core.messages import BaseMessage, convert_to_messages
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import SessionManager


def read(path: Path) -> dict[str, list[BaseMessage]]:
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        found[entry["id"]] = convert_to_messages(entry["messages"])
    return found


def turns(messages: list[BaseMessage]) -> list[list[BaseMessage]]:
    """The conversation cut where a human speaks."""
    cut: list[list[BaseMessage]] = []
    for message in messages:
        if not cut or message.type == "human":
            cut.append([])
        cut[-1].append(message)
    return cut


def through_graph(sessions: SessionManager, id: str, messages: list[BaseMessage]) -> None:
    replies: list[BaseMessage] = []

    def answer(state: MessagesState) -> dict:
        return {"messages": list(replies)}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    for first, *rest in turns(messages):
        replies[:] = rest
        graph.invoke({"messages": [first]}, {"configurable": {"thread_id": id}})


def main(path: Path, url: str) -> int:
    conversations = read(path)
    copies = read(path)
    total = sum(map(len, conversations.values()))
    started = time.perf_counter()
    with SessionManager(url) as sessions:
        for id, messages in conversations.items():
            for turn in turns(messages):
                sessions.memory(f"history/{id}").add_messages(turn)
            through_graph(sessions, f"graph/{id}", messages)
    written = time.perf_counter()
    wrong = 0
    with SessionManager(url) as sessions:
        for id, messages in conversations.items():
            for door in ("history", "graph"):
                session = f"{door}/{id}"
                found = sessions.messages(session)
                # Ids are given on the way in, to the very objects; all else is as it came.
                plain = [message.model_copy(update={"id": None}) for message in found]
                info = sessions.get_session(session)
                if found != messages or plain != copies[id]:
                    wrong += 1
                    print(f"{session}: what was read differs from what was written")
                if info is None or info.message_count != len(messages):
                    wrong += 1
                    print(f"{session}: its count is wrong: {info}")
        counted = sessions.count_sessions()
    done = time.perf_counter()
    print(
        f"{len(conversations)} conversations, {total} messages, {counted} sessions: "
        f"written in {written - started:.1f} s, read in {done - written:.1f} s, {wrong} differ"
    )
    return 1 if wrong or counted != 2 * len(conversations) else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        default = f"sqlite:///{folder}/sessions.db"
        raise SystemExit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else default))
