"""The events of a run: frozen values with a type, a time and the run they belong to.

A run is one call of an agent, and the whole of an `aixgo run` is the run all others descend from. It begins
with `run_started` and ends with `run_completed`, `run_cancelled` or `error`. Types within the namespace
`aixgo.` say something about the record itself.

An event is written as one flat JSON object. Fields may be added within a format version; a reader ignores
what it does not know. Below: ledger. Above: files and fold; where events are kept is not decided here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Self, TypeAlias

import msgspec

from aixgo.ledger import Usage
from aixgo.message import NOT_JSON, new_id

__all__ = [
    "ErrorRaised",
    "Event",
    "EventsDropped",
    "MessageCompleted",
    "PromptReceived",
    "RunCancelled",
    "RunCompleted",
    "RunStarted",
    "Spent",
    "ToolCallCompleted",
    "ToolCallFailed",
    "ToolCallStarted",
    "as_time",
    "decode_event",
    "encode_event",
]


class Spent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was spent, as `Usage` counts it; zeros are not written."""

    cost_nanos: int = 0
    """Nano-dollars."""
    tokens_prompt: int = 0
    tokens_completion: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    calls: int = 0
    unsettled: bool = False
    tokens_cache_write: int = 0
    retries: int = 0

    @classmethod
    def of(cls, usage: Usage | None) -> Self:
        """The frozen form of `usage`, without its ledger."""
        if usage is None:
            return cls()
        return cls(**{name: getattr(usage, name) for name in cls.__struct_fields__})

    @property
    def usage(self) -> Usage:
        """The same as a sum to add to."""
        return Usage(**msgspec.structs.asdict(self))


NOTHING = Spent()


def _wire_name(cls_name: str) -> str:
    """`RunStarted` is written `run_started`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls_name).lower()


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="type",
    tag=_wire_name,
):
    """What every event has. Only its subclasses are written."""

    timestamp: datetime
    """When it happened, in UTC."""
    event_id: str = msgspec.field(default_factory=new_id)
    run_id: str = ""
    """The run it happened in."""
    session_id: str = ""

    @property
    def type(self) -> str:
        """The name it is written under."""
        return str(type(self).__struct_config__.tag)

    @property
    def time(self) -> float:
        """`timestamp` in Unix seconds."""
        return self.timestamp.timestamp()


class RunStarted(Event, frozen=True, kw_only=True):
    """An agent was called, or a configuration was run.

    The caller is `parent_run_id`, where its process knows that, else the run of `parent_agent` with the key
    `parent_key`. Without either it is the whole run.
    """

    agent: str
    key: str = ""
    """What the call is called within its run; the same each time the same is run."""
    parent_run_id: str = ""
    parent_agent: str = ""
    parent_key: str = ""
    arrived: bool = False
    """The process of the agent says so: this is the run of that agent and key that another process began."""
    posted: bool = False
    """The agent took a message from its mailbox; nobody waits for the answer."""
    streaming: bool = False
    process: int = 0
    """The process it was begun in."""
    config: str = ""
    """The file that was run; set for the whole run only."""
    distributed: bool = False
    """Whether each agent had a process of its own; set for the whole run only."""
    content: str | None = None
    """The input, if content is recorded."""


class PromptReceived(Event, frozen=True, kw_only=True):
    """The input of the whole run came in."""

    content: str = ""
    """The input, if content is recorded."""
    model_preference: str | None = None


class RunCompleted(Event, frozen=True, kw_only=True):
    """The run gave its answer."""

    duration_ms: float = 0.0
    usage: Spent = NOTHING
    """What it and everything it called spent."""
    pattern: str = ""
    """The kind of orchestration that answered."""
    content: str | None = None
    """The answer, if content is recorded."""


class RunCancelled(Event, frozen=True, kw_only=True):
    """The run was stopped by whoever began it."""

    duration_ms: float = 0.0
    usage: Spent = NOTHING
    reason: str = ""


class ErrorRaised(Event, frozen=True, kw_only=True, tag="error"):
    """The run ended with an error; its traceback is in the log of its process, under `error_id`."""

    error_type: str
    error_message: str = ""
    """What the error may tell anybody; an agent's own words only if content is recorded."""
    error_id: str = ""
    agent: str = ""
    duration_ms: float = 0.0
    usage: Spent = NOTHING


class MessageCompleted(Event, frozen=True, kw_only=True):
    """A model answered, or failed to: then `error_type` says how."""

    model_used: str
    provider: str = ""
    duration_ms: float = 0.0
    usage: Spent = NOTHING
    error_type: str = ""
    content: str | None = None
    """What it said, if content is recorded."""


class ToolCallStarted(Event, frozen=True, kw_only=True):
    """A tool was asked for."""

    tool_name: str
    tool_id: str
    tool_input: str | None = None
    """Its arguments as the model wrote them, if content is recorded."""


class ToolCallCompleted(Event, frozen=True, kw_only=True):
    """A tool gave its result."""

    tool_name: str
    tool_id: str
    success: bool = True
    duration_ms: float = 0.0
    result: str | None = None
    """What the model was told, if content is recorded."""


class ToolCallFailed(Event, frozen=True, kw_only=True):
    """A tool gave an error, which the model was told."""

    tool_name: str
    tool_id: str
    success: bool = False
    duration_ms: float = 0.0
    result: str | None = None
    """What the model was told, if content is recorded."""


class EventsDropped(Event, frozen=True, kw_only=True, tag="aixgo.events_dropped"):
    """Events are missing here, because they could not be written in time."""

    count: int


AnyEvent: TypeAlias = (
    RunStarted
    | PromptReceived
    | RunCompleted
    | RunCancelled
    | ErrorRaised
    | MessageCompleted
    | ToolCallStarted
    | ToolCallCompleted
    | ToolCallFailed
    | EventsDropped
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)
_any = msgspec.json.Decoder(dict[str, object])
_KNOWN = {str(cls.__struct_config__.tag) for cls in AnyEvent.__args__}


def as_time(seconds: float) -> datetime:
    """Unix seconds as an event's timestamp."""
    return datetime.fromtimestamp(seconds, UTC)


def encode_event(event: Event) -> bytes:
    """The event as one line, without its end.

    Raises:
        ValueError: it holds text that UTF-8 cannot.
    """
    return _encoder.encode(event)


def decode_event(line: bytes) -> Event | None:
    """The event of a line; None if it is of a type nobody here knows.

    Raises:
        ValueError: the line is no event.
    """
    try:
        event: Event = _decoder.decode(line)
    except NOT_JSON as exc:
        try:
            kind = _any.decode(line).get("type")
        except NOT_JSON:
            kind = None
        if isinstance(kind, str) and kind not in _KNOWN:
            return None
        raise ValueError(str(exc)) from exc
    if event.timestamp.tzinfo is None:
        raise ValueError("its timestamp names no time zone")
    return event
