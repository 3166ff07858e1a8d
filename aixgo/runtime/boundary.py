"""What leaves an agent when it raises or streams: the same, whichever runtime hosts it.

An error that crosses is rebuilt from its safe fields; everything else an agent can raise becomes
`AgentFailed`. The traceback goes to this process's log under the id the caller is given. A piece of a
stream is checked here, because a StreamChunk, unlike a Message, takes anything when it is made.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import cast

from aixgo.domain import JSONValue, label, plain
from aixgo.errors import (
    AgentFailed,
    AgentRefused,
    AixgoError,
    error_classes,
    new_error_id,
    rebuild_error,
)
from aixgo.message import Message, StreamChunk

__all__ = ["being_cancelled", "leaving", "streamed"]

log = logging.getLogger("aixgo.runtime")


def leaving(exc: BaseException, agent: str) -> AixgoError:
    """The error a caller of `agent` gets for `exc`; log it unless it came from a deeper call."""
    if isinstance(exc, AixgoError):
        if exc.error_id:
            return exc  # an inner call's error, made presentable where it happened
        error_id = new_error_id()
        error = rebuild_error(
            _known_kind(exc),
            exc.wire_fields(),
            agent=agent,
            error_id=error_id,
            partial=exc.partial,
        )
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


def streamed(piece: object, agent: str) -> StreamChunk | Message:
    """What readers get of a `piece` that `agent` streamed: nothing another process could not have.

    Raises:
        InvalidMessage: a text of the chunk is none, or its tool calls are not JSON.
        TypeError: it is neither a StreamChunk nor a Message.
    """
    if isinstance(piece, Message):
        return piece
    if not isinstance(piece, StreamChunk):
        raise TypeError(f"streamed a {type(piece).__name__}, neither a StreamChunk nor a Message")
    if not piece.type:
        piece = replace(piece, type="content")
    label(piece.type, "chunk.type")
    label(piece.content, "chunk.content")
    label(piece.source, "chunk.source")
    label(piece.status, "chunk.status")
    for name in piece.path:
        label(name, "chunk.path")
    if piece.tool_calls:
        calls = plain(piece.tool_calls, "chunk.tool_calls")
        piece = replace(piece, tool_calls=cast("list[JSONValue]", calls))
    if piece.usage is not None:
        piece = replace(piece, usage=piece.usage.counted())
    if piece.error is not None:
        piece = replace(piece, error=leaving(piece.error, agent))
    return piece


def being_cancelled() -> bool:
    """Whether somebody cancelled the current task, as against its code raising CancelledError itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _known_kind(exc: AixgoError) -> str:
    """The nearest class both sides know: a user's subclass travels as its aixgo base."""
    known = error_classes()
    return next(cls.__name__ for cls in type(exc).__mro__ if known.get(cls.__name__) is cls)
