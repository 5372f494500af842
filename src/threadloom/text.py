"""The words of a text: one tokenizer above all engines, so that they agree.

Words are runs of letters, digits and combining marks, folded for case and compatibility
(NFKC). Scripts that are written without spaces become single characters and overlapping
pairs of characters, so that a part of a sentence is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

_SPACELESS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\U00020000-\U0003ffff"
)
_WITH_MARKS = (
    *((0x300, 0x3400), (0xA000, 0xAC00), (0xFB00, 0x10000), (0x10100, 0x12000)),
    *((0x16000, 0x17000), (0x1B000, 0x1F000), (0xE0100, 0xE0200)),
)
"""Where Unicode has combining marks: looking at all of it takes time in every process."""
_ASCII_WORD = re.compile("[a-z0-9]+")
_SPACELESS_RUN = re.compile(f"([{_SPACELESS}]+)")


def tokens(text: str) -> list[str]:
    """The tokens of a text in order, repeats included.

    Args:
        text: any text; lone surrogates and control characters separate words.
    """
    return _ASCII_WORD.findall(text.lower()) if text.isascii() else list(_tokens(text))


def _tokens(text: str) -> Iterator[str]:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("_", " ")
    for word in _word_pattern().findall(folded):
        if word.isascii():
            yield word
            continue
        for part in _SPACELESS_RUN.split(word):
            if not part:
                continue
            if not _SPACELESS_RUN.match(part):
                yield part
                continue
            yield from part
            yield from (part[at : at + 2] for at in range(len(part) - 1))


_AROUND = 60
_ELLIPSIS = "…"


def snippet(text: str, words: str) -> str:
    """The part of a text around the first of some words that it holds; its beginning if none.

    Args:
        text: any text.
        words: what was searched for.

    Returns up to about 120 characters on one line, with an ellipsis where something was left out.
    """
    start, end = _first_found(text, set(tokens(words)))
    first, last = max(0, start - _AROUND), min(len(text), end + _AROUND)
    # Begin and end between words, where there is a space close by.
    if first and (space := text.find(" ", first, start)) >= 0:
        first = space + 1
    if last < len(text) and (space := text.rfind(" ", end, last)) >= 0:
        last = space
    before = _ELLIPSIS if first else ""
    after = _ELLIPSIS if last < len(text) else ""
    return before + " ".join(text[first:last].split()) + after


def _first_found(text: str, wanted: set[str]) -> tuple[int, int]:
    for found in _word_pattern().finditer(text):
        own = tokens(found.group())
        for token in own:
            if token not in wanted:
                continue
            if len(own) == 1:
                return found.span()
            at = found.group().find(token)  # in a script without spaces
            start = found.start() + max(0, at)
            return start, start + (len(token) if at >= 0 else 0)
    return 0, 0


@cache
def _word_pattern() -> re.Pattern[str]:
    # Python's \w leaves out combining marks, without which many scripts fall apart.
    marks = [
        code
        for first, last in _WITH_MARKS
        for code in range(first, last)
        if unicodedata.category(chr(code))[0] == "M"
    ]
    ranges: list[list[int]] = []
    for code in marks:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    inside = "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)
    return re.compile(f"[\\w{inside}]+")
