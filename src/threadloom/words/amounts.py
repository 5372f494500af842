"""Amounts as people say them."""

from __future__ import annotations

from threadloom import SessionInfo

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 message``, ``1,200 messages``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def contents(info: SessionInfo, *more: str) -> list[str]:
    """What is in a session, and what is to be said besides."""
    found = [counted(info.message_count, "message"), counted(info.turn_count, "turn")]
    if info.total_tokens:
        found.append(counted(info.total_tokens, "token"))
    found += more
    if info.conflicts:
        found.append(counted(info.conflicts, "conflict"))
    return found


def in_words(size: int) -> str:
    """A number of bytes: ``640 bytes``, ``3.4 MB``."""
    if size < 1000:
        return counted(size, "byte")
    amount, unit = size / 1000, 0
    while round(amount, 1) >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:,.1f} {_UNITS[unit]}"


__all__ = ["contents", "counted", "in_words"]
