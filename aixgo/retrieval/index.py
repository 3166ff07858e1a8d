"""An index: documents in, hits out. It puts chunking, an embedder and a store together.

Below: chunking, embedding, fusion, stores. Above: the retriever agent, `aixgo index`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Self, TypeAlias, get_args

from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.providers import Embedder
from aixgo.retrieval.chunking import OVERLAP, SIZE, Chunk, check_sizes, chunked
from aixgo.retrieval.documents import Document
from aixgo.retrieval.embedding import HashingEmbedder
from aixgo.retrieval.fusion import fused
from aixgo.retrieval.stores.base import Hit, Record, Store, Where, check_text

__all__ = ["MODES", "Index", "Mode"]

Mode: TypeAlias = Literal["semantic", "keyword", "hybrid"]
MODES: tuple[Mode, ...] = get_args(Mode)
BATCH = 256  # chunks looked up at once: each comes with its vector
WIDER = 4  # times as many hits of each search as are wanted of both together
MADE_BY = "embedder"  # the note that says which vectors are in the store
CUT = 2  # how chunks are made and indexed: raised, all are made anew
DIGEST = "digest"  # in the metadata of a chunk: what its document was when it was cut


class Index:
    """Documents in a store, found by what a question means, by its words, or by both.

    Use it as `async with`, which opens and closes the store.

    Raises:
        ConfigError: `chunk_size` and `chunk_overlap` do not fit each other.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder | None = None,
        *,
        chunk_size: int = SIZE,
        chunk_overlap: int = OVERLAP,
    ) -> None:
        check_sizes(chunk_size, chunk_overlap)
        self.store = store
        self.embedder = HashingEmbedder() if embedder is None else embedder
        self.chunk_size = chunk_size
        self.chunk_overlap = chunk_overlap

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the store.

        Raises:
            ConfigError: it cannot be opened, or holds vectors of another embedder.
        """
        await self.store.open()
        made_by = (await self.store.notes()).get(MADE_BY, self.embedder.name)
        if made_by != self.embedder.name:
            await self.store.close()
            raise ConfigError(
                f"the index was made with the embedding model {made_by!r}, and is asked with {self.embedder.name!r}; "
                "name the same, or index anew"
            )

    async def close(self) -> None:
        """Close the store."""
        await self.store.close()

    async def add(self, document: Document) -> int:
        """Put a document in, in place of what was known of it; how many chunks it has.

        A document that has not changed since, cut in the same way, is not embedded again.

        Raises:
            ConfigError: it cannot be stored.
        """
        check_text(document.text, f"the document {document.id!r}")
        chunks = chunked(document, self.chunk_size, self.chunk_overlap)
        digest = self._digest(document)
        known = await self._known(document.id, len(chunks))
        if len(known) == len(chunks) and all(found == digest for found in known.values()):
            return len(known)
        await self.store.note(MADE_BY, self.embedder.name)
        vectors = await self.embedder.embed([_searched(chunk) for chunk in chunks])
        await self.store.upsert(
            Record(chunk.id, chunk.text, vector, {**chunk.metadata, DIGEST: digest}, _title(chunk))
            for chunk, vector in zip(chunks, vectors, strict=True)
        )
        await self.store.delete(known.keys() - {chunk.id for chunk in chunks})
        return len(chunks)

    async def has(self, document: Document) -> bool:
        """Whether the document is in, as it is now and cut in the same way, or has nothing to be in with."""
        chunks = chunked(document, self.chunk_size, self.chunk_overlap)
        known, digest = await self._known(document.id, len(chunks)), self._digest(document)
        return len(known) == len(chunks) and all(found == digest for found in known.values())

    async def _known(self, document: str, likely: int) -> dict[str, JSONValue]:
        """The chunks there are of a document, and the digest of each.

        They are numbered, so nobody has to look through all of the store; a batch of which none is there ends it.
        """
        found: dict[str, JSONValue] = {}
        begin, count = 0, min(likely + 1, BATCH)
        while True:
            ids = [f"{document}#{i}" for i in range(begin, begin + count)]
            there = await self.store.get(ids)
            found |= {record.id: record.metadata.get(DIGEST) for record in there}
            if not there:
                return found
            begin, count = begin + count, BATCH

    async def remove(self, document_id: str) -> int:
        """Take a document out; how many chunks it had."""
        return await self.store.delete(await self._known(document_id, BATCH))

    async def documents(self) -> set[str]:
        """The ids of the documents."""
        return {name.rpartition("#")[0] for name in await self.store.ids()}

    async def size(self) -> int:
        """How many chunks there are."""
        return await self.store.count()

    async def search(
        self,
        query: str,
        top_k: int = 5,
        *,
        mode: Mode = "hybrid",
        where: Where | None = None,
        offset: int = 0,
        min_score: float | None = None,
    ) -> list[Hit]:
        """The chunks `query` is about, best first; `offset` of them are passed over, and any below `min_score`.

        `semantic` scores are by the store's metric, such as cosines, `keyword` scores BM25, and `hybrid` fuses both
        rankings by reciprocal ranks, so that its best possible score is 2 / 61.

        Raises:
            ConfigError: there is no such mode.
        """
        if mode not in MODES:
            raise ConfigError(f"there is no mode {mode!r} of search; there are: {', '.join(MODES)}")
        if mode == "keyword":
            hits = await self.store.search_text(
                query, top_k, where, offset=offset, min_score=min_score
            )
            return [_shown(hit) for hit in hits]
        (vector,) = await self.embedder.embed([query])
        if mode == "semantic":
            hits = await self.store.search(vector, top_k, where, offset=offset, min_score=min_score)
            return [_shown(hit) for hit in hits]
        wide = (offset + top_k) * WIDER
        near = await self.store.search(vector, wide, where)
        named = await self.store.search_text(query, wide, where)
        merged = _merged([near, named])[offset : offset + top_k]
        return [hit for hit in merged if min_score is None or hit.score >= min_score]

    def _digest(self, document: Document) -> str:
        facts = json.dumps(dict(document.metadata), sort_keys=True)
        how = f"{CUT} {self.chunk_size} {self.chunk_overlap} {facts}"
        return hashlib.sha256(f"{how}\n{document.text}".encode()).hexdigest()[:16]


def _searched(chunk: Chunk) -> str:
    """What of a chunk is embedded: the headings above it say what it is about, more than its other words do."""
    title = _title(chunk)
    return f"{title}\n{title}\n{chunk.text}" if title else chunk.text


def _title(chunk: Chunk) -> str:
    """The path of headings above a chunk."""
    heading = chunk.metadata.get("heading")
    return heading if isinstance(heading, str) else ""


def _shown(hit: Hit) -> Hit:
    return replace(hit, metadata={k: v for k, v in hit.metadata.items() if k != DIGEST})


def _merged(found: Sequence[Sequence[Hit]]) -> list[Hit]:
    by_id = {hit.id: hit for hits in found for hit in hits}
    ranks = fused([hit.id for hit in hits] for hits in found)
    return [_shown(replace(by_id[name], score=score)) for name, score in ranks]
