"""Which category a text is nearest to, by embeddings: no chat model is asked.

A category is as near as the nearest text that tells of it: its name and description, each keyword, each example.
Its confidence is e^(10·s) / (1 + the sum of e^(10·s) over all categories), where s is the cosine, at least 0; the 1
stands for none of them. Ties go to the category that comes first.

Below: retrieval. Above: classifier.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aixgo.errors import AgentRefused
from aixgo.providers import Embedder
from aixgo.retrieval.embedding import cosine

__all__ = ["Near", "Nearest"]

SHARPNESS = 10.0  # a cosine larger by 0.1 counts e times as much
PLACES = 6  # of a cosine: what differs less is a tie, on any machine


@dataclass(slots=True, frozen=True)
class Near:
    """How near a category is."""

    category: str
    similarity: float
    """The cosine, from 0 to 1."""
    confidence: float
    by: str
    """The text of the category that was nearest."""


class Nearest:
    """Compares texts with categories, each given by the texts that tell of it.

    The categories' texts are embedded once, with the first text that is compared.
    """

    def __init__(self, embedder: Embedder, telling: Mapping[str, Sequence[str]]) -> None:
        self._embedder = embedder
        self._telling = [(name, text) for name, texts in telling.items() for text in texts]
        self._names = tuple(telling)
        self._vectors: list[list[float]] = []
        self._embedding = asyncio.Lock()

    async def rank(self, text: str) -> list[Near]:
        """All categories, nearest first.

        Raises:
            AgentRefused: the embedder gave something else than a vector of one size for each text.
        """
        async with self._embedding:  # those who come meanwhile wait for the categories
            if not self._vectors:
                texts = [text, *(told for _, told in self._telling)]
                found, *self._vectors = await self._embedded(texts)
                return self._ranked(found)
        (found,) = await self._embedded([text])
        return self._ranked(found)

    async def _embedded(self, texts: Sequence[str]) -> list[list[float]]:
        found = await self._embedder.embed(texts)
        sizes = {len(vector) for vector in (*found, *self._vectors)}
        if len(found) != len(texts) or len(sizes) != 1:
            raise AgentRefused(
                f"the embedder {self._embedder.name!r} did not give one vector of one size for each text"
            )
        return found

    def _ranked(self, vector: Sequence[float]) -> list[Near]:
        best = dict.fromkeys(self._names, (0.0, ""))
        for (name, text), other in zip(self._telling, self._vectors, strict=True):
            near = round(cosine(vector, other), PLACES)
            if near > best[name][0]:
                best[name] = (near, text)
        weights = {name: math.exp(SHARPNESS * near) for name, (near, _) in best.items()}
        total = 1 + math.fsum(weights.values())
        found = [
            Near(name, near, round(weights[name] / total, 4), by)
            for name, (near, by) in best.items()
        ]
        return sorted(found, key=lambda item: -item.similarity)
