"""How statistics and the reports of long work look in a notebook."""

from __future__ import annotations

from threadloom.display.markup import HUES, Column, Html, joined, pill, table, tag
from threadloom.models import CheckReport, KindStats, MoveReport, PruneReport, StorageStats
from threadloom.words.amounts import counted, in_words

_BAR = 320
"""Pixels of the longest bar."""
_MOST = 100

_PROBLEMS = (Column("session"), Column("kind"), Column("what and where"), Column("mended"))
_KINDS = (
    Column("kind"),
    Column("records", right=True),
    Column("bytes", right=True),
    Column("where the bytes are"),
)


def statistics(found: StorageStats) -> Html:
    """Where the bytes are."""
    parts = [counted(found.sessions, "session"), in_words(found.bytes)]
    if found.file_bytes is not None:
        parts.append(f"the whole store on disk {in_words(found.file_bytes)}")
    head = tag("div", tag("b", " · ".join(parts)))
    largest = max((kind.bytes for kind in found.kinds), default=0)
    rows = (_kind(kind, found.bytes, largest) for kind in found.kinds)
    return Html(head + table(_KINDS, rows)) if found.kinds else head


def _kind(kind: KindStats, whole: int, largest: int) -> tuple[object, ...]:
    width = 0 if not largest else max(1, round(_BAR * kind.bytes / largest))
    share = 0 if not whole else kind.bytes / whole
    style = (
        f"display:inline-block;width:{width}px;height:11px;background:{HUES['blue']};"
        "border-radius:2px;margin-right:7px"
    )
    bar = Html(tag("span", style=style) + tag("span", f"{share:.0%}", css="dim"))
    return kind.kind, kind.records, in_words(kind.bytes), bar


def pruned(report: PruneReport) -> Html:
    """What a prune removed."""
    done = "would remove" if report.dry_run else "removed"
    return tag(
        "div",
        f"Prune {done} {counted(report.checkpoints, 'checkpoint')} of "
        f"{counted(len(report.sessions), 'session')}: {counted(report.records, 'record')}, "
        f"{in_words(report.bytes)}",
    )


def checked(report: CheckReport) -> Html:
    """What a check found."""
    word = pill("ok", "green") if report.ok else pill("damaged", "red")
    amounts = f"{counted(report.sessions, 'session')}, {counted(len(report.problems), 'problem')}"
    head = tag("div", joined([word, amounts]))
    if not report.problems:
        return head
    rows = (
        (tag("code", item.session_id), item.kind, item.detail, item.fixed)
        for item in report.problems[:_MOST]
    )
    return Html(head + table(_PROBLEMS, rows, more=len(report.problems) - _MOST))


def moved(report: MoveReport) -> Html:
    """What an export, an import or a copy did."""
    done = counted(len(report.moved), "session")
    skipped = f", {len(report.skipped):,} skipped" if report.skipped else ""
    return tag("div", f"{done} moved{skipped}")


__all__ = ["checked", "moved", "pruned", "statistics"]
