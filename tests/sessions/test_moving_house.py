"""Sessions move from engine to engine and back, and are what they were at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.sessions.test_moving import fill, same
from tests.sessions.test_travel import chat, config, say, texts

from kinds import url_of
from servers import cluster, redis
from threadloom import SessionManager

WAY = ("sqlite", "postgres", "redis", "cluster", "postgres", "file", "memory", "redis", "sqlite")


def exported(sessions: SessionManager, folder: Path, ids: list[str]) -> list[Any]:
    """What an export holds, but for what an engine chooses: versions, and the order of fields."""
    path = folder / "export.jsonl"
    path.unlink(missing_ok=True)
    sessions.export_sessions(path, ids)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()[1:]]
    for line in lines:
        del line["crc"], line["session"]["version"]
    return sorted(lines, key=lambda line: str(line["session"]["id"]))


def test_from_engine_to_engine_and_back(tmp_path: Path) -> None:
    here = SessionManager(url_of("sqlite", tmp_path, "0"))
    first = here
    ids = fill(here)
    expected = exported(here, tmp_path, ids)
    assert expected
    opened = [here]
    for number, kind in enumerate(WAY[1:], 1):
        name = str(number)
        url = (
            redis.place(tmp_path, name, url=cluster.cluster().url)
            if kind == "cluster"
            else url_of(kind, tmp_path, name)
        )
        there = SessionManager(url)
        opened.append(there)
        assert set(here.copy_sessions(there).moved) == set(ids)
        assert exported(there, tmp_path, ids) == expected, kind
        assert [hit.session.id for hit in there.search_sessions("two")] == ["a/b é"], kind
        here = there
    same(first, here, ids)
    chat(here).invoke(say("still here"), config("a/b é"))
    assert texts(here.messages("a/b é"))[-2] == "still here"
    for each in opened:
        each.close()
