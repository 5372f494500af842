"""The README's programs run, on a server that is there."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from langgraph.graph import START, MessagesState, StateGraph

README = Path(__file__).parents[1] / "README.md"


def test_the_programs_of_the_readme_run(pg_url: str) -> None:
    urls = (
        "postgresql://app@db.example.com/app?schema=sessions",
        "postgresql://app@db.example.com/app",
    )
    builder = StateGraph(MessagesState)
    builder.add_node("reply", lambda state: {"messages": [("ai", "By train.")]})
    builder.add_edge(START, "reply")
    plain = urlsplit(pg_url)._replace(query="").geturl()
    names = {"builder": builder}
    blocks = re.findall(r"```py\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    for block, here, there in zip(blocks, urls, (pg_url, plain), strict=True):
        assert here in block
        exec(block.replace(here, there), names)
        if "graph" in names:
            graph, sessions = names.pop("graph"), names["sessions"]
            graph.invoke({"messages": [("user", "How?")]}, {"configurable": {"thread_id": "trip"}})
            assert sessions.get_session("trip").message_count == 2
            sessions.close()
