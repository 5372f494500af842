"""Text that cannot steer a terminal."""

from __future__ import annotations

_HARMLESS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}\N{SOFT HYPHEN}"
"""Of the characters that cannot be seen those that scripts and emoji are written with."""


def visible(text: str) -> str:
    """Text without what would steer a terminal or break a line."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in _HARMLESS
        else " "
        if char.isspace()
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


__all__ = ["visible"]
