"""Texts and searches as SQLite's FTS5 is given them, so that engines find the same."""

from __future__ import annotations

from threadloom.text import tokens


def expression(words: str) -> str:
    """The FTS5 query for any of the words of a text; empty if it has none.

    Every word is a quoted string without quotes in it, so nothing is query syntax.
    """
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(tokens(words)))


def indexed(text: str) -> str:
    """What the index is given of a text: the words that our tokenizer makes of it."""
    # Of ASCII, FTS5's tokenizer of that name makes the same words as ours.
    return text if text.isascii() else " ".join(tokens(text))
