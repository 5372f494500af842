"""Figures as people read them."""

from __future__ import annotations

NOTHING = "–"


def human_seconds(value: float | None) -> str:
    """Seconds."""
    return NOTHING if value is None else f"{_three(value)} s"


def human_millis(value: float | None) -> str:
    """Milliseconds."""
    return NOTHING if value is None else f"{_three(value * 1_000)} ms"


def axis_bytes(value: float) -> str:
    """Round bytes, for an axis."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:g} {unit}"
    return f"{value:g} B"


def axis_time(value: float) -> str:
    """Round seconds, milliseconds or microseconds, for an axis."""
    for limit, unit in ((1.0, "s"), (1e-3, "ms")):
        if value >= limit:
            return f"{value / limit:g} {unit}"
    return f"{value * 1e6:g} µs"


def human_bytes(value: float | None) -> str:
    """Bytes in the largest decimal unit that gives at least 1."""
    if value is None:
        return NOTHING
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{_three(value / limit)} {unit}"
    return f"{value:.0f} B"


def human_ratio(value: float | None, of: float | None) -> str:
    """One figure divided by another."""
    if value is None or of is None or of <= 0:
        return NOTHING
    return f"{_three(value / of)} ×"


def human_number(value: float) -> str:
    """A whole number with thousands set apart."""
    return f"{value:,.0f}"


def _three(value: float) -> str:
    """At least two digits, none beyond the second decimal."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
