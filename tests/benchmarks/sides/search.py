"""Nearest of many vectors: our store in memory, or one product of NumPy and the best of it."""

import asyncio
import sys
from array import array
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import numpy as np

from aixgo.retrieval import MemoryStore, Record
from tests.benchmarks.side import Call, Work, measure, works_of

CHUNKS = 100_000
DIMENSIONS = 256
TOP = 10


@asynccontextmanager
async def searched() -> AsyncIterator[Mapping[str, Work]]:
    rows = np.random.default_rng(7).standard_normal((CHUNKS, DIMENSIONS), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked = rows[CHUNKS // 2]

    async def plain() -> object:
        scores = rows @ asked
        best = np.argpartition(scores, CHUNKS - TOP)[-TOP:]
        return [str(i) for i in best[np.argsort(-scores[best])]]

    call: Call = plain
    if sys.argv[1] == "store":
        store, vector = MemoryStore(), array("f", asked.tolist())
        await store.open()
        for begin in range(0, CHUNKS, 10_000):
            part = enumerate(rows[begin : begin + 10_000].tolist(), begin)
            await store.upsert([Record(str(i), "", row) for i, row in part])
            await asyncio.sleep(0)

        async def ours() -> object:
            return [hit.id for hit in await store.search(vector, TOP)]

        call = ours
        assert await ours() == await plain()

    yield works_of(lambda _target, _text: call, lambda _: "")


if __name__ == "__main__":
    measure(searched)
