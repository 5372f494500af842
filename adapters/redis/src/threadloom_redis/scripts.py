"""The scripts that run inside of Redis, and calls of them as values."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple


class Script(NamedTuple):
    """One Lua script.

    Attributes:
        name: what it is for.
        text: its source.
        sha: what Redis knows it by.
    """

    name: str
    text: bytes
    sha: bytes


class Call(NamedTuple):
    """One call of a script.

    Attributes:
        script: what to run.
        keys: the keys, all with one hash tag.
        args: the arguments.
        writes: whether it writes records.
        waits: whether somebody waits for replicas to have what it did.
        age: which argument says how old the call is (milliseconds), where running it once more
            is harmless only because of that; None where it always is.
    """

    script: Script
    keys: tuple[bytes, ...]
    args: list[bytes]
    writes: bool = False
    waits: bool = False
    age: int | None = None

    @property
    def by_hash(self) -> tuple[str | bytes | int, ...]:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)

    @property
    def whole(self) -> tuple[str | bytes | int, ...]:
        return ("EVAL", self.script.text, len(self.keys), *self.keys, *self.args)


def _script(name: str, *parts: str) -> Script:
    folder = files(__package__).joinpath("lua")
    text = b"".join(folder.joinpath(f"{part}.lua").read_bytes() for part in (*parts, name))
    return Script(name, text, sha1(text, usedforsecurity=False).hexdigest().encode())


BATCH = _script("batch", "partition")
PAGE = _script("page", "partition")
PICK = _script("pick", "partition")
SETTLE = _script("settle", "partition")
MARK = _script("mark")
ENTER = _script("enter")
LIST = _script("list")
KNOWN = _script("known")
FORMAT = _script("format")
COUNT = _script("count")
SIZES = _script("sizes")
CLEAR = _script("clear")
MEND = _script("mend", "partition")
