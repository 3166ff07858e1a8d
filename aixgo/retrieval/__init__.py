"""Retrieval: documents in pieces, and the pieces that a question is about."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aixgo.retrieval.chunking import Chunk, chunked
    from aixgo.retrieval.documents import Document, read_documents
    from aixgo.retrieval.embedding import HashingEmbedder, embedder_of
    from aixgo.retrieval.fusion import fused
    from aixgo.retrieval.index import Index
    from aixgo.retrieval.stores.base import Hit, Record, Stats, Store
    from aixgo.retrieval.stores.memory import MemoryStore
    from aixgo.retrieval.stores.sqlite import SqliteStore

_HOMES = {
    "Chunk": "aixgo.retrieval.chunking",
    "Document": "aixgo.retrieval.documents",
    "HashingEmbedder": "aixgo.retrieval.embedding",
    "Hit": "aixgo.retrieval.stores.base",
    "Index": "aixgo.retrieval.index",
    "MemoryStore": "aixgo.retrieval.stores.memory",
    "Record": "aixgo.retrieval.stores.base",
    "SqliteStore": "aixgo.retrieval.stores.sqlite",
    "Stats": "aixgo.retrieval.stores.base",
    "Store": "aixgo.retrieval.stores.base",
    "chunked": "aixgo.retrieval.chunking",
    "embedder_of": "aixgo.retrieval.embedding",
    "fused": "aixgo.retrieval.fusion",
    "read_documents": "aixgo.retrieval.documents",
}

__all__ = [
    "Chunk",
    "Document",
    "HashingEmbedder",
    "Hit",
    "Index",
    "MemoryStore",
    "Record",
    "SqliteStore",
    "Stats",
    "Store",
    "chunked",
    "embedder_of",
    "fused",
    "read_documents",
]

if not TYPE_CHECKING:  # a type checker sees the imports above, and an error for a wrong name

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'aixgo.retrieval' has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
