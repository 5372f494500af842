"""Elements of a list channel kept in memory: handed out as fresh copies, compared exactly.

Three kinds are fast: immutable scalars, plain trees (lists and dicts of JSON-like things), and
LangChain's messages made of both. Everything else is kept as the codec's bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby
from sys import getsizeof
from typing import Any, Final

import ormsgpack

from threadloom.checkpoint.sameness import (
    CONTAINERS,
    JUST_STR,
    KEYS,
    Prepared,
    parts_one_by_one,
    same_values,
)
from threadloom.garbage import without_collection
from threadloom.serde import ModelKind, PlainModel, slots
from threadloom.serde.format import nesting_at_most, pack

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

_EMPTY_MESSAGE: Final = 1_200
_TREE_FACTOR: Final = 8
"""Bytes of memory: of a frozen message without content, and for each byte of a packed tree."""

_DEEPEST: Final = 100
"""Trees nesting deeper are left to the codec, which has the last word on depth."""

_BYTES_MARKS: Final = b"\xc4\xc5\xc6"
_LEAVES: Final = frozenset({type(None), bool, int, float, str})
_SCALARS: Final = _LEAVES | {bytes}
_USUAL_DICTS: Final = ("additional_kwargs", "response_metadata")
_new = object.__new__
_drain = deque[Any](maxlen=0).extend
_unpack = ormsgpack.unpackb


class _NotPlain(Exception):
    """A value has to be kept as the codec's bytes."""


def _snapshot(value: Any) -> tuple[bytes, Any]:
    """A tree packed and copied, both as of one moment.

    Raises:
        _NotPlain: something in it is not exactly JSON-like.
    """
    try:
        body = pack(value)
        copy = _unpack(body)
        if _is_plain(body, copy) and copy == value:
            return body, copy
    except Exception as error:  # whatever ormsgpack raises, or a comparison
        raise _NotPlain from error
    raise _NotPlain


def _is_plain(body: bytes, copy: Any) -> bool:
    """Whether what was read from ``body`` holds neither bytes nor too many levels."""
    none = len(body) == len(body.translate(None, _BYTES_MARKS))
    return (none and nesting_at_most(body) <= _DEEPEST) or _is_tree(copy)


def _is_tree(copy: Any, depth: int = 0) -> bool:
    """Whether what ormsgpack has read holds neither bytes nor too many levels."""
    kind = type(copy)
    if kind in _LEAVES:
        return True
    if kind not in CONTAINERS or depth >= _DEEPEST:
        return False
    items = copy if kind is list else copy.values()
    return _LEAVES.issuperset(map(type, items)) or all(_is_tree(item, depth + 1) for item in items)


class Frozen:
    """An immutable stand-in for one element, sharing nothing mutable with anybody.

    Attributes:
        size: about how many bytes of memory it holds.
    """

    __slots__ = ("size",)

    size: int

    @classmethod
    def thaw_all(cls, some: Sequence[Any]) -> list[Any]:
        """New objects for stand-ins of this class."""
        raise NotImplementedError

    @classmethod
    def all_same(cls, some: Sequence[Any], values: Sequence[Any]) -> bool:
        """Whether values surely are as they were; may raise what a foreign object raises."""
        raise NotImplementedError

    @classmethod
    def surely_same(cls, some: Sequence[Any], values: Sequence[Any]) -> bool:
        """`all_same`, and False where a foreign object cannot be compared."""
        try:
            return cls.all_same(some, values)
        except Exception:
            return False

    @classmethod
    def changed(cls, some: Sequence[Any], values: Sequence[Any]) -> list[int]:
        """Where values are not surely what equally many stand-ins stand for."""
        if cls.surely_same(some, values):
            return []
        if len(some) == 1:
            return [0]
        half = len(some) // 2
        rest = cls.changed(some[half:], values[half:])
        return cls.changed(some[:half], values[:half]) + [half + index for index in rest]


_EMPTY_DICT: Final[dict[str, Any]] = {}
_EMPTY_LIST: Final[list[Any]] = []


def _shared(tree: Any) -> Any:
    """A tree that is never changed.

    Whatever is empty is one and the same: many messages then fit into few lines of a cache.
    """
    if tree:
        return tree
    return _EMPTY_DICT if type(tree) is dict else _EMPTY_LIST if type(tree) is list else tree


_Empty = tuple[tuple[str, ...], tuple[str, ...]]
"""The names of the empty dicts, and those of the empty lists."""
_NOTHING: Final[dict[str, Any]] = {}


