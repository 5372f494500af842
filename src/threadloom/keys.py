"""Where a record lives: namespaces, labels, ids and the partition that follows from them.

A namespace is a tuple of labels, a record is a namespace and a key. Labels never contain
``.``, so that a namespace is written as its labels joined by ``.`` without any escaping, in
every engine. Session ids and checkpoint namespaces may be any text; they become labels by
`encode_id`, once, here.

The layout below a tenant's label (`~tenant`, where there is a tenant):

=====================================  =========================  =============================
namespace                              key                        content
=====================================  =========================  =============================
``("sessions",)``                      the session id             the session's record
``("sessions", HASH)``                 ``deleted``                a tombstone, holds no id
``("sessions", HASH)``                 ``fence``, ``lease``       who has the turn, and until when
``("memory", ID)``                     ``0000000012``             one message, in order
``("memory", ID)``                     ``summary``, ``state``     summary, the agent's own state
``("memory", ID, "~index")``           ``next``, ``id:MESSAGE``   next position, message ids
``("memory", ID, STREAM)``             ``0000000012``             one item of a stream, in order
``("memory", ID, STREAM)``             ``next``, ``id:ITEM``      next position, ids of items
``("checkpoints", ID)``                NS                         the head of a checkpoint namespace
``("checkpoints", ID, NS)``            ``CHECKPOINT``             one checkpoint
``("checkpoints", ID, NS)``            ``CHECKPOINT!TASK!INDEX``  one pending write
``("checkpoints", ID, NS, "~values")`` ``CHANNEL!VERSION``        the value of a channel
``("checkpoints", ID, "%", "~logs")``  log and position           an element of a list or dict
``("checkpoints", ID, "%", "~texts")`` writer and number          a long text
=====================================  =========================  =============================

Capitals stand for `encode_id` of the thing, CHECKPOINT and TASK for its `compact_id`.
Everything else in a store belongs to its user.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import unquote

from threadloom.errors import InvalidKey

Namespace = tuple[str, ...]

SESSIONS = "sessions"
MEMORY = "memory"
CHECKPOINTS = "checkpoints"
RESERVED = frozenset({SESSIONS, MEMORY, CHECKPOINTS})
"""Labels that belong to Threadloom directly below the root (or below a tenant's label)."""

TENANT_MARK = "~"
"""First character of a tenant's label; no encoded id begins with it."""

OWN_MARK = "~"
"""First character of Threadloom's own labels below a session; no encoded id begins with it."""

MAX_ID = 1024
"""Longest session id, in characters."""

PART_SEPARATOR = "!"
"""Joins the parts of a composed key. It sorts below every character of an encoded part, so
what belongs to `2` stands right behind `2` and before `20`."""
AFTER_PARTS = '"'
"""The character that follows `PART_SEPARATOR`: the end of a range of composed keys."""

_EMPTY = "%"
_ENCODED = re.compile(r"[^A-Za-z0-9_\-\u0080-\U0010ffff]")
_BAD_TEXT = re.compile("[\x00\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_text(text: object, what: str) -> str:
    """Return `text` if it is a string that every engine can hold, else raise `InvalidKey`."""
    if not isinstance(text, str):
        raise InvalidKey(f"{what} must be a string, got {type(text).__name__}: {text!r:.80}")
    if _BAD_TEXT.search(text):
        raise InvalidKey(f"{what} contains NUL or a lone surrogate: {text!r:.80}")
    return text


def is_storable(text: str) -> bool:
    """Whether every engine can hold a text as it is."""
    return _BAD_TEXT.search(text) is None


def storable(text: str) -> str:
    """A text with spaces in the place of what some engines cannot hold."""
    return _BAD_TEXT.sub(" ", text)


def check_id(id: object, what: str = "a session id") -> str:
    """Return a session id if it can be one.

    Raises:
        InvalidKey: not a string, empty, longer than 1,024 characters, or with NUL or a
            lone surrogate in it.
    """
    text = check_text(id, what)
    if not text:
        raise InvalidKey(f"{what} must not be empty")
    if len(text) > MAX_ID:
        raise InvalidKey(f"{what} has {len(text)} characters, at most {MAX_ID} are allowed")
    return text


@lru_cache(maxsize=8192)
def encode_id(text: str) -> str:
    """Any text as a label or a part of a key; `decode_id` gives it back.

    ASCII letters, digits, ``-``, ``_`` and everything beyond ASCII stay, other characters
    become ``%XX``. The result is never empty, never a reserved word, and never contains
    ``.``, ``/``, ``*``, ``!`` or ``~``.

    Raises:
        InvalidKey: there is a lone surrogate in it.
    """
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidKey(f"a key contains a lone surrogate: {text!r:.80}")
    if not text:
        return _EMPTY
    if text in RESERVED:
        return f"%{ord(text[0]):02X}{text[1:]}"
    return _ENCODED.sub(lambda match: f"%{ord(match[0]):02X}", text)


def decode_id(label: str) -> str:
    """The text that `encode_id` made `label` of."""
    return "" if label == _EMPTY else unquote(label)


_COMPACT = "="
"""First character of a compact id; no encoded id begins with it."""
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_ORDERED = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_TO_ORDERED = bytes.maketrans(_BASE64, _ORDERED)
_FROM_ORDERED = bytes.maketrans(_ORDERED, _BASE64)
DIGITS = _ORDERED.decode()
"""64 digits that sort as they count."""


@lru_cache(maxsize=8192)
def compact_id(text: str) -> str:
    """`encode_id`, with UUIDs in 23 characters; among themselves they sort as they did."""
    if _UUID.fullmatch(text) is None:
        return encode_id(text)
    raw = bytes.fromhex(text.replace("-", ""))
    return _COMPACT + b64encode(raw)[:22].translate(_TO_ORDERED).decode()


def expand_id(part: str) -> str:
    """The text that `compact_id` made `part` of."""
    if not part.startswith(_COMPACT):
        return decode_id(part)
    return uuid_text(b64decode(part[1:].encode().translate(_FROM_ORDERED) + b"=="))


def uuid_text(raw: bytes) -> str:
    """A UUID as text, from its 16 bytes; several times faster than by way of `uuid.UUID`."""
    digits = raw.hex()
    if len(digits) != 32:
        raise ValueError(f"not the bytes of a UUID: {raw!r:.40}")
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def sort_alike(one: str, other: str) -> bool:
    """Whether two texts stand to each other as their compact ids do."""
    return (compact_id(one) < compact_id(other)) == (one < other)


def is_compact(text: str) -> bool:
    """Whether `compact_id` makes a text shorter, as it does with UUIDs."""
    return _UUID.fullmatch(text) is not None


def tenant_root(tenant: str | None) -> Namespace:
    """The namespace below which a tenant's data lives; empty where there is no tenant."""
    if tenant is None:
        return ()
    return (TENANT_MARK + encode_id(check_id(tenant, "a tenant")),)


@lru_cache(maxsize=8192)
def id_hash(id: str) -> str:
    """A session id as 32 hexadecimal digits, which do not show the id itself."""
    return blake2b(id.encode(), digest_size=16, person=b"threadloom-id").hexdigest()


def check_namespace(namespace: object, what: str = "a namespace") -> Namespace:
    """Return a namespace whose labels can be stored.

    Raises:
        InvalidKey: not a tuple or list of non-empty strings without ``.``, NUL or lone
            surrogates.
    """
    if not isinstance(namespace, (tuple, list)):
        raise InvalidKey(f"{what} must be a tuple of strings, got {type(namespace).__name__}")
    for label in namespace:
        check_text(label, f"a label of {what} {namespace!r:.80}")
        if not label or "." in label:
            raise InvalidKey(f"a label of {what} is empty or contains '.': {namespace!r:.120}")
    return tuple(namespace)


def partition(namespace: Namespace, key: str) -> str:
    """The unit of locality and of atomicity that a record belongs to.

    All records of one session (of one tenant) share a partition; any other record belongs to
    the partition of its namespace. A pure function of the record's place: engines use it to
    shard, to name journals and to hash.
    """
    root, rest = _split_tenant(namespace)
    if len(rest) == 1 and rest[0] == SESSIONS:
        return f"{root}/{id_hash(key)}"
    if len(rest) >= 2 and rest[0] == SESSIONS:
        return f"{root}/{rest[1]}"
    if len(rest) >= 2 and rest[0] in RESERVED:
        return f"{root}/{id_hash(decode_id(rest[1]))}"
    return "=" + encode_namespace(namespace)


def tree_partition(namespace: Namespace) -> str | None:
    """The partition that holds a whole tree, or None where a tree spans several."""
    _, rest = _split_tenant(namespace)
    if len(rest) >= 2 and rest[0] in RESERVED:
        return partition(namespace, "")
    return None


def _split_tenant(namespace: Namespace) -> tuple[str, Namespace]:
    if namespace and namespace[0].startswith(TENANT_MARK):
        return namespace[0], namespace[1:]
    return "", namespace


def is_sessions(namespace: Namespace) -> bool:
    """Whether the records of a namespace are session records, which engines index."""
    _, rest = _split_tenant(namespace)
    return rest == (SESSIONS,)


INDEXED_FIELDS = ("owner", "agent_name", "status")
"""Fields of session records that engines index, besides every one of `tags`."""

ORDER_FIELDS = ("created_at", "updated_at")
"""Fields of session records by which engines order listings."""


def check_copy(source: Namespace, target: Namespace) -> None:
    """Refuse to copy a tree where engines could not do it alike.

    Raises:
        InvalidKey: one place is inside the other, or one of them holds session records.
    """
    shorter = min(len(source), len(target))
    if source[:shorter] == target[:shorter]:
        raise InvalidKey(f"a tree cannot be copied into itself: {source} to {target}")
    for place in (source, target):
        _, rest = _split_tenant(place)
        if not rest or rest == (SESSIONS,):
            raise InvalidKey(f"session records cannot be copied as a tree: {source} to {target}")


def is_own(namespace: Namespace) -> bool:
    """Whether a namespace holds nothing but what Threadloom keeps for itself."""
    _, rest = _split_tenant(namespace)
    if len(rest) >= 2 and rest[0] == SESSIONS:
        return True
    return len(rest) > 2 and rest[0] in RESERVED and rest[-1].startswith(OWN_MARK)


def session_of(namespace: Namespace) -> tuple[Namespace, str] | None:
    """Namespace and key of the record of the session that a record's namespace belongs to.

    None for what belongs to no session, and for session records themselves.
    """
    tenant, rest = _split_tenant(namespace)
    if len(rest) < 2 or rest[0] not in (MEMORY, CHECKPOINTS):
        return None
    return ((*((tenant,) if tenant else ()), SESSIONS), decode_id(rest[1]))


def is_reserved(namespace: Namespace) -> bool:
    """Whether a namespace lies below one of the reserved words."""
    _, rest = _split_tenant(namespace)
    return bool(rest) and rest[0] in RESERVED


def is_users(namespace: Namespace, root: Namespace) -> bool:
    """Whether a namespace at or below `root` holds its user's data.

    False for the reserved words directly below the root or a tenant's label, and for tenants
    where `root` is the root. What lies further down is its user's.
    """
    if len(namespace) == len(root) or _split_tenant(root)[1]:
        return True
    label = namespace[len(root)]
    return label not in RESERVED and not (not root and label.startswith(TENANT_MARK))


def encode_namespace(namespace: Namespace) -> str:
    """A namespace as one string; unambiguous because no label contains ``.``."""
    return ".".join(namespace)


def decode_namespace(name: str) -> Namespace:
    """The namespace that `encode_namespace` wrote."""
    return tuple(name.split(".")) if name else ()


def below(namespace: Namespace) -> tuple[str, str]:
    """The range ``[low, high)`` of encoded namespaces strictly below `namespace`."""
    if not namespace:
        return ("", "\U0010ffff" * 1024)
    name = encode_namespace(namespace)
    return (name + ".", name + "/")


FENCE = "fence"
"""The key of the record that a turn makes, beside the tombstone: its version is the fence."""
LEASE = "lease"
"""The key of the record that says how long a turn has the session."""

NEXT_POSITION = "next"
"""The key of the record in a history's index that every append to the history changes."""


STREAMS = "streams"
"""The field of a session's document with the labels of its streams."""


def message_key(message_id: str) -> str:
    """The key under which the history's index knows a message."""
    if is_storable(message_id):
        return f"id:{encode_id(message_id)}"
    return "odd:" + message_id.encode("utf-8", "surrogatepass").hex()


ITEM_ID = "id:"
"""How the keys begin that `item_key` makes."""


def item_key(item_id: str) -> str:
    """The key under which a stream knows where the item with an id is."""
    return ITEM_ID + encode_id(item_id)


def compose_id(*parts: str) -> str:
    """One session id of several names, such as an application's, a user's and a session's.

    Readable, and unambiguous whatever is in the names: they are joined by ``/``, which inside of
    a name becomes ``%2F`` (and ``%`` becomes ``%25``). `split_id` takes it apart.

    Raises:
        InvalidKey: a part is empty or no text, or the whole is longer than an id may be.
    """
    for part in parts:
        if not check_text(part, "a part of a session id"):
            raise InvalidKey(f"a part of a session id must not be empty: {parts!r:.200}")
    return check_id("/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts))


def split_id(id: str) -> tuple[str, ...]:
    """The names that `compose_id` made a session id of."""
    return tuple(part.replace("%2F", "/").replace("%25", "%") for part in id.split("/"))


def inner_id(id: str, *names: str | None) -> str:
    """The last name of a session id that was composed of these names and one more.

    An id that was not is returned itself: a framework whose ids are unique only together with such
    names knows a fork, whose id Threadloom has made, by that.
    """
    *outer, last = split_id(id)
    return last if outer == list(names) else id


class SessionPaths:
    """Every place of one session, below one tenant's root.

    Attributes:
        store: tells stores apart (`id(store)`); 0 where it does not matter.
        fence: the version of the fence that a write has to find, where its caller brought one.
    """

    __slots__ = (
        *("checkpoints", "fence", "id", "memory", "memory_index"),
        *("sessions", "store", "tombstones"),
    )

    def __init__(
        self, root: Namespace, id: str, *, store: int = 0, fence: int | None = None
    ) -> None:
        label = encode_id(id)
        self.id = id
        self.store = store
        self.fence = fence
        self.sessions: Namespace = (*root, SESSIONS)
        self.tombstones: Namespace = (*root, SESSIONS, id_hash(id))
        self.memory: Namespace = (*root, MEMORY, label)
        self.memory_index: Namespace = (*root, MEMORY, label, OWN_MARK + "index")
        self.checkpoints: Namespace = (*root, CHECKPOINTS, label)

    def stream(self, label: str) -> Namespace:
        """The items of one stream, by the label of its name (`encode_id`)."""
        return (*self.memory, label)

    def checkpoint_ns(self, ns_label: str) -> Namespace:
        """Checkpoints and pending writes of one checkpoint namespace."""
        return (*self.checkpoints, ns_label)

    def values(self, ns_label: str) -> Namespace:
        """Channel values of one checkpoint namespace."""
        return (*self.checkpoints, ns_label, OWN_MARK + "values")

    def logs(self, ns_label: str) -> Namespace:
        """Elements of lists and dicts; `ns_label` is always that of the graph itself."""
        return (*self.checkpoints, ns_label, OWN_MARK + "logs")

    def texts(self, ns_label: str) -> Namespace:
        """Long texts and bytes; `ns_label` is always that of the graph itself."""
        return (*self.checkpoints, ns_label, OWN_MARK + "texts")
