"""The deadline of a call, where a link waits for it.

In a runtime the caller's guard watches already; a link that is used by itself arms its own.

Below: deadlines. Above: unary, stream.
"""

from __future__ import annotations

import asyncio
import math

from aixgo.context import CallContext
from aixgo.deadlines import Deadlines, Guard
from aixgo.errors import AixgoError, DeadlineExceeded

__all__ = ["deadline_of", "guard_link"]


def guard_link(deadlines: Deadlines, context: CallContext) -> Guard | None:
    """A guard for the deadline, unless one of the caller's watches this task already."""
    task = asyncio.current_task(deadlines.loop)
    assert task is not None, "a link is used from tasks"
    if math.isinf(context.deadline) or (
        context.task is task and context.guarded <= context.deadline
    ):
        return None
    return deadlines.arm(context.deadline, task)


def deadline_of(guard: Guard | None, exc: BaseException, target: str) -> AixgoError | None:
    """The error to raise if `guard`, and nobody else, is what cancelled the task."""
    if guard is not None and isinstance(exc, asyncio.CancelledError) and guard.absorbed():
        return DeadlineExceeded(target)
    return None