def _empty_in(trees: Mapping[str, Any]) -> _Empty:
    dicts = tuple([name for name, tree in trees.items() if tree == {}])
    lists = tuple([name for name, tree in trees.items() if tree == []])
    return _USUAL_DICTS if dicts == _USUAL_DICTS else dicts, lists


@lru_cache(maxsize=256)
def _shared_names(names: frozenset[str]) -> frozenset[str]:
    return names


class _Scalar(Frozen):
    """Something immutable, kept as itself."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value
        self.size = getsizeof(self) + getsizeof(value)

    @classmethod
    def thaw_all(cls, some: Sequence[Any]) -> list[Any]:
        return [one.value for one in some]

    @classmethod
    def all_same(cls, some: Sequence[_Scalar], values: Sequence[Any]) -> bool:
        return same_values(list(values), [one.value for one in some])


class _Tree(_Scalar):
    """A list or dict of plain things: ``value`` is its own, and ``body`` encodes it."""

    __slots__ = ("body",)

    def __init__(self, value: Any) -> None:
        self.body, self.value = _snapshot(value)
        self.size = getsizeof(self) + _TREE_FACTOR * len(self.body)

    @classmethod
    def thaw_all(cls, some: Sequence[Any]) -> list[Any]:
        return [_unpack(one.body) for one in some]


class Message(Frozen):
    """A message of LangChain, made of scalars and trees.

    ``extra``, ``private`` and ``state`` are its own extra fields, private attributes and
    ``__dict__``, and ``keys`` are the keys of the latter. ``dicts`` and ``lists`` name the
    empty containers in it; ``trees`` encodes the others. ``extra_body`` and ``private_body``
    encode what is not the usual ``{}`` and ``None``.
    """

    __slots__ = (
        *("cls", "dicts", "extra", "extra_body", "keys", "lists", "names"),
        *("private", "private_body", "state", "trees"),
    )

    def __init__(
        self,
        cls: type,
        names: frozenset[str],
        state: dict[str, Any],
        empty: _Empty,
        filled: dict[str, Any],
        extra: Any,
        private: Any,
        size: int,
    ) -> None:
        """All of it is its own: ``filled`` are the containers of the ``state`` with content."""
        self.cls = cls
        self.names = _shared_names(names)
        self.keys = KEYS[cls]
        self.state = state
        self.dicts, self.lists = empty
        self.extra = _shared(extra)
        self.private = private
        self.trees = pack(filled) if filled else None
        self.extra_body = None if extra == {} else pack(extra)
        self.private_body = None if private is None else pack(private)
        packed = 0
        for some in (self.trees, self.extra_body, self.private_body):
            packed += 0 if some is None else len(some)
        self.size = _EMPTY_MESSAGE + size + _TREE_FACTOR * packed

    @classmethod
    def of(cls, value: Any) -> Message:
        """A stand-in for a message that somebody else has.

        Raises:
            _NotPlain: something in it is not exactly JSON-like.
        """
        kind = type(value)
        try:
            extra, names, private, state, _ = parts_one_by_one([value])
        except AttributeError as error:  # it was never initialised
            raise _NotPlain from error
        if type(names) is not set or type(state) is not dict:
            raise _NotPlain
        names, state = frozenset(names), dict(state)
        if tuple(state) != KEYS[kind] or not JUST_STR.issuperset(map(type, names)):
            raise _NotPlain
        if not {type(extra), type(private)} <= {dict, type(None)}:
            raise _NotPlain
        body, (_, extra, private, copy) = _snapshot([list(names), extra, private, state])
        trees = {name: tree for name, tree in copy.items() if type(tree) in CONTAINERS}
        state.update({name: _shared(tree) for name, tree in trees.items()})
        filled = {name: tree for name, tree in trees.items() if tree}
        return cls(kind, names, state, _empty_in(trees), filled, extra, private, len(body))

    @classmethod
    def thaw_all(cls, some: Sequence[Message]) -> list[Any]:
        states: list[dict[str, Any]] = []
        for one in some:
            state = {**one.state}
            if one.dicts is _USUAL_DICTS:
                state["additional_kwargs"] = {}
                state["response_metadata"] = {}
            else:
                for name in one.dicts:
                    state[name] = {}
            for name in one.lists:
                state[name] = []
            if one.trees is not None:
                state.update(_unpack(one.trees))
            states.append(state)
        result: list[Any] = list(map(_new, [one.cls for one in some]))
        _drain(map(slots.set_dict, result, states))
        _drain(map(slots.set_set, result, map(set, [one.names for one in some])))
        extras = [{} if one.extra_body is None else _unpack(one.extra_body) for one in some]
        _drain(map(slots.set_extra, result, extras))
        privates = [None if one.private_body is None else _unpack(one.private_body) for one in some]
        _drain(map(slots.set_private, result, privates))
        return result

    @classmethod
    def all_same(cls, some: Sequence[Message], values: Sequence[Any]) -> bool:
        return Prepared(some).all_same(values)


class Encoded(Frozen):
    """Anything else, as the codec's bytes."""

    __slots__ = ("body", "decode", "encode")

    def __init__(self, body: bytes, encode: Encode, decode: Decode) -> None:
        self.body = body
        self.encode = encode
        self.decode = decode
        self.size = getsizeof(self) + getsizeof(body)

    @classmethod
    def thaw_all(cls, some: Sequence[Encoded]) -> list[Any]:
        return [one.decode(one.body) for one in some]

    @classmethod
    def all_same(cls, some: Sequence[Encoded], values: Sequence[Any]) -> bool:
        return all(one._is(value) for one, value in zip(some, values, strict=True))

    @classmethod
    def changed(cls, some: Sequence[Encoded], values: Sequence[Any]) -> list[int]:
        pairs = zip(some, values, strict=True)
        return [index for index, (one, value) in enumerate(pairs) if not one._is(value)]

    def _is(self, value: Any) -> bool:
        try:
            return self.encode(value) == self.body
        except Exception:
            return False  # what cannot be stored is not the same; storing it will say why


