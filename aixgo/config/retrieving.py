"""`embeddings` and `vectorstore`: what the retrievers of a file compare texts by, and where they find them.

Each retriever gets what the file says, but for what its own entry says: `vector_store`, `collection`,
`embedding_model`, `top_k`. Below: retrieval, config.models. Above: config.build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from aixgo.config.check import Findings
from aixgo.config.keys import EMBEDDINGS_KEYS, VECTORSTORE_KEYS
from aixgo.config.model import AgentEntry, Config
from aixgo.config.models import key_for_file
from aixgo.config.read import Block, position
from aixgo.config.roles import embeds, takes_retrieval
from aixgo.errors import ConfigError
from aixgo.keys import read_keys
from aixgo.loading import kinds
from aixgo.message import JSONValue
from aixgo.providers import Embedder, without_password
from aixgo.retrieval import MemoryStore, SqliteStore, Store, embedder_of
from aixgo.retrieval.embedding import is_offline
from aixgo.retrieval.stores.base import Metric
from aixgo.retrieval.stores.sqlite import Engine

__all__ = ["check_model_of_pattern", "embedder_for", "note_unused", "retrieval_of"]

TEI = "http://127.0.0.1:8080"
OPENAI_MODEL = "text-embedding-3-small"


def note_unused(block: Block, agents: Sequence[AgentEntry], findings: Findings) -> None:
    """Say so where a file describes a search that none of its agents makes."""
    existing = kinds("agents")
    with_role = [entry for entry in agents if entry.role in existing]
    used = {
        "embeddings": any(embeds(entry.role, entry.settings) for entry in with_role),
        "vectorstore": any(takes_retrieval(entry.role) for entry in with_role),
    }
    who = {"embeddings": "compares texts", "vectorstore": "has the role retriever"}
    for name, is_used in used.items():
        if block.get(name) and not is_used:
            where = f"{position(findings.file, block.lines[name])}: {name}"
            findings.notices.append(
                f"{where}: no agent of the file {who[name]}, so it is without effect"
            )


def check_model_of_pattern(settings: Mapping[str, object]) -> None:
    """Refuse that a pattern's `embedding_model` takes a key out of the environment to an address of the file.

    Raises:
        ConfigError: it would.
    """
    name = settings.get("embedding_model")
    if isinstance(name, str) and not is_offline() and key_for_file(name, ""):
        raise ConfigError(
            f"embedding_model: {without_password(name)!r} names an address that the key in the environment is not for; "
            "unset it"
        )


def embedder_for(config: Config, entry: AgentEntry) -> Embedder:
    """What an agent that only compares texts does that with.

    Raises:
        ConfigError: there is no such model, or its key would go to an address of the file that it is not meant for.
    """
    name, api_key = _model(config, entry, own_key=False)
    return _embedder(name, api_key, _asked_dimensions(config, entry), 0)


def retrieval_of(
    config: Config, entry: AgentEntry, settings: Mapping[str, object], *, model: bool = True
) -> dict[str, object]:
    """What a retriever is built with besides its own keys: `embedder`, and maybe `store` and `top_k`.

    Without `model` the embedder is one that needs no key and no package, for who only looks whether all fits.

    Raises:
        ConfigError: the file's settings do not fit each other, or name what there is not.
    """
    spec = _spec(config, entry)
    dimensions = cast("int", spec.get("embedding_dimensions", 0))
    asked = _asked_dimensions(config, entry)
    if asked and dimensions and asked != dimensions:
        raise ConfigError(
            f"embeddings.openai.dimensions is {asked}, and vectorstore.embedding_dimensions {dimensions}; "
            "they are the same thing"
        )
    name, api_key = _model(config, entry)
    if not model:
        name = ""
    found: dict[str, object] = {
        "embedder": _embedder(name, api_key, asked, dimensions),
        "store": _store(config, entry, settings, spec, asked or dimensions),
    }
    if "top_k" not in settings and "default_top_k" in spec:
        found["top_k"] = spec["default_top_k"]
    return found


def _spec(config: Config, entry: AgentEntry) -> dict[str, object]:
    """The keys of `vectorstore`, with those of the agent over them."""
    own = entry.settings.get("vector_store", {})
    given = {"provider": own} if isinstance(own, str) else own
    if not isinstance(given, dict):
        raise ConfigError("vector_store is the name of a provider, or a mapping like vectorstore")
    of_file = {
        name: value for name, value in config.vectorstore.items() if name in VECTORSTORE_KEYS
    }
    read_keys(VECTORSTORE_KEYS, given, "vector_store")
    return read_keys(VECTORSTORE_KEYS, {**of_file, **given}, "vectorstore")


def _asked_dimensions(config: Config, entry: AgentEntry) -> int:
    """How many numbers the file asks the model for, if it does."""
    of_openai = config.embeddings.get("provider") == "openai"
    if not of_openai or entry.settings.get("embedding_model"):
        return 0
    return cast("int", _block(config.embeddings, "openai").get("dimensions", 0))


def _model(config: Config, entry: AgentEntry, *, own_key: bool = True) -> tuple[str, str]:
    """The name of the embedding model, and the key the file has for it; each may be empty.

    The key of an agent that has a model to talk to is that model's, and not `own_key`.
    """
    own = str(entry.settings.get("embedding_model") or "")
    name, api_key = (own, "") if own else _named(config.embeddings)
    if name.partition(":")[0] == "huggingface" and not is_offline():
        raise ConfigError(
            "embeddings of Hugging Face's own servers are not in this version; serve the model by "
            "text-embeddings-inference and name the provider huggingface_tei, or take hashing or openai"
        )
    return name, (str(entry.settings.get("api_key") or "") if own_key else "") or api_key


def _embedder(name: str, api_key: str, asked: int, dimensions: int) -> Embedder:
    if is_offline() or name.partition(":")[0] in ("", "hashing"):
        return embedder_of(name, dimensions=asked or dimensions)
    return embedder_of(name, api_key=key_for_file(name, api_key), dimensions=asked)


def _named(embeddings: Mapping[str, JSONValue]) -> tuple[str, str]:
    """The embedding model as one name, and its key; each may be empty."""
    provider = embeddings.get("provider", "hashing")
    read_keys(
        EMBEDDINGS_KEYS,
        {name: value for name, value in embeddings.items() if name in EMBEDDINGS_KEYS},
        "embeddings",
    )
    block = _block(embeddings, str(provider))
    if provider == "openai":
        name = f"openai:{block.get('model', OPENAI_MODEL)}"
        url = str(block.get("base_url") or "")
        return f"{name}@{url}" if url else name, str(block.get("api_key") or "")
    if provider == "huggingface_tei":
        if block.get("normalize") is False:
            raise ConfigError(
                "embeddings.huggingface_tei.normalize is false, and its vectors come at length one; leave it out"
            )
        endpoint = str(block.get("endpoint") or TEI).rstrip("/")
        return f"huggingface_tei:{block.get('model', 'tei')}@{endpoint}/v1", ""
    return ("huggingface", "") if provider == "huggingface" else ("", "")


def _store(
    config: Config,
    entry: AgentEntry,
    settings: Mapping[str, object],
    spec: Mapping[str, object],
    dimensions: int,
) -> Store | None:
    """The store the file asks for; None if it leaves that to the retriever."""
    own_index, documents = settings.get("index"), bool(settings.get("documents"))
    collection = str(entry.settings.get("collection") or spec.get("collection") or "")
    if not (spec or collection or dimensions):
        return None
    provider = spec.get("provider") or ("sqlite" if spec.get("path") else "memory")
    metric = cast("Metric | None", spec.get("default_distance_metric"))
    if not own_index and provider == "memory":
        if collection:
            raise ConfigError(
                f"the collection {collection!r} is one of a file: give vectorstore the provider sqlite and a path"
            )
        if not documents:
            raise ConfigError(
                "it has neither documents nor an index, and vectorstore keeps nothing in memory between starts: "
                "give documents, or the provider sqlite and a path"
            )
        return MemoryStore(metric=metric or "cosine", dimensions=dimensions)
    path = str(own_index or _path(config, spec))
    if documents and not own_index:
        _check_alone(config, entry, path, collection)
    return SqliteStore(
        path,
        create=documents and not own_index,
        collection=collection,
        metric=metric,
        dimensions=dimensions,
        engine=cast("Engine", spec.get("engine", "auto")),
    )


def _path(config: Config, spec: Mapping[str, object]) -> str:
    if not spec.get("path"):
        raise ConfigError("vectorstore: the provider sqlite needs a path, such as ./index.db")
    return str((config.path.resolve().parent / str(spec["path"])).resolve())


def _check_alone(config: Config, entry: AgentEntry, path: str, collection: str) -> None:
    """Refuse that two retrievers put different documents into one place: each would take out the other's."""
    for other in config.agents:
        if other.name == entry.name or other.role != entry.role or other.settings.get("index"):
            continue
        documents, spec = other.settings.get("documents"), _spec(config, other)
        theirs = str(other.settings.get("collection") or spec.get("collection") or "")
        same = spec.get("path") and _path(config, spec) == path and theirs == collection
        if same and documents and documents != entry.settings.get("documents"):
            raise ConfigError(
                f"{other.name!r} keeps other documents in the same place, {path!r}; give each a collection of its own"
            )


def _block(embeddings: Mapping[str, JSONValue], name: str) -> Mapping[str, JSONValue]:
    found = embeddings.get(name)
    return found if isinstance(found, dict) else {}
