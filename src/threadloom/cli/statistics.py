"""`threadloom stats`."""

from __future__ import annotations

from typing import Any

from threadloom import Keyring
from threadloom.cli import finding, output
from threadloom.cli.group import Fault
from threadloom.cli.output import Column, Size
from threadloom.cli.places import Place
from threadloom.errors import SessionNotFound
from threadloom.migrate.decoding import Decoder
from threadloom.migrate.sampling import Estimate, estimate
from threadloom.migrate.source import LangGraphFile
from threadloom.migrate.transfer import Transfer
from threadloom.words.amounts import counted, in_words

_TRIAL = 32_000_000
"""Bytes that are brought over for an estimate; statistics should not take long."""
_KINDS = (Column("kind"), Column("records", right=True), Column("bytes", right=True))
_TABLES = (Column("table"), Column("rows", right=True), Column("bytes", right=True))
_THREADS = (
    Column("thread"),
    Column("checkpoints", right=True),
    Column("writes", right=True),
    Column("bytes", right=True),
)


def store_statistics(
    place: Place,
    id: str | None,
    *,
    tenant: str | None,
    as_json: bool,
    keys: Keyring | None = None,
) -> None:
    """Print what a store, or one of its sessions, takes up."""
    with place.open(tenant, keys) as sessions:
        if id is not None:
            finding.session(sessions, place, id)
        found = sessions.stats(id)
    if as_json:
        content = found.model_dump(mode="json")
        output.document({"store": place.shown, "format": "threadloom", "session": id, **content})
        return
    rows: list[tuple[Any, ...]] = [
        (kind.kind, kind.records, Size(kind.bytes)) for kind in found.kinds
    ]
    rows.append(("total", found.records, Size(found.bytes)))
    output.table(_KINDS, rows)
    size = "" if found.file_bytes is None else f", file {in_words(found.file_bytes)}"
    output.line(f"{counted(found.sessions, 'session')}{size}")


def langgraph_statistics(
    place: Place, id: str | None, *, tenant: str | None, as_json: bool
) -> None:
    """Print what a database of LangGraph's savers takes up, and would take up as a store."""
    if tenant is not None:
        raise Fault(f"{place.shown} is a database of LangGraph, which knows no --tenant", code=2)
    assert place.path is not None
    with LangGraphFile(place.path) as source:
        with source.at_one_moment():
            tables = source.tables()
            threads = source.threads()
        if id is not None:
            threads = [thread for thread in threads if thread.id == id]
            if not threads:
                raise SessionNotFound(f"{place.shown} has no thread {id!r}")
        with output.progress("Trying out", quiet=as_json) as show:
            found = estimate(
                lambda target: Transfer(source, target, Decoder()),
                threads,
                largest=_TRIAL,
                progress=show,
            )
        size = source.bytes
    if as_json:
        output.document(
            {
                "store": place.shown,
                "format": "langgraph-sqlite",
                "session": id,
                "file_bytes": size,
                "tables": {
                    name: {"rows": rows, "bytes": content}
                    for name, (rows, content) in tables.items()
                },
                "threads": [
                    {
                        "id": thread.id,
                        "checkpoints": thread.checkpoints,
                        "writes": thread.writes,
                        "bytes": thread.bytes,
                    }
                    for thread in threads
                ],
                "after_migration": {
                    "bytes": found.bytes,
                    "threads_tried": len(found.trials),
                    "of_all": found.whole,
                    "problems": _problems(found),
                },
            }
        )
        return
    if id is None:
        output.table(_TABLES, [(name, rows, Size(size)) for name, (rows, size) in tables.items()])
        output.line("")
    output.table(
        _THREADS,
        [
            (thread.id, thread.checkpoints, thread.writes, Size(thread.bytes))
            for thread in sorted(threads, key=lambda thread: (-thread.bytes, thread.id))
        ],
    )
    output.line("")
    output.fact(f"The whole file: {in_words(size)}. {_after(found, id)}")
    for problem in _problems(found):
        output.remark(problem)


def _after(found: Estimate, id: str | None) -> str:
    what = "it" if id is None else f"thread {id}"
    if found.bytes is None:
        return f"What {what} would be after a migration cannot be told"
    basis = "" if found.whole else f" (from {counted(len(found.trials), 'thread')} of it)"
    return f"After a migration {what} would be about {in_words(found.bytes)}{basis}"


def _problems(found: Estimate) -> list[str]:
    return [f"thread {trial.id}: {trial.reason}" for trial in found.trials.values() if trial.reason]


__all__ = ["langgraph_statistics", "store_statistics"]
