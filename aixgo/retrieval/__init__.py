"""Retrieval: documents in pieces, and the pieces that a question is about."""

from __future__ import annotations

from aixgo.retrieval.chunking import Chunk, chunked
from aixgo.retrieval.documents import Document, read_documents

__all__ = ["Chunk", "Document", "chunked", "read_documents"]