def freeze(value: Any, encode: Encode, decode: Decode, body: bytes | None = None) -> Frozen:
    """A stand-in for ``value`` as it is now.

    ``encode`` and ``decode`` are the codec for what is not plain, and ``body``, if it is known,
    what ``encode`` gives for the value. Raises what ``encode`` raises.
    """
    kind = type(value)
    try:
        if kind in _SCALARS:
            return _Scalar(value)
        if kind in CONTAINERS:
            return _Tree(value)
        if kind in KEYS:
            return Message.of(value)
    except _NotPlain:
        pass
    return Encoded(encode(value) if body is None else body, encode, decode)


def freeze_message(read: PlainModel) -> Message | None:
    """A stand-in for a message as it was read; None where it has to be made to be looked at."""
    kind, fields, extra, private, body = read
    usual = _usual(kind)
    if usual is None:
        return None
    defaults, empty = usual
    state = {**defaults, **fields}
    content = state["content"]
    size = len(body) + (len(content) if type(content) is str else 0)
    filled = _NOTHING
    is_flat = extra is kind.extra and private is None
    if not (is_flat and _LEAVES.issuperset(map(type, fields.values()))):
        if not _is_plain(body, (fields, extra, private)):
            return None
        trees = {name: tree for name, tree in state.items() if type(tree) in CONTAINERS}
        state.update({name: _shared(tree) for name, tree in trees.items()})
        filled, empty = {name: tree for name, tree in trees.items() if tree}, _empty_in(trees)
    return Message(kind.cls, kind.names, state, empty, filled, extra, private, size)


@lru_cache(maxsize=1024)
def _usual(kind: ModelKind) -> tuple[dict[str, Any], _Empty] | None:
    """The defaults of a kind of messages, and which are empty where no container is stored."""
    if kind.cls not in KEYS:
        return None
    trees = {name: tree for name, tree in kind.defaults.items() if type(tree) in CONTAINERS}
    defaults = {**kind.defaults, **{name: _shared(tree) for name, tree in trees.items()}}
    return defaults, _empty_in({name: trees[name] for name in trees if name not in kind.stored})


def thaw(frozen: Iterable[Frozen]) -> list[Any]:
    """New objects, as the codec would make them, that share nothing mutable with any other.

    Raises what ``decode`` raises.
    """
    own = list(frozen)
    with without_collection(len(own)):
        return _thaw(own)


def _thaw(own: list[Frozen]) -> list[Any]:
    found = [kind.thaw_all(own[start:end]) for start, end, kind in runs(own)]
    return found[0] if len(found) == 1 else list(chain.from_iterable(found))


def runs(own: list[Frozen]) -> Iterable[tuple[int, int, type[Frozen]]]:
    """Start, end and class of neighbours of one class."""
    kinds = set(map(type, own))
    if len(kinds) == 1:
        return [(0, len(own), kinds.pop())]
    result = []
    start = 0
    for kind, run in groupby(map(type, own)):
        end = start + len(list(run))
        result.append((start, end, kind))
        start = end
    return result
