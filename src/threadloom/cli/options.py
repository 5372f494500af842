"""Arguments and options that several commands have."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

KEYS_VARIABLE = "THREADLOOM_KEYS"
_AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Status(StrEnum):
    """What a session can be."""

    idle = "idle"
    running = "running"
    interrupted = "interrupted"
    error = "error"


class Order(StrEnum):
    """What sessions can be ordered by."""

    created_at = "created_at"
    updated_at = "updated_at"


class Door(StrEnum):
    """Where messages came in."""

    auto = "auto"
    history = "history"
    graph = "graph"


class IfThere(Enum):
    """What becomes of a session whose id is taken."""

    skip = "skip"
    replace = "replace"
    stop = "raise"


def age(text: str) -> timedelta:
    """How long ago, as people write it: 30d, 12h, 90m, 2w, 45s.

    Raises:
        typer.BadParameter: it is no age, or none at all.
    """
    found = _AGE.fullmatch(text.strip().lower())
    try:
        made = timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else timedelta()
    except OverflowError:
        made = timedelta()
    if not made:
        raise typer.BadParameter(f"{text!r} is no age: write 30d, 12h, 90m, 2w or 45s")
    return made


def ids_of(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the store's sessions with their names, for the shell to complete."""
    from threadloom.cli import completing

    return completing.ids(context.params, incomplete)


Store = Annotated[
    str,
    typer.Argument(metavar="STORE", help="A file, a folder, or a URL such as sqlite:///x.db."),
]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="The id of a session.", autocompletion=ids_of)
]
OptionalId = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="One session instead of all.", autocompletion=ids_of),
]
OptionalIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Some sessions.", autocompletion=ids_of),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Tenant = Annotated[str | None, typer.Option(metavar="NAME", help="Whose sessions.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        envvar=KEYS_VARIABLE,
        help="The keys of an encrypted store, as JSON or TOML.",
    ),
]
Import = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Where classes of values are."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what it would be.")]
IfExists = Annotated[
    IfThere,
    typer.Option(help="What becomes of a session that is there already; raise: stop."),
]
Owner = Annotated[str | None, typer.Option(metavar="NAME", help="Only this owner's.")]
Tag = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help="Only with this tag; may come again.")
]
StatusIs = Annotated[Status | None, typer.Option(help="Only in this state.")]
Agent = Annotated[str | None, typer.Option(metavar="NAME", help="Only of this agent.")]
Framework = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only those of this framework's adapter.")
]
OlderThan = Annotated[
    timedelta | None,
    typer.Option(metavar="AGE", parser=age, help="Only what is older, such as 30d, 12h, 90m."),
]


def filters(
    owner: str | None,
    tag: list[str] | None,
    status: Status | None,
    agent: str | None,
    framework: str | None,
) -> dict[str, Any]:
    """The filters that were given, as `list_sessions` takes them."""
    chosen = {
        "owner": owner,
        "tags": tuple(tag or ()) or None,
        "status": None if status is None else status.value,
        "agent_name": agent,
        "framework": framework,
    }
    return {name: value for name, value in chosen.items() if value is not None}
