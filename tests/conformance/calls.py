"""What tests do with a runtime over and over: read a whole stream, catch what a call raises."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import AixgoError, Caller, Message, StreamChunk
from tests.conformance.gates import HANG

__all__ = ["failure", "read", "stream_failure"]


async def read(
    rt: Caller, target: str, message: object, *, timeout: float | None = None
) -> tuple[list[StreamChunk], Message | None]:
    """All chunks and the final message of a streamed call."""
    async with (
        asyncio.timeout(HANG),
        rt.stream(target, message, timeout=timeout) as chunks,
    ):
        got = [chunk async for chunk in chunks]
    return got, chunks.final


async def failure(
    rt: Caller, target: str, message: object, *, timeout: float | None = None
) -> AixgoError:
    """What the call raises."""
    with pytest.raises(AixgoError) as raised:
        async with asyncio.timeout(HANG):
            await rt.call(target, message, timeout=timeout)
    return raised.value


async def stream_failure(
    rt: Caller, target: str, message: object, *, timeout: float | None = None
) -> AixgoError:
    """What the streamed call raises."""
    with pytest.raises(AixgoError) as raised:
        await read(rt, target, message, timeout=timeout)
    return raised.value
