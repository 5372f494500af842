"""Pseudonyms: where a record of an encrypted store lies in the store inside.

Labels and keys that carry what somebody chose (ids of sessions and of messages, tenants, names
of nodes and channels, all of long-term memory) are replaced by keyed hashes, label by label, so
that prefixes and partitions stay what they are. Which record is whose cannot be told without
the secret, nor can a name be tried. What Threadloom counts itself stays as it is, because its
order is needed: positions of messages, of items and of elements, and ids of checkpoints and tasks
that are UUIDs.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from functools import lru_cache
from typing import Generic, TypeVar

from threadloom import keys
from threadloom.keys import CHECKPOINTS, DIGITS, MEMORY, RESERVED, SESSIONS, TENANT_MARK, Namespace

K = TypeVar("K")
V = TypeVar("V")

HIDDEN = "~"
"""First character of a key's pseudonym; it sorts behind every key that stays as it is."""
AFTER_HIDDEN = "\x7f"

Hidden = tuple[str | None, ...]
"""The true labels of a namespace and the true key; None where they stay as they are."""

_INDEX, _VALUES, _LOGS, _TEXTS = (
    keys.OWN_MARK + name for name in ("index", "values", "logs", "texts")
)
_OWN_LABELS = frozenset({"%", _INDEX, _VALUES, _LOGS, _TEXTS})
_DIGIT = f"[{re.escape(DIGITS)}]"
_UUID = f"={_DIGIT}{{22}}"
_TOMBSTONE_KEYS = re.compile("deleted|fence|lease")
_MEMORY_KEYS = re.compile("[0-9]{1,20}|summary|state")
_INDEX_KEYS = re.compile(keys.NEXT_POSITION)
_STREAM_KEYS = re.compile(f"[0-9]{{1,20}}|{keys.NEXT_POSITION}")
_HEAD_KEYS = re.compile("%")
_CHECKPOINT_KEYS = re.compile(f"{_UUID}(!{_UUID}![0-9]{{5}})?")
_COUNTED_KEYS = re.compile(f"{_DIGIT}{{9,10}}")


class Generations(Generic[K, V]):
    """A bounded memory for several threads, without a lock that a fork could leave held.

    Args:
        most: how many new items there are before the old ones are forgotten.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What is remembered, or None."""
        young = self._young
        found = young.get(key)
        return found if found is not None else self._old.get(key)

    def set(self, key: K, value: V) -> None:
        """Remember something."""
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def forget(self, key: K) -> None:
        """Remember something no longer."""
        self._young.pop(key, None)
        self._old.pop(key, None)


class Names:
    """The pseudonyms of one store.

    Args:
        secret: the key of the hashes, 32 random bytes.

    Attributes:
        true: namespaces by their pseudonyms, as far as they were asked for not long ago.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.true: Generations[Namespace, Namespace] = Generations(4_096)
        self._hash = lru_cache(maxsize=16_384)(self._hashed)
        self.namespace = lru_cache(maxsize=4_096)(self._namespace)

    def place(self, namespace: Namespace, key: str) -> tuple[Namespace, str]:
        """Where the store inside keeps a record."""
        inner = self.namespace(namespace)
        return inner, self.key(namespace, inner, key)

    def key(self, namespace: Namespace, inner: Namespace, key: str) -> str:
        """A key as the store inside has it, in the namespace that is `inner` there."""
        rest = _of_tenant(namespace)
        if rest == (SESSIONS,):
            return self._id(namespace[: -len(rest)], keys.id_hash(key))
        clear = clear_keys(namespace)
        if clear is not None and clear.fullmatch(key):
            return key
        return HIDDEN + self._hash("key", inner, key)

    def _namespace(self, namespace: Namespace) -> Namespace:
        rest = _of_tenant(namespace)
        tenant = namespace[: len(namespace) - len(rest)]
        inner: list[str] = [TENANT_MARK + self._hash("tenant", (), label) for label in tenant]
        if rest and rest[0] in RESERVED:
            inner.append(rest[0])
            inner += [self._session(tenant, rest[0], label) for label in rest[1:2]]
            left = rest[2:]
        else:
            left = rest
        is_own = len(left) != len(rest)
        for label in left:
            stays = is_own and label in _OWN_LABELS
            inner.append(label if stays else self._hash("label", tuple(inner), label))
        found = tuple(inner)
        self.true.set(found, namespace)
        return found

    def _session(self, tenant: Namespace, word: str, label: str) -> str:
        """The label of a session; its records share a partition inside as well."""
        if word == SESSIONS:
            return keys.id_hash(self._id(tenant, label))
        id = keys.decode_id(label)
        if keys.encode_id(id) != label:
            return self._hash("label", (*tenant, word), label)
        return self._id(tenant, keys.id_hash(id))

    def _id(self, tenant: Namespace, hashed: str) -> str:
        return self._hash("id", tenant, hashed)

    def _hashed(self, kind: str, parent: Namespace, name: str) -> str:
        data = "\0".join((kind, *parent, name)).encode()
        found = hmac.digest(self._secret, data, "sha256")[:16]
        return b64encode(found, b"-_")[:22].decode()


def hidden(namespace: Namespace, key: str, inner: Namespace, inner_key: str) -> Hidden:
    """What of a place its pseudonyms do not tell."""
    true, shown = (*namespace, key), (*inner, inner_key)
    return tuple(a if a != b else None for a, b in zip(true, shown, strict=True))


def revealed(inner: Namespace, key: str, names: Hidden) -> tuple[Namespace, str]:
    """The place whose pseudonyms are given, with what they do not tell.

    Raises:
        ValueError: they do not belong together.
    """
    shown = (*inner, key)
    true = [a if a is not None else b for a, b in zip(names, shown, strict=True)]
    return tuple(true[:-1]), true[-1]


@lru_cache(maxsize=4_096)
def clear_keys(namespace: Namespace) -> re.Pattern[str] | None:
    """What keys of a namespace stay as they are; None where none do."""
    match _of_tenant(namespace):
        case (word, _) if word == SESSIONS:
            return _TOMBSTONE_KEYS
        case (word, _) if word == MEMORY:
            return _MEMORY_KEYS
        case (word, _, label) if word == MEMORY and label == _INDEX:
            return _INDEX_KEYS
        case (word, _, label) if word == MEMORY and not label.startswith(keys.OWN_MARK):
            return _STREAM_KEYS
        case (word, _) if word == CHECKPOINTS:
            return _HEAD_KEYS
        case (word, _, _) if word == CHECKPOINTS:
            return _CHECKPOINT_KEYS
        case (word, _, _, label) if word == CHECKPOINTS and label in (_LOGS, _TEXTS):
            return _COUNTED_KEYS
    return None


def _of_tenant(namespace: Namespace) -> Namespace:
    return namespace[1:] if namespace and namespace[0].startswith(TENANT_MARK) else namespace
