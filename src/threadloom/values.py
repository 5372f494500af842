"""Channel values, pending writes, metadata and messages as bytes.

Two ways in, one face: our own `Codec`, or a serializer that the caller brought (LangGraph's
`SerializerProtocol`, such as `EncryptedSerializer`), which then gets every value whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import ormsgpack
from langgraph.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods

from threadloom.errors import CorruptRecord, SerializationError, ThreadloomError
from threadloom.models import MessageList
from threadloom.serde import LISTS, Codec, Opened, PlainModel, Runs, opened, read_plain_model

LISTS.add(MessageList)

Keep = Callable[[str | bytes], str | None]
"""Takes a long text or bytes; gives the key under which it is kept, or None to leave it."""
Texts = Mapping[str, str | bytes]
Parts = Mapping[str, Any]
"""Texts, bytes, and runs of lists, by the keys that stand for them in a value."""


class Values(Protocol):
    """Turns values into bytes and back."""

    readable: bool
    """Whether what is inside may also appear in documents and search text."""

    def dumps(self, value: Any, *, where: str) -> bytes:
        """The value as bytes.

        Raises:
            SerializationError: it cannot be stored; `where` is in the message.
        """

    def dumps_apart(self, value: Any, keep: Keep, *, where: str, runs: Runs | None = None) -> bytes:
        """`dumps` without the long texts, which `keep` takes where they may be seen.

        Nor with runs of lists that can be found elsewhere (see `Codec.dumps_apart`).
        """

    def loads_joined(self, data: bytes, texts: Parts, *, opaque: bool = False) -> Any:
        """The value that `dumps_apart` was given, from its parts by their keys."""

    def opened(self, data: bytes) -> Opened:
        """What `dumps_apart` wrote, not yet read: it names the parts that `loads_joined` needs."""

    def plain_model(self, body: Opened, parts: Sequence[str | bytes]) -> PlainModel | None:
        """What a model holds that is nothing but plain things; None for everything else."""

    def loads(self, data: bytes) -> Any:
        """The value that `dumps` was given.

        Raises:
            UntrustedType: it names a type that may not be rebuilt here.
            CorruptRecord: the bytes are damaged.
        """

    def loads_opaque(self, data: bytes) -> Any:
        """The value, with `Opaque` in the place of what may not be rebuilt here.

        Raises:
            CorruptRecord: the bytes are damaged.
        """


class SafeValues:
    """Values by Threadloom's own codec."""

    readable = True

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def dumps(self, value: Any, *, where: str) -> bytes:
        return self.codec.dumps(value, where=where)

    def dumps_apart(self, value: Any, keep: Keep, *, where: str, runs: Runs | None = None) -> bytes:
        return self.codec.dumps_apart(value, keep, where=where, runs=runs)

    def loads_joined(self, data: bytes, texts: Parts, *, opaque: bool = False) -> Any:
        return self.codec.loads_joined(data, texts, opaque=opaque)

    def opened(self, data: bytes) -> Opened:
        return opened(data)

    def plain_model(self, body: Opened, parts: Sequence[str | bytes]) -> PlainModel | None:
        return read_plain_model(body.body, parts)

    def loads(self, data: bytes) -> Any:
        return self.codec.loads(data)

    def loads_opaque(self, data: bytes) -> Any:
        return self.codec.loads_opaque(data)

    def narrowed(self, extra: Collection[tuple[str, ...] | type]) -> SafeValues:
        """The same, for a list of types only."""
        return SafeValues(self.codec.narrowed(extra))


class CallerValues:
    """Values by a serializer of the caller's own."""

    readable = False

    def __init__(self, serde: SerializerProtocol) -> None:
        self.serde = serde

    def dumps(self, value: Any, *, where: str) -> bytes:
        try:
            kind, data = self.serde.dumps_typed(value)
        except Exception as error:
            raise SerializationError(
                f"{where}: {type(self.serde).__name__} cannot store "
                f"a {type(value).__qualname__}: {error}"
            ) from error
        return ormsgpack.packb((kind, data))

    def dumps_apart(self, value: Any, keep: Keep, *, where: str, runs: Runs | None = None) -> bytes:
        return self.dumps(value, where=where)

    def loads_joined(self, data: bytes, texts: Parts, *, opaque: bool = False) -> Any:
        return self.loads(data)

    def opened(self, data: bytes) -> Opened:
        return Opened(data, [])

    def plain_model(self, body: Opened, parts: Sequence[str | bytes]) -> PlainModel | None:
        return None

    def loads(self, data: bytes) -> Any:
        try:
            kind, payload = ormsgpack.unpackb(data)
        except (ValueError, TypeError) as error:
            raise CorruptRecord(f"a stored value is damaged: {error}") from error
        try:
            return self.serde.loads_typed((kind, payload))
        except ThreadloomError:
            raise
        except Exception as error:
            raise CorruptRecord(
                f"{type(self.serde).__name__} cannot read a stored value: {error}"
            ) from error

    def loads_opaque(self, data: bytes) -> Any:
        return self.loads(data)


def values_for(
    serde: SerializerProtocol | None,
    allow: Iterable[type | tuple[str, str]] = (),
    aliases: Mapping[str, type] | None = None,
) -> Values:
    """Values by a caller's serializer, or by our own codec where there is none."""
    if serde is not None:
        return CallerValues(maybe_add_typed_methods(serde))
    return SafeValues(Codec(allow=allow, aliases=aliases))
