"""What leaves an agent when it raises: the same error, whichever runtime hosts it.

An error that crosses is rebuilt from its safe fields; everything else an agent can raise becomes
`AgentFailed`. The traceback goes to this process's log under the id the caller is given.
"""

from __future__ import annotations

import asyncio
import logging

from aixgo.errors import (
    AgentFailed,
    AgentRefused,
    AixgoError,
    error_classes,
    new_error_id,
    rebuild_error,
)

__all__ = ["being_cancelled", "leaving"]

log = logging.getLogger("aixgo.runtime")


def leaving(exc: BaseException, agent: str) -> AixgoError:
    """The error a caller of `agent` gets for `exc`; log it unless it came from a deeper call."""
    if isinstance(exc, AixgoError):
        if exc.error_id:
            return exc  # an inner call's error, made presentable where it happened
        error_id = new_error_id()
        error = rebuild_error(_known_kind(exc), exc.wire_fields(), agent=agent, error_id=error_id)
        level = logging.INFO if isinstance(exc, AgentRefused) else logging.WARNING
        log.log(
            level,
            "agent %r raised %s [error id %s]",
            agent,
            type(exc).__name__,
            error_id,
            exc_info=exc,
        )
        return error
    error = AgentFailed(agent, new_error_id())
    log.error("agent %r failed [error id %s]", agent, error.error_id, exc_info=exc)
    return error


def being_cancelled() -> bool:
    """Whether somebody cancelled the current task, as against its code raising CancelledError itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _known_kind(exc: AixgoError) -> str:
    """The nearest class both sides know: a user's subclass travels as its aixgo base."""
    known = error_classes()
    return next(cls.__name__ for cls in type(exc).__mro__ if known.get(cls.__name__) is cls)
