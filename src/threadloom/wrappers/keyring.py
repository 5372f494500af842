"""`Keyring`: the keys of an encrypted store, and the cipher that they are for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from threadloom.errors import CorruptRecord, InvalidKey, MissingAdapter, StoreUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_SIZES = (16, 24, 32)
_LONGEST_ID = 64
_NONCE = 12
_TAG = 16
_MAGIC = b"\xe7TL1"
"""Begins everything that is sealed. No text in UTF-8 and no JSON begins so."""


class Keyring:
    """Keys of an encrypted store by their ids, one of which is the current one.

    What is written is encrypted with the current key; what is read may be encrypted with any of
    them. Key ids stand in the store in clear, keys never do, and neither ``repr`` nor pickle
    shows them.

    Args:
        keys: key id → key: 16, 24 or 32 random bytes (AES-128, -192, -256).
        current: the id of the key to encrypt with; may be left out where there is one only.

    Attributes:
        current: the id of the key that writes.

    Raises:
        InvalidKey: there is no key, one of another length, an id that is not 1 to 64 printable
            ASCII characters, or `current` is none of them.
        MissingAdapter: the package `cryptography` is not installed.
    """

    __slots__ = ("_ciphers", "_refusals", "current")

    def __init__(self, keys: Mapping[str, bytes], *, current: str | None = None) -> None:
        cipher, self._refusals = _cipher()
        self._ciphers: dict[str, AESGCM] = {}
        for id, key in keys.items():
            if not (
                isinstance(id, str)
                and 0 < len(id) <= _LONGEST_ID
                and id.isascii()
                and id.isprintable()
            ):
                raise InvalidKey(
                    f"a key's id is 1 to {_LONGEST_ID} printable ASCII characters, not {id!r:.80}"
                )
            if not isinstance(key, (bytes, bytearray)) or len(key) not in _SIZES:
                found = f"{len(key)}" if isinstance(key, (bytes, bytearray)) else "no"
                raise InvalidKey(f"the key {id!r} has {found} bytes; AES takes 16, 24 or 32")
            self._ciphers[id] = cipher(bytes(key))
        if current is None and len(self._ciphers) == 1:
            current = next(iter(self._ciphers))
        if current not in self._ciphers:
            raise InvalidKey(
                f"the current key is one of {sorted(self._ciphers)}, not {current!r:.80}"
                if self._ciphers
                else "a keyring needs a key"
            )
        self.current: str = current

    @staticmethod
    def generate() -> bytes:
        """A new random key of 32 bytes. Whoever loses it has lost what it encrypts."""
        return os.urandom(_SIZES[-1])

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all keys."""
        return frozenset(self._ciphers)

    def seal(self, plain: bytes, bound: bytes, *, key: str | None = None) -> bytes:
        """Encrypt, with the current key unless another one is named.

        Args:
            plain: what to encrypt.
            bound: what has to be the same when it is opened: the place that it belongs to.
            key: the id of the key.
        """
        id = self.current if key is None else key
        nonce = os.urandom(_NONCE)
        name = id.encode()
        head = _MAGIC + bytes((len(name),)) + name
        return head + nonce + self._ciphers[id].encrypt(nonce, plain, head + bound)

    def open(self, sealed: bytes, bound: bytes, what: str) -> bytes:
        """Decrypt.

        Args:
            sealed: what `seal` gave.
            bound: what it was bound to.
            what: what it is, for messages.

        Raises:
            CorruptRecord: it is not encrypted, damaged, or belongs elsewhere.
            StoreUnavailable: its key is not in this keyring.
        """
        id = key_id(sealed, what)
        cipher = self._ciphers.get(id)
        if cipher is None:
            raise StoreUnavailable(
                f"{what} is encrypted with the key {id!r}, which is not in the keyring; it has "
                f"{sorted(self._ciphers)}"
            )
        start = len(_MAGIC) + 1 + len(id)
        nonce, body = sealed[start : start + _NONCE], sealed[start + _NONCE :]
        try:
            return cipher.decrypt(nonce, body, sealed[:start] + bound)
        except self._refusals as error:
            raise CorruptRecord(
                f"{what} cannot be decrypted with the key {id!r}: it was damaged, brought from "
                "another place, or written with another key of this id"
            ) from error

    def __repr__(self) -> str:
        others = sorted(self.ids - {self.current})
        return f"{type(self).__name__}(current={self.current!r}, others={others})"

    def __reduce__(self) -> Any:
        raise TypeError("a Keyring holds keys and is not pickled")


def _cipher() -> tuple[type[AESGCM], tuple[type[Exception], ...]]:
    """The cipher, and what it raises where something does not open."""
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise MissingAdapter(
            'encryption needs the package cryptography: pip install "threadloom[encryption]"'
        ) from error
    return AESGCM, (InvalidTag, ValueError)


def key_id(sealed: bytes | None, what: str) -> str:
    """The id of the key that something is encrypted with.

    Raises:
        CorruptRecord: it is not encrypted, or cut short.
    """
    if sealed is None or not sealed.startswith(_MAGIC):
        raise CorruptRecord(f"{what} is not encrypted, and this store reads nothing that is not")
    start = len(_MAGIC) + 1
    end = start + (sealed[start - 1] if len(sealed) >= start else 0)
    if len(sealed) < end + _NONCE + _TAG or end == start:
        raise CorruptRecord(f"{what} was cut short")
    try:
        return sealed[start:end].decode("ascii")
    except UnicodeDecodeError as error:
        raise CorruptRecord(f"{what} names no key: it was damaged") from error
