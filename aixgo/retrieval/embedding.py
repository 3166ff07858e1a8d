"""Vectors without a model: words, pairs of words and pieces of words, hashed into a fixed number of places.

It knows nothing of meaning: texts are alike when they share words or their stems. It needs no key and no
network, and gives the same everywhere; a vendor's embeddings are one name away.

Below: providers. Above: index.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise

from aixgo.errors import ConfigError
from aixgo.providers import Embedder, resolve_embedder
from aixgo.retrieval.stores._common import COMMON

__all__ = ["HashingEmbedder", "cosine", "embedder_of", "is_offline"]

DIMENSIONS = 512
LEAST_DIMENSIONS = 16
MOST_DIMENSIONS = 65_536
AT_ONCE = 64  # texts before others get their turn
WORD = re.compile(r"\w+")
SHORT = 3  # letters of a word that has no stem of its own
STEM = 5  # letters that the forms of a word share


class HashingEmbedder:
    """The default: texts with the same words are near each other.

    Raises:
        ConfigError: too few dimensions, or too many.
    """

    def __init__(self, dimensions: int = DIMENSIONS) -> None:
        given: object = dimensions
        if not isinstance(given, int) or not LEAST_DIMENSIONS <= given <= MOST_DIMENSIONS:
            raise ConfigError(
                f"HashingEmbedder(dimensions={dimensions!r}): it takes a whole number from {LEAST_DIMENSIONS} to "
                f"{MOST_DIMENSIONS}"
            )
        self.dimensions = dimensions
        self.name = f"hashing:{dimensions}"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each of `texts`, in their order."""
        found = []
        for number, text in enumerate(texts, 1):
            found.append(self.vector(text))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # a long document takes seconds, and others have work to do
        return found

    def vector(self, text: str) -> list[float]:
        """The vector of `text`, of length one; zero if it has no word."""
        found = [0.0] * self.dimensions
        for feature, weight in _features(text):
            number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "big")
            found[(number >> 1) % self.dimensions] += weight if number & 1 else -weight
        length = math.sqrt(math.fsum(x * x for x in found))
        return [x / length for x in found] if length else found


def embedder_of(name: str = "", *, api_key: str = "", dimensions: int = 0) -> Embedder:
    """The embedder `name` stands for: `hashing`, `hashing:DIMENSIONS` or `vendor:model`; by default `hashing`.

    Offline (`AIXGO_OFFLINE`, `--offline`) it is `hashing`, whatever was named. `dimensions` is how many numbers a
    vector is to have; a model that cannot be asked for that refuses it.

    Raises:
        ConfigError: there is none of that name, or no key for it.
    """
    given: object = name
    if not isinstance(given, str):
        raise ConfigError(f"an embedding model is named by text such as 'hashing', not {given!r}")
    kind, _, written = name.partition(":")
    if kind in ("", "hashing"):
        if written and not written.isdecimal():
            raise ConfigError(f"the embedding model {name!r}: write hashing:NUMBER")
        return HashingEmbedder(int(written or dimensions or DIMENSIONS))
    if is_offline():
        return HashingEmbedder(dimensions or DIMENSIONS)
    return resolve_embedder(name, api_key=api_key, dimensions=dimensions)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """How alike two vectors of one length are, from -1 to 1; 0 where one has no direction, or a number without end."""
    lengths = math.hypot(*one), math.hypot(*other)
    if not all(0 < length < math.inf for length in lengths):
        return 0.0
    mine, yours = lengths
    found = math.fsum((x / mine) * (y / yours) for x, y in zip(one, other, strict=True))
    return min(1.0, max(-1.0, found))


def is_offline() -> bool:
    """Whether whoever started the process wants no model asked."""
    return os.environ.get("AIXGO_OFFLINE", "") not in ("", "0")


def _features(text: str) -> Iterator[tuple[str, float]]:
    """What is hashed, and how much it counts: often grows slowly, words that say little count little."""
    words = [word.lower() for word in WORD.findall(text)]
    for word, count in Counter(words).items():
        often = 1 + math.log(count)
        common = word in COMMON
        yield f"word {word}", often * (0.1 if common else 1.0)
        if not common and len(word) > SHORT:
            yield f"stem {word.rstrip('s')[:STEM]}", often * 0.7
    for pair in pairwise(words):
        if not COMMON.intersection(pair):
            yield f"pair {' '.join(pair)}", 0.5
