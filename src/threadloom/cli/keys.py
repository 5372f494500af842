"""The keys of an encrypted store, from a file."""

from __future__ import annotations

import binascii
import json
import tomllib
from base64 import b64decode
from pathlib import Path
from typing import Any

from threadloom import Keyring
from threadloom.cli.group import Fault

FORM = '{"current": "k1", "keys": {"k1": "base64 or hex of 16, 24 or 32 bytes"}}'


def keyring(path: Path | None) -> Keyring | None:
    """The keys that a file holds: TOML if its name ends so, otherwise JSON; None for no file.

    Raises:
        Fault: it cannot be read, or holds no keys; nothing of what it holds is told.
        InvalidKey: a key or its id cannot be one.
        MissingAdapter: the package `cryptography` is not installed.
    """
    if path is None:
        return None
    try:
        content = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Fault(f"--key-file {path} cannot be read: {why}") from error
    found = _parsed(path, content)
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, dict) or not keys:
        raise _unknown(path)
    current = found.get("current")
    if not isinstance(current, (str, type(None))):
        raise _unknown(path)
    return Keyring({id: _key(path, id, text) for id, text in keys.items()}, current=current)


def _parsed(path: Path, content: str) -> Any:
    load = tomllib.loads if path.suffix.lower() == ".toml" else json.loads
    try:
        return load(content)
    except ValueError:
        # What the parser says may show a piece of the file.
        raise _unknown(path) from None


def _unknown(path: Path) -> Fault:
    return Fault(f"--key-file {path} holds no keys: write {FORM}, or the same as TOML")


def _key(path: Path, id: str, text: Any) -> bytes:
    if not isinstance(text, str):
        raise _unknown(path)
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass  # then it is base64
    try:
        return b64decode(text, altchars=b"-_" if set("-_") & set(text) else None, validate=True)
    except (binascii.Error, ValueError):
        raise Fault(f"--key-file {path}: the key {id!r} is neither base64 nor hex") from None


__all__ = ["keyring"]
