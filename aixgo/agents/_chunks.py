"""The events of a turn as the chunks of a stream.

Below: the turn. Above: chat.
"""

from __future__ import annotations

from collections.abc import Iterator

from aixgo.agents._turn import Asked, Event
from aixgo.errors import OutputInvalid
from aixgo.message import JSONValue, StreamChunk
from aixgo.providers import Delta, ToolCall

__all__ = ["chunks_of"]


def chunks_of(event: Event) -> Iterator[StreamChunk]:
    """What a reader sees of `event`: text, thinking, and the tools a model asks for."""
    if isinstance(event, Delta):
        if event.thinking:
            yield StreamChunk(type="thinking", content=event.thinking)
        if event.content:
            yield StreamChunk(content=event.content)
    elif isinstance(event, Asked):
        yield StreamChunk(type="tool_call", tool_calls=[_shown(call) for call in event.calls])


def _shown(call: ToolCall) -> JSONValue:
    """A tool call for readers; arguments that do not parse stay the text they are."""
    try:
        arguments: JSONValue = call.parsed()
    except OutputInvalid:
        arguments = call.arguments
    return {"id": call.id, "name": call.name, "arguments": arguments}
