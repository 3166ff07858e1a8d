"""RetrieverAgent: finds the passages of an index, or of documents, that a question is about.

Below: retrieval. Above: patterns such as RAG, which give them to an agent that answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self, cast

from aixgo.agents.base import own_keys
from aixgo.contract import Caller
from aixgo.domain import to_json_bytes
from aixgo.errors import AgentRefused, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.names import check_name
from aixgo.providers import Embedder
from aixgo.retrieval import (
    Document,
    Index,
    MemoryStore,
    SqliteStore,
    Store,
    embedder_of,
    read_documents,
)
from aixgo.retrieval.chunking import OVERLAP, SIZE, check_sizes
from aixgo.retrieval.filters import check_where
from aixgo.retrieval.index import MODES, Mode
from aixgo.retrieval.stores.base import Hit

__all__ = ["AGENT", "RetrieverAgent"]

MOST = 1_000  # passages that a message may ask for
MAX_ASKED = (
    8_000  # characters of a question that are searched for: models take about as many tokens
)
MAX_FILTER = 16 * 1024  # bytes of a message's filter, which is held against each passage


class RetrieverAgent:
    """Answers a question with passages: `{"query", "documents": [{"id", "content", "score", "source", "metadata"}]}`.

    It searches an `index` that `aixgo index` made, or `documents`, files and folders it reads when it starts. The
    question is the message's text, or `query` of its JSON object, whose `where` is a further filter; `top_k` in the
    message's metadata, up to 1,000, takes the place of its own. Of a long question the first 8,000 characters count,
    and a filter has up to 16 KiB. With a `store`, documents are kept there between starts: those that did not change
    are not embedded again, and those that are gone are taken out. A question that nothing fits has an empty list.
    Metadata: `document_count`, `mode`.

    Raises:
        ConfigError: neither or several of `index`, `documents` and `store`, or a setting that cannot be. Starting
            raises it when there is no such index, or no document to search in.
    """

    role = "retriever"
    path_keys: ClassVar[Sequence[str]] = ("index", "documents")
    """Keys whose relative paths are meant from the folder of the YAML file."""
    takes_retrieval: ClassVar[bool] = True
    config_keys: ClassVar[Mapping[str, Key]] = {
        "description": Key("text", "what the agent is for, shown to people and routers"),
        "index": Key("text", "the file that `aixgo index` made"),
        "documents": Key("texts", "files and folders to read at each start, instead of an index"),
        "mode": Key("text", "what is compared", choices=MODES, default="hybrid"),
        "top_k": Key("integer", "passages to find", minimum=1, default=5),
        "min_score": Key("number", "leave out passages with a lower score, which is of the mode"),
        "where": Key("mapping", "metadata a passage must have: a filter"),
        "vector_store": Key(
            "any",
            "where it searches: a provider, or keys as of `vectorstore`, over those of the file",
        ),
        "collection": Key("text", "which collection of the index, or of the file's store"),
        "embedding_model": Key(
            "text", "`hashing`, or vendor:model; that of the index. By default as `embeddings` says"
        ),
        "api_key": Key(
            "text", "the model's key, as ${NAME}; else the vendor's own variable", secret=True
        ),
        "chunk_size": Key("integer", "characters of a passage", minimum=1, default=SIZE),
        "chunk_overlap": Key("integer", "characters it repeats", minimum=0, default=OVERLAP),
    }

    def __init__(
        self,
        name: str,
        *,
        index: str | Path = "",
        documents: Sequence[str | Path] = (),
        store: Store | None = None,
        collection: str = "",
        mode: Mode = "hybrid",
        top_k: int = 5,
        min_score: float | None = None,
        where: Mapping[str, JSONValue] | None = None,
        embedding_model: str = "",
        embedder: Embedder | None = None,
        api_key: str = "",
        chunk_size: int = SIZE,
        chunk_overlap: int = OVERLAP,
        description: str = "",
    ) -> None:
        self.name = check_name(name)
        self.description = description
        stated = f"retriever {name!r}"
        if store is None and bool(index) == bool(documents):
            raise ConfigError(f"{stated} searches an index, or documents: give one of the two")
        if store is not None and (index or collection):
            raise ConfigError(f"{stated} has a store: leave out the index and its collection")
        if collection and not index:
            raise ConfigError(f"{stated}: the collection {collection!r} is one of an index")
        if embedder is not None and embedding_model:
            raise ConfigError(f"{stated}: give embedder or embedding_model, not both")
        if isinstance(documents, (str, Path)):
            raise ConfigError(f"{stated}: documents is a list of paths")
        check_given(
            self.config_keys,
            stated,
            mode=mode,
            top_k=top_k,
            min_score=min_score,
            embedding_model=embedding_model,
            chunk_size=chunk_size,
            chunk_overlap=chunk_overlap,
        )
        self._mode, self._top_k = mode, top_k
        check_where(where)
        check_sizes(chunk_size, chunk_overlap)
        self._where, self._min_score = where, min_score
        self._documents = documents
        if store is None:
            file = SqliteStore(index, create=False, collection=collection) if index else None
            store = file or MemoryStore()
        self._index = Index(
            store,
            embedder or embedder_of(embedding_model, api_key=api_key),
            chunk_size=chunk_size,
            chunk_overlap=chunk_overlap,
        )

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry; `store` and `embedder` are what the configuration made of the file's keys."""
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        settings.pop("vector_store", None)
        made = {key: entry[key] for key in ("store", "embedder") if entry.get(key) is not None}
        if "store" in made:
            settings = {k: v for k, v in settings.items() if k not in ("index", "collection")}
        if "embedder" in made:
            settings = {k: v for k, v in settings.items() if k != "embedding_model"}
        return cls(name, **cast("dict[str, str]", {**settings, **made}))  # type: ignore[arg-type]  # checked by their keys

    async def start(self, caller: Caller) -> None:  # noqa: ARG002 - the agent's shape
        """Open the index, or read the documents."""
        await self._index.open()
        try:
            await self._fill()
        except BaseException:
            await self._index.close()
            raise

    async def stop(self) -> None:
        """Close the index."""
        await self._index.close()

    async def _fill(self) -> None:
        known: set[str] = set()
        for path in self._documents:
            for document in await asyncio.to_thread(_read, path):
                if document.id in known:
                    raise ConfigError(
                        f"retriever {self.name!r}: two of its documents are called {document.id!r}; "
                        "give the folder above both"
                    )
                known.add(document.id)
                await self._index.add(document)
        if known:  # a store that lasts may hold more
            for gone in await self._index.documents() - known:
                await self._index.remove(gone)
        if not await self._index.size():
            raise ConfigError(f"retriever {self.name!r} has no documents to search in")

    async def execute(self, message: Message) -> Message:
        """The passages that `message` asks for.

        Raises:
            AgentRefused: it asks nothing.
        """
        payload = message.payload
        asked = payload.get("query") if isinstance(payload, dict) else message.text
        if not isinstance(asked, str) or not asked.strip():
            raise AgentRefused(
                f"retriever {self.name!r} takes a question: text, or an object with `query`"
            )
        wanted = message.metadata.get("top_k")
        count = self._top_k
        if isinstance(wanted, int) and not isinstance(wanted, bool):
            count = min(max(1, wanted), MOST)
        hits = await self._index.search(
            asked[:MAX_ASKED],
            count,
            mode=self._mode,
            where=self._filter(payload),
            min_score=self._min_score,
        )
        found: JSONValue = [_shown(hit) for hit in hits]
        return Message({"query": asked, "documents": found}, type="retrieved").with_metadata(
            document_count=len(hits), mode=self._mode
        )

    def _filter(self, payload: object) -> Mapping[str, JSONValue] | None:
        """Its own filter, and that of a question."""
        asked = payload.get("where") if isinstance(payload, dict) else None
        if not asked:
            return self._where
        if len(to_json_bytes(asked)) > MAX_FILTER:
            raise AgentRefused(
                f"retriever {self.name!r}: the filter of a question has up to {MAX_FILTER:,} bytes"
            )
        given = cast("dict[str, JSONValue]", asked)
        both: dict[str, JSONValue] = {"and": [dict(self._where), given]} if self._where else given
        try:
            check_where(both)
        except ConfigError as exc:
            raise AgentRefused(f"retriever {self.name!r}: {exc}") from exc
        return both


def _read(path: str | Path) -> list[Document]:
    return list(read_documents(path))


def _shown(hit: Hit) -> dict[str, JSONValue]:
    source = hit.metadata.get("source") or hit.metadata.get("document") or hit.id
    return {
        "id": hit.id,
        "content": hit.text,
        "score": hit.score,
        "source": source,
        "metadata": dict(hit.metadata),
    }


AGENT = RetrieverAgent
