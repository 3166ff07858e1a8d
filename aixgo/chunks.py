"""The StreamChunk: one piece of a streamed reply, the same on every runtime.

As a dict it goes to whoever is not Python or not in this process, such as a browser; between our processes it goes
as protobuf, see `rpc.codec`. Below: domain, errors, ledger. Above: message, and everything that streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self, cast

import msgspec

from aixgo.domain import JSONValue, plain
from aixgo.errors import (
    AixgoError,
    FieldValue,
    InvalidMessage,
    partial_bytes,
    read_partial,
    rebuild_error,
)
from aixgo.ledger import Usage

__all__ = ["StreamChunk"]


@dataclass(slots=True, kw_only=True)
class StreamChunk:
    """One piece of a streamed reply.

    `type` is "content" for text, "thinking", "tool_call", "status" for progress, or "error" at the end of a
    chat that failed. `path` names the agents the chunk came up through, outermost first; `sequence` counts
    from 0 within one stream.
    """

    type: str = "content"
    content: str = ""
    tool_calls: list[JSONValue] = field(default_factory=list)
    source: str = ""
    path: tuple[str, ...] = ()
    sequence: int = 0
    status: str = ""
    error: AixgoError | None = None
    usage: Usage | None = None
    timestamp: float = 0.0
    """Unix seconds."""

    def to_dict(self) -> dict[str, JSONValue]:
        """The chunk as JSON values, a copy; `from_dict` makes an equal one of it.

        Of an error it holds what may leave the process: its class and its fields.

        Raises:
            InvalidMessage: a part is nothing JSON can hold; the text says which.
        """
        error = None if self.error is None else _of_error(self.error)
        usage = None if self.usage is None else asdict(self.usage)
        found = {name: getattr(self, name) for name in self.__slots__}
        return cast(
            "dict[str, JSONValue]", plain({**found, "error": error, "usage": usage}, "chunk")
        )

    @classmethod
    def from_dict(cls, given: Mapping[str, object]) -> Self:
        """The chunk that `to_dict` described. What is missing takes its default, what nobody knows is passed over.

        A `type` that this version does not know is kept.

        Raises:
            InvalidMessage: a part is of the wrong type; the text says which.
        """
        try:
            shape = msgspec.convert(dict(given), _Shape)
        except (msgspec.ValidationError, TypeError, ValueError) as exc:
            what, _, where = str(exc).partition(" - at `$.")
            raise InvalidMessage(
                f"does not fit: {what}", f"chunk.{where.rstrip('`')}" if where else "chunk"
            ) from exc
        parts = {name: getattr(shape, name) for name in cls.__slots__}
        error = None if shape.error is None else _as_error(shape.error)
        return cls(**{**parts, "error": error, "path": tuple(shape.path)})


class _Error(msgspec.Struct):
    """An error as a dict holds it."""

    kind: str
    agent: str = ""
    error_id: str = ""
    fields: dict[str, FieldValue] = {}
    partial: list[object] | None = None


class _Shape(msgspec.Struct):
    """A chunk as a dict holds it."""

    type: str = "content"
    content: str = ""
    tool_calls: list[object] = []
    source: str = ""
    path: list[str] = []
    sequence: int = 0
    status: str = ""
    error: _Error | None = None
    usage: Usage | None = None
    timestamp: float = 0.0


def _of_error(error: AixgoError) -> dict[str, JSONValue]:
    shown: dict[str, JSONValue] = {
        "kind": type(error).__name__,
        "agent": error.agent,
        "error_id": error.error_id,
        "fields": dict(error.wire_fields()),
    }
    if partial := read_partial(partial_bytes(error.partial)):
        shown["partial"] = partial
    return shown


def _as_error(found: _Error) -> AixgoError:
    partial = cast("list[JSONValue] | None", found.partial)
    return rebuild_error(
        found.kind, found.fields, agent=found.agent, error_id=found.error_id, partial=partial
    )
