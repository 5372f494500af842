"""What an encrypted record holds, and the header that makes a store readable.

Document, blob and text of a record, and what its pseudonyms hide of its place, are one sealed
blob in the store inside. It is bound to the store and to the record's place in it, so it opens
nowhere else. The header record names the store, at random, and holds the secret of the
pseudonyms once for every key that is in use.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

import ormsgpack

from threadloom.documents import decode_doc, encode_doc
from threadloom.errors import (
    CorruptRecord,
    SchemaTooNew,
    SerializationError,
    StoreUnavailable,
)
from threadloom.ops import Doc, Namespace, Put, Record
from threadloom.stores.spaces import Entry
from threadloom.wrappers.keyring import Keyring, key_id
from threadloom.wrappers.names import Generations, Names, hidden, revealed

HEADER: Final = (("threadloom-encryption",), "header")
"""Where the header is. Every label of a user's is a pseudonym of another length."""
_FORMAT = 1


class Header:
    """The header record of an encrypted store.

    Attributes:
        store: the store's own random id.
        sealed: the secret of its pseudonyms by the id of the key that it is sealed with.
        version: the version of the record; None for one that is not stored yet.
    """

    def __init__(self, store: str, sealed: dict[str, bytes], version: int | None) -> None:
        self.store = store
        self.sealed = sealed
        self.version = version

    @classmethod
    def new(cls, ring: Keyring) -> Header:
        """The header of a new store."""
        made = cls(os.urandom(16).hex(), {}, None)
        return made.with_key(ring, os.urandom(32))

    @classmethod
    def read(cls, record: Record) -> Header:
        """The header that is stored.

        Raises:
            SchemaTooNew: a newer version of Threadloom wrote it.
            CorruptRecord: it is damaged.
        """
        doc = record.body()
        try:
            if doc["format"] > _FORMAT:
                raise SchemaTooNew(
                    f"the store was encrypted in format {doc['format']}, this version of "
                    f"Threadloom knows formats up to {_FORMAT}"
                )
            sealed = {id: b64decode(data, validate=True) for id, data in doc["names"].items()}
            store = doc["store"]
            if not isinstance(store, str) or not sealed:
                raise ValueError("it names no store or no key")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptRecord(f"the header of the encrypted store is damaged: {error!r}") from (
                error
            )
        return cls(store, sealed, record.version)

    def with_key(self, ring: Keyring, secret: bytes) -> Header:
        """The header with the secret sealed with the current key as well."""
        data = ring.seal(secret, self._bound(ring.current))
        return Header(self.store, {**self.sealed, ring.current: data}, self.version)

    def only(self, key: str) -> Header:
        """The header with the secret sealed with one key alone."""
        return Header(self.store, {key: self.sealed[key]}, self.version)

    def put(self) -> Put:
        """What stores it, if nobody else has changed it."""
        names = {id: b64encode(data).decode() for id, data in sorted(self.sealed.items())}
        doc = {"format": _FORMAT, "store": self.store, "names": names}
        expect = "absent" if self.version is None else self.version
        return Put(*HEADER, doc=doc, expect=expect)  # type: ignore[arg-type]

    def open(self, ring: Keyring) -> bytes:
        """The secret of the pseudonyms.

        Raises:
            StoreUnavailable: none of the keys in use is in the keyring, or one of them has other
                bytes there.
            CorruptRecord: the header is damaged.
        """
        known = sorted(ring.ids & self.sealed.keys())
        if not known:
            raise StoreUnavailable(
                f"the store is encrypted with the keys {sorted(self.sealed)}; the keyring has "
                f"none of them: {ring!r}"
            )
        found = set()
        for id in known:
            what = f"the header of the encrypted store, by the key {id!r},"
            if key_id(self.sealed[id], what) != id:
                raise CorruptRecord(f"{what} was sealed with another key: it was damaged")
            try:
                found.add(ring.open(self.sealed[id], self._bound(id), what))
            except CorruptRecord as error:
                raise StoreUnavailable(
                    f"the store cannot be opened with the key {id!r}: the keyring has other bytes "
                    "for it than the store was written with, or the store's header was damaged"
                ) from error
        if len(found) > 1:
            raise CorruptRecord("the header of the encrypted store holds two secrets")
        return found.pop()

    def _bound(self, key: str) -> bytes:
        return ormsgpack.packb(["threadloom", _FORMAT, "names", self.store, key])


