"""What a migration says of itself, while it runs and at the end."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

Outcome = Literal["migrated", "updated", "skipped", "refused", "failed"]


class ThreadReport(BaseModel):
    """What became of one thread of checkpoints, or of one chat history.

    Attributes:
        id: what it is called in the source, which is the session's id.
        outcome: ``migrated`` as a whole, or the rest of it; ``updated`` by what was new in the
            source; ``skipped`` because all of it is there; ``refused`` because the target has
            something else under this id; ``failed`` because the source cannot be read.
        checkpoints, writes, messages: how many were stored this time.
        bytes: what it takes up in the source.
        reason: why it was refused or failed, and what to do.
        notes: what is not exactly as it was.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    outcome: Outcome
    checkpoints: int = 0
    writes: int = 0
    messages: int = 0
    bytes: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()


class MigrationReport(BaseModel):
    """What became of a migration.

    Attributes:
        source: what was read.
        dry_run: whether nothing was to be stored.
        threads: what became of each thread, or of each history.
        items: how many items of long-term memory were written, or with `dry_run` are there.
        bytes_before: the size of the source.
        bytes_after: with `dry_run`, about what the threads would take up in an SQLite store; None
            where nothing could be tried.
        sampled: how many threads the estimate was made from; None where it was all of them.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    dry_run: bool = False
    threads: tuple[ThreadReport, ...] = ()
    items: int = 0
    bytes_before: int = 0
    bytes_after: int | None = None
    sampled: int | None = None

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is in the target, or would be."""
        return not any(thread.outcome in ("refused", "failed") for thread in self.threads)

    def count(self, outcome: Outcome) -> int:
        """How many threads ended that way."""
        return sum(thread.outcome == outcome for thread in self.threads)


class Progress(NamedTuple):
    """How far a migration has come; bytes are those of the source."""

    thread: str
    threads_done: int
    threads: int
    bytes_done: int
    bytes: int


class Unavailable(Exception):
    """A value cannot be brought over; the message says which and why."""


class Refused(Exception):
    """The target has something else under a thread's id; the message says what."""


__all__ = ["MigrationReport", "Outcome", "Progress", "Refused", "ThreadReport", "Unavailable"]
