"""Text that cannot steer a terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """Text without what would steer a terminal or break a line."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


__all__ = ["visible"]
