"""Agents that do what the message they get tells them to: one body for every program.

A message whose payload is a script (see `programs`) is acted out, anything else is given back. What an
actor saw and did is in its reply, and on the `Stage`, which also holds the gates actors wait at. All
runtimes under comparison live in one process and on one loop, one after the other, so there is one stage.

Below: seen. Above: worlds, which hosts these, and the interpreter, which reads the stage.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from aixgo import (
    Agent,
    AgentRefused,
    AixgoError,
    Budget,
    CallContext,
    Caller,
    Message,
    Usage,
    errors,
)
from aixgo import agent as made_agent
from aixgo.message import StreamChunk
from tests.conformance.samples import FOREIGN, SAMPLES, OwnRefusal, failing
from tests.differential import seen

__all__ = [
    "ERRORS",
    "EXITS",
    "MAIL",
    "ODD_CHUNKS",
    "QUIET",
    "SPEAKING",
    "Stage",
    "left",
    "on_stage",
    "right",
]

Act = dict[str, Any]
Script = dict[str, Any]

HANG = 10.0  # seconds after which what a test waits for has failed to come

ODD: dict[str, Callable[[], BaseException]] = {
    "own subclass": lambda: OwnRefusal("an author's own words"),
    "long text": lambda: AgentRefused("ä" * 3000),
    "long field": lambda: errors.AgentNotFound("n" * 300),
    "large number": lambda: errors.LimitExceeded("tokens", 2**70, "other"),
    "half a pair": lambda: AgentRefused("\ud800 alone"),
    "half a pair in a name": lambda: errors.AgentNotFound("\ud800"),
    "no number": lambda: errors.RateLimited(provider="acme", retry_after=float("nan")),
    "no end": lambda: errors.RateLimited(provider="acme", retry_after=float("inf")),
    "outcome unknown": lambda: errors.Unavailable("other", "it went away", "unknown"),
    "an object": lambda: errors.LimitExceeded("tokens", object()),  # type: ignore[arg-type]
    "endless number": lambda: errors.LimitExceeded("tokens", 2**2000),
    "bytes": lambda: errors.AgentNotFound(b"name"),  # type: ignore[arg-type]
    "nothing": lambda: errors.LimitExceeded("tokens", None),  # type: ignore[arg-type]
    "empty text": lambda: AgentRefused(""),
}
"""Errors with something in them that a wire could stumble over."""

ERRORS = (*SAMPLES, *FOREIGN, *ODD)
"""Every kind an actor can be told to raise."""

ODD_CHUNKS = (
    "no chunk",
    "half a pair",
    "half a pair in its kind",
    "tool calls",
    "no number",
    "an object",
    "error",
    "odd error",
    "usage",
    "whose",
    "no text",
    "negative",
)
"""Chunks an author could make, with something in them that a wire could stumble over."""


class Stage:
    """What the actors of one run of one program did, and the gates they wait at."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        """How often the body of each node of the program ran, at which agent, and how it ended."""
        self.reports: defaultdict[str, list[seen.Seen]] = defaultdict(list)
        """What each of them found in its context."""
        self.changed = asyncio.Event()
        self._arrived: Counter[str] = Counter()
        self._read: Counter[str] = Counter()
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def arrived(self, gate: str) -> int:
        """How many actors came to `gate` since it was closed."""
        return self._arrived[gate]

    def read(self, gate: str) -> int:
        """How many chunks actors on their way to `gate` have read since it was closed."""
        return self._read[gate]

    def note_read(self, gate: str) -> None:
        self._read[gate] += 1
        self.changed.set()

    async def wait_at(self, gate: str) -> None:
        self._arrived[gate] += 1
        self.changed.set()
        await self._gates[gate].wait()

    def close(self, gate: str) -> None:
        """Close a gate that an earlier step may have opened, and count arrivals anew."""
        self._gates.pop(gate, None)
        del self._arrived[gate], self._read[gate]

    def open(self, gate: str) -> None:
        """Let everybody at `gate` go on."""
        self._gates[gate].set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when `holds`, which whatever sets `changed` may have made true."""
        async with asyncio.timeout(HANG):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


_stage: Stage | None = None


