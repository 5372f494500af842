"""docs/versions.md has the formats and the ranges that the code has."""

from __future__ import annotations

import re
import tomllib

from threadloom.checkpoint import header
from threadloom.serde import format as values
from threadloom.sessions import moving
from threadloom.stores.file import folder, lines
from threadloom.stores.langgraph import writing
from threadloom.stores.sqlite import connections, schema
from threadloom.wrappers import vault

from .pages import read
from .programs import ROOT

PAGE = read(ROOT / "docs" / "versions.md")


def number_of(what: str) -> str:
    """The last cell of a row of the table of formats."""
    [row] = re.findall(rf"^\| {re.escape(what)} \|.*\| (.*) \|$", PAGE, re.MULTILINE)
    return str(row)


def test_the_formats_are_those_of_the_code() -> None:
    assert number_of("SQLite") == str(len(schema.MIGRATIONS))
    assert number_of("a folder of journals") == str(folder.FORMAT) == str(lines.FORMAT)
    assert number_of("a store of LangGraph's") == str(writing.FORMAT)
    assert number_of("an encrypted store") == str(vault._FORMAT)
    assert number_of("a checkpoint") == str(header._FORMAT)
    assert number_of("a value").startswith(f"{values.WHOLE}, or {values.PARTED} ")
    assert number_of("exports") == str(moving.FORMAT)
    [postgres] = re.findall(
        r"^FORMAT: Final = (\d+)$",
        read(ROOT / "adapters" / "postgres" / "src" / "threadloom_postgres" / "schema.py"),
        re.MULTILINE,
    )
    assert number_of("PostgreSQL") == postgres


def test_the_ranges_are_those_of_the_distribution() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    bounds = dict(re.match(r"([\w-]+)>=([\d.]+)", one).groups() for one in project["dependencies"])  # type: ignore[union-attr]
    for name, shown in (
        ("langgraph", "LangGraph"),
        ("langgraph-checkpoint", "langgraph-checkpoint"),
        ("langchain-core", "langchain-core"),
        ("pydantic", "pydantic"),
    ):
        assert re.search(
            rf"^\| {shown} \| .*from {re.escape(bounds[name])} \|$", PAGE, re.MULTILINE
        )
    assert f"| Python | {project['requires-python'].removeprefix('>=')} and newer |" in PAGE
    oldest = ".".join(map(str, connections.OLDEST_SQLITE[:2]))
    assert f"| SQLite | {oldest} and newer" in PAGE
