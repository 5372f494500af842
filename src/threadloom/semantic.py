"""Semantic search: what of an item is embedded, and by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langgraph.store.base import (
    IndexConfig,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
)
from langgraph.store.base.embed import EmbeddingsLambda

from threadloom import vectors
from threadloom.errors import InvalidKey, MissingAdapter, UnsupportedByStore
from threadloom.plans import Outside

_WHOLE = "$"
_KNOWN = ("dims", "embed", "fields")


class SemanticIndex:
    """LangGraph's `index` of a store, checked.

    Args:
        config: ``dims``, the length of the vectors; ``embed``, a LangChain `Embeddings`, a
            function of a list of texts, sync or async, or a provider string such as
            ``"openai:text-embedding-3-small"``; ``fields``, the paths of what is embedded, the
            whole value (``["$"]``) by default.

    Attributes:
        config: a copy of it.
        dims: numbers of a vector.

    Raises:
        InvalidKey: something in it makes no sense.
        MissingAdapter: the provider's package is not installed.
    """

    def __init__(self, config: IndexConfig) -> None:
        if not isinstance(config, Mapping):
            raise InvalidKey(f"an index is a mapping, got {type(config).__name__}")
        given = dict(config)
        if given.get("distance_type", "cosine") != "cosine":
            raise InvalidKey(f"distances are cosines, not {given['distance_type']!r}")
        unknown = sorted(set(given) - {*_KNOWN, "distance_type"})
        if unknown:
            raise InvalidKey(f"unknown in an index: {unknown}; there are {', '.join(_KNOWN)}")
        dims = given.get("dims")
        if isinstance(dims, bool) or not isinstance(dims, int) or not 0 < dims < 2**20:
            raise InvalidKey(f"dims is the length of an embedding, got {dims!r:.80}")
        self.dims = dims
        self._embeddings = _embeddings(given.get("embed"))
        self._fields = _paths(given.get("fields") or [_WHOLE])
        self.config: IndexConfig = config.copy()

    def texts(self, value: Mapping[str, Any], wanted: object) -> list[str]:
        """What is to be embedded of a value.

        Args:
            value: JSON.
            wanted: paths instead of those of the configuration; None for these, False for none.
        """
        if wanted is False:
            return []
        paths = self._fields if wanted is None else _paths(wanted)
        return [text for path in paths for text in get_text_at_path(value, path)]

    def embedding(self, documents: Sequence[str], queries: Sequence[str]) -> Outside:
        """The step of a plan that embeds: the vectors of documents, packed, and of queries."""
        return Outside(
            lambda: self._embed(documents, queries), lambda: self._aembed(documents, queries)
        )

    def _embed(self, documents: Sequence[str], queries: Sequence[str]) -> list[Any]:
        embeddings = self._embeddings
        if isinstance(embeddings, EmbeddingsLambda) and not hasattr(embeddings, "func"):
            raise UnsupportedByStore(
                "this index embeds by an async function, which works from an event loop only: "
                "use the async methods, or give it LangChain Embeddings"
            )
        found = embeddings.embed_documents(list(documents)) if documents else []
        return self._checked(documents, found, [embeddings.embed_query(text) for text in queries])

    async def _aembed(self, documents: Sequence[str], queries: Sequence[str]) -> list[Any]:
        embeddings = self._embeddings
        found = await embeddings.aembed_documents(list(documents)) if documents else []
        asked = await asyncio.gather(*map(embeddings.aembed_query, queries))
        return self._checked(documents, found, asked)

    def _checked(
        self, documents: Sequence[str], found: Sequence[Any], asked: Iterable[Any]
    ) -> list[Any]:
        if len(found) != len(documents):
            raise InvalidKey(f"{len(documents)} texts were embedded as {len(found)} vectors")
        return [
            [vectors.packed(vectors.direction(vector, self.dims)) for vector in found],
            [vectors.direction(vector, self.dims) for vector in asked],
        ]


def check_wanted(wanted: object) -> None:
    """Refuse what cannot be the `index` of a put, whether the store has an index or not.

    Raises:
        InvalidKey: it is not None, False or a list of paths.
    """
    if wanted is not None and wanted is not False:
        _paths(wanted)


def _paths(given: object) -> list[str | list[str]]:
    if not isinstance(given, (list, tuple)) or not all(isinstance(path, str) for path in given):
        raise InvalidKey(f"what is to be indexed is a list of paths, got {given!r:.80}")
    return [path if path == _WHOLE else tokenize_path(path) for path in given]


def _embeddings(embed: Any) -> Any:
    """LangChain's `Embeddings` of whatever embeds."""
    if isinstance(embed, str):
        try:
            return ensure_embeddings(embed)
        except (ValueError, ImportError) as error:
            raise MissingAdapter(f"embeddings {embed!r} cannot be loaded: {error}") from error
    if not callable(embed) and not hasattr(embed, "embed_documents"):
        raise InvalidKey(f"an index needs embed, which makes vectors of texts; got {embed!r:.80}")
    return ensure_embeddings(embed)