@contextmanager
def on_stage() -> Iterator[Stage]:
    """A stage for one run of one program."""
    global _stage
    before, _stage = _stage, Stage()
    try:
        yield _stage
    finally:
        _stage = before


@dataclass
class _Part:
    """One execution of a script by an actor."""

    stage: Stage
    script: Script
    message: Message
    context: CallContext
    trace: list[object]
    raising: bool = False

    @property
    def label(self) -> str:
        return f"{self.script['node']} at {self.context.agent}"


class Quiet:
    """An actor that does not stream by itself."""

    role = "agent"

    def __init__(self, name: str) -> None:
        self.name = name
        self._caller: Caller | None = None

    async def start(self, caller: Caller) -> None:
        self._caller = caller

    async def execute(self, message: Message) -> Message:
        script = message.payload
        if not (isinstance(script, dict) and "node" in script):
            return self._echo(message)
        trace: list[object] = []
        async with aclosing(self._play(message, script, trace)) as chunks:
            said = [seen.short(chunk.content) async for chunk in chunks]
        trace.append(said)
        return _answer(script, trace)

    def _echo(self, message: Message) -> Message:
        assert _stage is not None
        _stage.ran[f"echo at {self.name}"] += 1
        found = seen.context(CallContext.current(), message, named=False)
        _stage.reports[f"echo at {self.name}"].append(found)
        if message.type == "as it is":
            return message
        content_type = message.content_type if isinstance(message.payload, bytes) else ""
        return Message(
            message.payload,
            type=message.type,
            metadata=message.metadata,
            content_type=content_type,
        )

    async def _play(
        self, message: Message, script: Script, trace: list[object]
    ) -> AsyncGenerator[StreamChunk, None]:
        assert _stage is not None, "an actor outlived the program it is in"
        part = _Part(_stage, script, message, CallContext.current(), trace)
        part.stage.ran[f"{part.label} began"] += 1
        part.stage.reports[part.label].append(seen.context(part.context, message))
        how = "answered"
        try:
            for act in script["acts"]:
                match act["do"]:
                    case "say":
                        yield _chunk(act)
                    case "stream":
                        async with aclosing(self._stream(act, part)) as chunks:
                            async for chunk in chunks:
                                yield chunk
                    case _:
                        trace.append(await self._do(act, part))
        except (asyncio.CancelledError, GeneratorExit):
            how = "raised" if part.raising else "stopped"
            raise
        except BaseException:
            how = "raised"
            raise
        finally:
            part.stage.ran[f"{part.label} {how}"] += 1

    async def _do(self, act: Act, part: _Part) -> object:
        caller = self._caller
        assert caller is not None
        match act["do"]:
            case "report":
                return seen.context(part.context, part.message)
            case "charge":
                part.context.charge(Usage(**act["usage"]))
            case "narrow":
                part.context.narrow(timeout=500, max_depth=act["depth"])
            case "pad":
                return "x" * act["size"]
            case "wait":
                await part.stage.wait_at(act["gate"])
            case "raise":
                part.raising = True
                raise _raised(act["kind"])
            case "call":
                return await _caught(act, _call(caller, act))
            case "parallel":
                outcomes = await caller.call_parallel(
                    act["to"], _given(act), timeout=act.get("timeout")
                )
                return [_outcome(each.reply or each.error) for each in outcomes]
            case _:
                raise AssertionError(act)
        return None

    async def _stream(self, act: Act, part: _Part) -> AsyncGenerator[StreamChunk, None]:
        """Read another's stream, as far as told, and pass its chunks on if told to."""
        assert self._caller is not None
        got: list[object] = []
        entry: dict[str, object] = {"chunks": got}
        part.trace.append(entry)
        try:
            async with self._caller.stream(act["to"], _given(act), **_options(act)) as chunks:
                async for chunk in chunks:
                    got.append(seen.chunk(chunk))
                    part.stage.note_read(act["gate"])
                    if act.get("pass"):
                        yield chunk
                    if len(got) == act.get("take"):
                        break
            entry["final"] = None if chunks.final is None else seen.message(chunks.final)
        except AixgoError as exc:
            if not act.get("catch"):
                raise
            entry["error"] = seen.error(exc)


