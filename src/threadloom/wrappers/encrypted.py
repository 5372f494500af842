"""`EncryptedStore`: nothing that somebody wrote, or named, is readable in the store inside."""

from __future__ import annotations

from dataclasses import replace

from threadloom.errors import CorruptRecord, InvalidKey, UnsupportedByStore
from threadloom.ops import (
    WRITES,
    ExpectationFailed,
    Get,
    ListNamespaces,
    Query,
    Record,
    Scan,
)
from threadloom.plans import Batch, Plan, Results, run
from threadloom.store import Store
from threadloom.wrappers import translating
from threadloom.wrappers.base import Wrapper
from threadloom.wrappers.driving import arun_apart
from threadloom.wrappers.keyring import Keyring
from threadloom.wrappers.rotation import Progress, Rotation, RotationReport
from threadloom.wrappers.vault import HEADER, Header, Vault

_PAGE = 256
_MOST_DAMAGE = 10
"""Records that cannot be opened that are told."""


class EncryptedStore(Wrapper):
    """Encrypts every record with AES-GCM before the store inside sees it.

    Documents, blobs and texts are one sealed blob, bound to the store and to the record's
    place, so a record that was brought from another session, key or store is refused, as is
    one that is not encrypted. Ids, tenants, labels and keys are keyed pseudonyms. What stays
    readable: times, expiry, versions, sizes and counts, the ids of keys, positions of messages,
    and ids of checkpoints and tasks that are UUIDs.

    Filters, orders and search read and decrypt what they may concern. A patch is a read and a
    write. The first write makes a header record, without which nothing can be read.

    Args:
        inner: where the records go; closing this store closes it. It must be empty, or encrypted
            with keys that the keyring has.
        keys: the keys.

    Raises:
        UnsupportedByStore: `inner` has no atomic batches, or no compare-and-set.
        InvalidKey: `keys` is no `Keyring`.
        MissingAdapter: the package `cryptography` is not installed.
    """

    def __init__(self, inner: Store, keys: Keyring) -> None:
        super().__init__(inner)
        if not isinstance(keys, Keyring):
            raise InvalidKey(f"keys come in a Keyring, not in a {type(keys).__name__}")
        can = inner.capabilities
        if not (can.atomic_batch and can.compare_and_set):
            raise UnsupportedByStore(
                f"{inner!r:.120} has no atomic batches with compare-and-set, which encryption "
                "needs: a record is read, changed and written as a whole"
            )
        self.capabilities = replace(can, indexed_filters=False, full_text=False, copies_trees=False)
        self.keys = keys
        self._vault: Vault | None = None

    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch. See `Store.execute`.

        Raises:
            CorruptRecord: a record is in clear, damaged, or was brought from elsewhere.
            StoreUnavailable: a key that is needed is not in the keyring, or has other bytes there.
        """
        translating.check_ops(ops)
        return run(self._apply(ops), self.inner)

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute`, from an event loop; much is decrypted on a thread."""
        translating.check_ops(ops)
        return await arun_apart(self._apply(ops), self.inner)

    def damage(self) -> list[str]:
        """What the engine inside finds damaged, and the records that cannot be opened; reads all.

        Raises:
            StoreUnavailable: a key that is needed is not in the keyring.
        """
        return [*self.inner.damage(), *run(self._unreadable(), self.inner)]

    def _unreadable(self) -> Plan[list[str]]:
        vault = yield from self._opened(writes=False)
        (namespaces,) = yield [ListNamespaces()]
        names: dict[str, str] = {}
        damaged: list[tuple[Record, CorruptRecord]] = []
        for namespace in namespaces:
            start = ""
            while namespace != HEADER[0]:
                (records,) = yield [Scan(namespace, start, limit=_PAGE)]
                for record in records:
                    try:
                        inside, key, _ = vault.open(record)
                    except CorruptRecord as error:
                        damaged.append((record, error))
                    else:
                        names.update(zip(record.namespace, inside, strict=True))
                        names[record.key] = key
                if len(records) < _PAGE:
                    break
                start = records[-1].key + "\0"
        return [
            f"{'/'.join(names.get(label, label) for label in (*record.namespace, record.key))}: "
            f"{error}"
            for record, error in damaged[:_MOST_DAMAGE]
        ]

    def rotate(self, *, progress: Progress | None = None) -> RotationReport:
        """Encrypt everything again with the current key, while others read and write.

        Goes through the store in small batches, each of which expects that nobody has changed
        the records meanwhile, until a pass finds nothing to do. Whoever was stopped calls it
        again. Records get new versions, so a compare-and-set that read before has to read
        again; what a turn under way is fenced by is left alone. The times of records stay.

        Every process that writes must have the new key as its current one before, and every
        process that reads must have both.

        Args:
            progress: called as ``progress(seen, of)`` after each page of records.

        Raises:
            CorruptRecord: a record is damaged; `SessionManager.check` finds it.
            StoreUnavailable: a key that is needed is not in the keyring.
        """
        return run(self._rotation(progress), self.inner)

    async def arotate(self, *, progress: Progress | None = None) -> RotationReport:
        """`rotate`, from an event loop."""
        return await arun_apart(self._rotation(progress), self.inner)

    def _rotation(self, progress: Progress | None) -> Plan[RotationReport]:
        self._vault = None  # what the header says now
        vault = yield from self._opened(writes=True)
        return (yield from Rotation(vault, self.now, progress).run())

    def _apply(self, ops: Batch) -> Plan[Results]:
        vault = yield from self._opened(writes=any(isinstance(op, WRITES) for op in ops))
        return (yield from translating.apply(vault, ops, self.now))

    def _opened(self, *, writes: bool) -> Plan[Vault]:
        """The vault of the store; made where there is none, and its header where that is needed."""
        vault = self._vault
        while vault is None or (writes and not vault.is_registered):
            (record,) = yield [Get(*HEADER)]
            if record is None:
                if not (yield from self._is_empty()):
                    continue  # somebody else has just begun it
                header = Header.new(self.keys)
                if not writes:
                    return Vault(self.keys, header)  # finds nothing, for there is nothing
            else:
                vault = Vault(self.keys, Header.read(record))
                header = vault.header
                if vault.is_registered or not writes:
                    break
                header = header.with_key(self.keys, vault.secret)
            try:
                (header.version,) = yield [header.put()]
            except ExpectationFailed:
                vault = None
                continue  # somebody else was faster
            vault = Vault(self.keys, header)
        self._vault = vault
        return vault

    def _is_empty(self) -> Plan[bool]:
        """Whether there is nothing at all; False where a header is there after all.

        Raises:
            CorruptRecord: there are records and no header.
        """
        header, namespaces, expired = yield [
            Get(*HEADER),
            ListNamespaces(),
            Query((), deep=True, expired=True, limit=1),
        ]
        if header is not None:
            return False
        if namespaces or expired:
            raise CorruptRecord(
                f"{self.inner!r:.120} holds records and no header of an encrypted store: they are "
                "not encrypted, and nothing that is not is read here. Copy its sessions into a "
                "new encrypted store (copy_sessions)"
            )
        return True
