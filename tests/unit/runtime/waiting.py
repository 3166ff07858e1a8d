"""Waiting for what has no event: the loop turns until it is so. The test's own timeout bounds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["until"]


async def until(is_so: Callable[[], object]) -> None:
    """Return once `is_so()`."""
    while not is_so():
        await asyncio.sleep(0)