class Actor(Quiet):
    """An actor that streams: every chunk it says, then its answer."""

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        script = message.payload
        if not (isinstance(script, dict) and "node" in script):
            yield StreamChunk(content=message.text)
            yield self._echo(message)
            return
        trace: list[object] = []
        async with aclosing(self._play(message, script, trace)) as chunks:
            async for chunk in chunks:
                yield chunk
        if script.get("final"):
            yield _answer(script, trace)


async def _call(caller: Caller, act: Act) -> Message:
    return await caller.call(act["to"], _given(act), **_options(act))


async def _caught(act: Act, work: Any) -> object:
    try:
        return _outcome(await work)
    except AixgoError as exc:
        if not act.get("catch"):
            raise
        return _outcome(exc)


def _outcome(of: Message | AixgoError | None) -> seen.Seen:
    assert of is not None
    return seen.message(of) if isinstance(of, Message) else seen.error(of)


def _given(act: Act) -> object:
    return act["with"] * act["times"] if "times" in act else act["with"]


def _options(act: Act) -> dict[str, Any]:
    found = {
        name: act[name] for name in ("timeout", "session", "idempotency_key", "key") if name in act
    }
    if "budget" in act:
        found["budget"] = Budget(**act["budget"])
    return found


def _answer(script: Script, trace: list[object]) -> Message:
    return Message({"trace": trace}, type=script.get("kind", ""), metadata=script.get("metadata"))


def _chunk(act: Act) -> StreamChunk:
    made = StreamChunk(
        type=act.get("kind", "content"), content=act.get("text", "") * act.get("times", 1)
    )
    match act.get("odd"):
        case "no chunk":
            return act["text"]  # type: ignore[no-any-return]  # an author's mistake
        case "half a pair":
            made.content = "\ud800"
        case "tool calls":
            made.tool_calls = [{"name": "t", "arguments": {"n": (1, 2)}}]  # type: ignore[list-item, dict-item]
        case "no number":
            made.tool_calls = [float("nan")]
        case "an object":
            made.tool_calls = [object()]  # type: ignore[list-item]
        case "error":
            made.error = errors.RateLimited("secret", provider="acme", retry_after=2.5)
        case "odd error":
            made.error = AgentRefused("\ud800")
        case "half a pair in its kind":
            made.type = "\ud800"
        case "no text":
            made.content = 5  # type: ignore[assignment]
        case "negative":
            made.usage = Usage(tokens_prompt=-3)
        case "usage":
            made.usage = Usage(tokens_prompt=3)
        case "whose":
            made.source, made.path, made.sequence = "somebody", ("some", "body"), 7
            made.timestamp, made.status = 5.0, "fine"
    return made


def _raised(kind: str) -> BaseException:
    made = ODD.get(kind)
    return made() if made is not None else failing(kind)


class Unready(Quiet):
    """Starts, and then is not ready for calls."""

    _asked = 0

    def ready(self) -> bool:
        self._asked += 1
        return self._asked == 1  # once, or the runtime would not start


@dataclass
class Pair:
    x: int
    y: int


@made_agent
async def add(pair: Pair) -> int:
    return pair.x + pair.y


@made_agent
def lower(text: str) -> str:
    """Runs in a thread."""
    return text.lower()


SPEAKING = ("left.one", "left.two", "right.one", "Right ä two")
"""Actors that stream by themselves."""
QUIET = ("left.quiet", "right.quiet")
"""Actors that do not."""
MAIL = ("left.mail", "right.mail")
"""Actors whose replies to sent messages leave through the exit of the same index in `EXITS`."""
EXITS = ("left.exit", "right.exit")


def left() -> tuple[Agent, ...]:
    """The agents of one side, made anew: a runtime has its own, because an actor keeps its Caller."""
    return (
        Actor("left.one"),
        Actor("left.two"),
        Quiet("left.quiet"),
        Unready("left.unready"),
        add,
    )


def right() -> tuple[Agent, ...]:
    """The agents of the other side."""
    return (
        Actor("right.one"),
        Actor("Right ä two"),
        Quiet("right.quiet"),
        Unready("right.unready"),
        lower,
    )
