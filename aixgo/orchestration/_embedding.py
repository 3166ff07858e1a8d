"""Answers as vectors: an agent that embeds texts, and how alike texts are by what it gave.

A pattern reaches the embedder like any agent, by name through its caller: so it has a key, a deadline and a part of the
budget, and what it costs is in the ledger.

Below: `_deliberation`, retrieval. Above: `_settling`, consensus.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aixgo.context import CallContext
from aixgo.domain import number_of
from aixgo.errors import AgentRefused, ConfigError
from aixgo.message import JSONValue, Message
from aixgo.names import check_name
from aixgo.orchestration._deliberation import Panel
from aixgo.providers import Embedder
from aixgo.retrieval.embedding import cosine, embedder_of

__all__ = ["Embedding", "Vectors", "chosen_embedder"]

MOST = 8_000  # characters of a text that are embedded: models take about as many tokens


def chosen_embedder(model: str | Embedder, where: str) -> Embedder:
    """The embedder somebody gave, or named.

    Raises:
        ConfigError: there is none of that name, no key for it, or it is neither.
    """
    if not isinstance(model, str):
        if callable(getattr(model, "embed", None)):
            return model
        raise ConfigError(f"{where}: embedding_model must be text, or an Embedder, not {model!r}")
    try:
        return embedder_of(model)
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc


class Embedding:
    """An agent that gives vectors: for `{"texts": […]}` `{"vectors": [[…], …]}`, in their order."""

    role = "embedder"

    def __init__(self, name: str, embedder: Embedder) -> None:
        self.name = check_name(name)
        self.description = f"embeds texts with {embedder.name}"
        self._embedder = embedder

    async def execute(self, message: Message) -> Message:
        """The vectors of the texts in `message`.

        Raises:
            AgentRefused: it has none.
        """
        payload = message.payload
        texts = payload.get("texts") if isinstance(payload, dict) else None
        if not isinstance(texts, list):
            raise AgentRefused(f"embedder {self.name!r} takes an object with the list `texts`")
        vectors = await self._embedder.embed([str(text) for text in texts])
        given: list[JSONValue] = [list(vector) for vector in vectors]
        return Message({"vectors": given}, type="embedded")


class Vectors:
    """What is known of the texts of one run; those never learnt, and blank ones, are like nothing."""

    def __init__(self, target: str, panel: Panel) -> None:
        self.target = target
        self._panel = panel
        self._known: dict[str, Sequence[float]] = {}

    async def learn(self, texts: Iterable[str], step: str) -> None:
        """Have those embedded that are not known yet; no call if there are none.

        Raises:
            AgentRefused: the embedder gave something else than a vector for each.
        """
        new = [text for text in dict.fromkeys(texts) if text.strip() and text not in self._known]
        if not new:
            return
        key = CallContext.current().child_key(f"{step}/{self.target}")
        asked: list[JSONValue] = [text[:MOST] for text in new]
        given = Message({"texts": asked}, type="embed")
        reply = await self._panel.beside(self.target, given, key, extra=True)
        payload = reply.payload
        found = _vectors(payload.get("vectors") if isinstance(payload, dict) else None)
        sizes = {len(vector) for vector in (*found, *self._known.values())}
        if len(found) != len(new) or len(sizes) > 1:
            raise AgentRefused(
                f"the embedder {self.target!r} did not give one vector of one size for each text"
            )
        self._known.update(zip(new, found, strict=True))

    def alike(self, one: str, other: str) -> float:
        """The cosine of their vectors, where it is above 0."""
        mine, yours = self._known.get(one), self._known.get(other)
        if mine is None or yours is None:
            return 0.0
        return max(0.0, cosine(mine, yours))


def _vectors(given: JSONValue) -> list[list[float]]:
    if not isinstance(given, list):
        return []
    return [
        [number for x in vector if (number := number_of(x)) is not None]
        for vector in given
        if isinstance(vector, list)
    ]
