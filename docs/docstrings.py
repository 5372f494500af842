"""What the reference makes of docstrings: "owner, tags: …" stands for each of several names."""

from __future__ import annotations

import re
from typing import Any

import griffe

_SEVERAL = re.compile(
    r"^(?P<indent> +)(?P<names>\w+(?:, \w+)+):(?P<text> .*(?:\n(?P=indent) +\S.*)*)$", re.MULTILINE
)


class SeveralNames(griffe.Extension):
    """Says for each name what is said for several: types are known of single names."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _SEVERAL.sub(_each, obj.docstring.value)


def _each(found: re.Match[str]) -> str:
    names = found["names"].split(", ")
    return "\n".join(f"{found['indent']}{name}:{found['text']}" for name in names)
