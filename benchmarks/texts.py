"""Texts that are the same in every run, look like text, and differ from each other."""

from __future__ import annotations

import random
from zlib import crc32

_WORDS = (
    "the of and to in a is that for it was on with as be at by this from or which one would all "
    "will there say who make when can more if no man out other so what time up go about than into "
    "could state only new year some take come these know see use get like then first any work now "
    "may such give over think most even find day also after way many must look before great back "
    "through long where much should well people down own just because good each those feel seem "
    "how high too place little world very still nation hand old life tell write become here show"
).split()

_choose = random.Random("threadloom").choice  # noqa: S311  (nothing here is a secret)
_LONG = " ".join(_choose(_WORDS) for _ in range(20_000))


def text(key: object, characters: int) -> str:
    """A text of exactly so many characters; equal keys give equal texts, others do not.

    It is cut out of a long one: nodes make their answers while the time is measured.
    """
    head = f"{key}: "
    place = crc32(head.encode()) % (len(_LONG) - characters)
    return (head + _LONG[place : place + characters])[:characters]
