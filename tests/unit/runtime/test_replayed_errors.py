"""The table of idempotency keys: what it keeps does not grow with what is asked of it."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from aixgo import LocalRuntime, agent
from aixgo.errors import AgentRefused


async def test_an_error_replayed_many_times_does_not_collect_tracebacks() -> None:
    runs: list[str] = []

    @agent
    async def refuses(text: str) -> str:
        runs.append(text)
        raise AgentRefused("no")

    lengths: list[int] = []
    async with asyncio.timeout(5), LocalRuntime(refuses) as rt:
        for _ in range(20):
            with pytest.raises(AgentRefused, match="no") as refused:
                await rt.call("refuses", "hello", idempotency_key="k")
            assert refused.value.agent == "refuses"
            lengths.append(len(list(traceback.walk_tb(refused.value.__traceback__))))
    assert runs == ["hello"]
    assert lengths[-1] <= lengths[1]