class Vault:
    """Seals and opens the records of one store.

    Args:
        ring: its keys.
        header: its header.

    Attributes:
        ring: its keys.
        header: its header.
        names: its pseudonyms.
        patched: records, by their places, as the patches of this process left them. They serve
            as a guess at what the next patch will find.
    """

    def __init__(self, ring: Keyring, header: Header) -> None:
        self.ring = ring
        self.header = header
        self.secret = header.open(ring)
        self.names = Names(self.secret)
        self.patched: Generations[tuple[Namespace, str], Entry] = Generations(256)

    @property
    def is_registered(self) -> bool:
        """Whether the header knows the key that writes."""
        return self.header.version is not None and self.ring.current in self.header.sealed

    def seal(
        self,
        namespace: Namespace,
        key: str,
        inner: tuple[Namespace, str],
        doc: bytes | None,
        blob: bytes | None,
        text: str | None,
    ) -> bytes:
        """The sealed blob of a record.

        Raises:
            SerializationError: there is a lone surrogate in the text.
        """
        parts = [hidden(namespace, key, *inner), doc, blob, text, None]
        return self.ring.seal(_packed(parts, key), self._bound(inner))

    def open(self, record: Record) -> tuple[Namespace, str, Entry]:
        """A record of the store inside: where it really is, and what it holds.

        Raises:
            CorruptRecord: it is in clear, damaged, or was brought from elsewhere.
            StoreUnavailable: its key is not in the keyring.
        """
        names, doc, blob, text, updated = self._parts(record)
        try:
            namespace, key = revealed(record.namespace, record.key, names)
        except ValueError as error:
            raise CorruptRecord(f"{_what(record)} names another place: {error}") from error
        entry = Entry(
            doc,
            blob,
            text,
            record.version,
            record.created_at,
            record.updated_at if updated is None else updated,
            record.expires_at,
        )
        return namespace, key, entry

    def sealed_again(self, record: Record) -> bytes:
        """The sealed blob of a record under the current key; it remembers when it was changed."""
        names, doc, blob, text, updated = self._parts(record)
        changed = record.updated_at if updated is None else updated
        parts = [names, doc, blob, text, changed]
        place = (record.namespace, record.key)
        return self.ring.seal(ormsgpack.packb(parts), self._bound(place))

    def is_current(self, record: Record) -> bool:
        """Whether a record is encrypted with the current key."""
        return key_id(record.blob, _what(record)) == self.ring.current

    def _parts(
        self, record: Record
    ) -> tuple[tuple[str | None, ...], bytes | None, bytes | None, str | None, int | None]:
        what = _what(record)
        if record.doc is not None or record.text is not None:
            raise CorruptRecord(
                f"{what} is not encrypted, and this store reads nothing that is not"
            )
        if record.blob is None:
            raise CorruptRecord(f"{what} lost what it holds")
        plain = self.ring.open(record.blob, self._bound((record.namespace, record.key)), what)
        try:
            names, doc, blob, text, updated = ormsgpack.unpackb(plain)
        except ValueError as error:
            raise CorruptRecord(f"{what} holds something else: {error}") from error
        return tuple(names), doc, blob, text, updated

    def _bound(self, place: tuple[Namespace, str]) -> bytes:
        parts = ["threadloom", _FORMAT, "record", self.header.store, *place]
        return ormsgpack.packb(parts)


def shown(namespace: Namespace, key: str, entry: Entry, *, blob: bool) -> Record:
    """A record as the store hands it out."""
    return Record(
        namespace,
        key,
        None if entry.doc is None else decode_doc(entry.doc),
        entry.blob if blob else None,
        entry.text,
        entry.version,
        entry.created_at,
        entry.updated_at,
        entry.expires_at,
    )


def encoded(doc: Doc | None) -> bytes | None:
    """A document as it is sealed."""
    return None if doc is None else encode_doc(doc)


def _packed(parts: Sequence[object], key: str) -> bytes:
    try:
        return ormsgpack.packb(parts)
    except ormsgpack.MsgpackEncodeError as error:
        raise SerializationError(f"the record {key!r:.80} holds no plain text: {error}") from error


def _what(record: Record) -> str:
    return f"the record {'.'.join(record.namespace)}/{record.key}"
