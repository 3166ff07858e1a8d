"""The agents under test: one module, used unchanged in every world.

They live on two sides, `LEFT` and `RIGHT`. Where a world has two hosts, each side is one of them, so that
a route that changes sides crosses a boundary at every step. What an agent tells a test passes through
its reply, a gate, or a file named in the message; none of it depends on where the agent runs.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aixgo import (
    Agent,
    AgentRefused,
    AixgoError,
    CallContext,
    Caller,
    Message,
    Usage,
    agent,
)
from aixgo.errors import ProviderUnavailable
from aixgo.message import StreamChunk
from tests.conformance.gates import count_line, pass_gate, pass_gate_blocking, tell, write_line
from tests.conformance.mail_agents import LEFT_MAIL, RIGHT_MAIL
from tests.conformance.samples import OwnRefusal, failing
from tests.conformance.teams import LEFT_TEAMS, RIGHT_TEAMS

__all__ = ["LEFT", "RIGHT", "Pair"]

Task = dict[str, object]


@dataclass
class Pair:
    x: int
    y: int


@dataclass
class Sum:
    total: int


# -- what comes back -------------------------------------------------------------------------------------


@agent
async def echo(message: Message) -> Message:
    """Answers with what it got."""
    return message.reply(message.payload, metadata=message.metadata)


@agent
async def same(message: Message) -> Message:
    """Answers with the very message it got, which only bytes with a content type need."""
    return message


@agent(role="shouts")
async def upper(text: str) -> str:
    return text.upper()


@agent
def lower(text: str) -> str:
    """Runs in a thread."""
    return text.lower()


@agent
async def add(pair: Pair) -> Sum:
    return Sum(pair.x + pair.y)


@agent
async def sees(message: Message) -> Task:
    """What an agent finds in its message, spelled out."""
    payload = message.payload
    return {
        "type": type(payload).__name__,
        "repr": repr(payload),
        "content_type": message.content_type,
        "kind": message.type,
        "source": message.source,
    }


_kept: dict[str, Message] = {}


@agent
async def keeper(message: Message) -> Message:
    """Scribbles on what it gets, and answers with a reply it keeps and gives again."""
    payload = message.payload
    assert isinstance(payload, dict)
    reply = _kept.setdefault(str(payload["name"]), message.reply({"list": [1]}))
    payload["name"] = "scribble"
    message.metadata["scribble"] = True
    return reply


@agent
async def kept(name: str) -> object:
    """What became of the reply `keeper` keeps."""
    return _kept[name].payload


# -- what travels with a call ----------------------------------------------------------------------------


@agent
async def report(message: Message, context: CallContext) -> Task:
    """Everything a call carries, as its agent sees it."""
    return {
        "agent": context.agent,
        "remaining": context.remaining,
        "hops": [hop.agent for hop in context.hops],
        "keys": [hop.key for hop in context.hops],
        "key": context.key,
        "session": context.session,
        "principal": context.principal,
        "metadata": message.metadata,
        "source": message.source,
        "idempotency_key": context.idempotency_key,
    }


async def travel(task: Task, caller: Caller, context: CallContext) -> Message:
    """Pass `task["payload"]` on along `task["route"]`; the last on it gets the payload itself."""
    route = task["route"]
    assert isinstance(route, list)
    if note := task.get("trace"):
        write_line(str(note), f"{context.agent} {context.remaining}")
    context.charge(Usage(tokens_prompt=1, calls=1) if task.get("spend") else None)
    target, rest = str(route[0]), route[1:]
    return await caller.call(target, {**task, "route": rest} if rest else task["payload"])


@agent
async def flaky(task: Task, caller: Caller, context: CallContext) -> str:
    """Spends and fails as often as told, counted by lines of a file, then has another agent answer."""
    spent = await caller.call("spend", {})
    tries = count_line(str(task["file"]), " ".join(hop.agent for hop in context.hops))
    if tries <= int(str(task["fails"])):
        raise ProviderUnavailable("down", provider="acme", code="overloaded")
    return f"{spent.text} {tries} times"


@agent
async def hangs(task: Task) -> str:
    """Never answers; leaves a line when it is cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        write_line(str(task["file"]), "cancelled")
    return ""


@agent
async def spend(task: Task, context: CallContext) -> str:
    """Spends, then answers or fails as told."""
    usage = Usage(cost_nanos=5_000, tokens_prompt=10, tokens_completion=4, calls=1)
    usage.tokens_cache_write = int(str(task.get("written", 0)))
    usage.retries = int(str(task.get("retries", 0)))
    context.charge(usage, str(task.get("model", "")), "acme" if task.get("model") else "")
    if task.get("fail"):
        raise AgentRefused("spent all the same")
    return "spent"


@agent
async def spend_stream(task: Task, context: CallContext) -> AsyncIterator[str]:
    context.charge(Usage(cost_nanos=5_000, tokens_prompt=10, tokens_completion=4, calls=1))
    yield "spent"
    if task.get("fail"):
        raise AgentRefused("spent all the same")


@agent
async def forgives(task: Task, caller: Caller) -> str:
    """Calls, or reads a stream, and answers with the class of the error it met."""
    target = str(task["target"])
    try:
        if not task.get("stream"):
            return (await caller.call(target, task["payload"])).text
        async with caller.stream(target, task["payload"]) as chunks:
            return "".join([chunk.content async for chunk in chunks])
    except AixgoError as exc:
        return type(exc).__name__


@agent
async def narrows(task: Task, caller: Caller, context: CallContext) -> Message:
    """Lets the agents below it go so deep and no deeper."""
    context.narrow(timeout=60, max_depth=int(str(task["depth"])))
    return await travel(task, caller, context)


async def recurse(depth: int, caller: Caller, context: CallContext) -> int:
    """`ping` and `pong` call each other until `depth` is used up; the answer counts the calls."""
    if depth <= 1:
        return 1
    other = "pong" if context.agent == "ping" else "ping"
    reply = await caller.call(other, depth - 1)
    return 1 + int(reply.text)


# -- what is waited for ----------------------------------------------------------------------------------


@agent
async def waits(task: Task) -> str:
    """Stands at a gate until it is opened."""
    return await pass_gate(str(task["gates"]), str(task.get("gate", "waits")), task.get("note"))


@agent
def waits_in_thread(task: Task) -> str:
    return pass_gate_blocking(str(task["gates"]), "waits_in_thread")


@agent
async def counts(task: Task, context: CallContext) -> str:
    """Has an effect: a line in a file. Then waits or fails if told to."""
    write_line(str(task["file"]), context.key)
    if task.get("gates"):
        await pass_gate(str(task["gates"]), "counts", os.getpid())
    if kind := task.get("fail"):
        raise failing(str(kind))
    return f"effect {task.get('note', '')}".strip()


@agent
async def blocks(seconds: float) -> str:
    """Holds the event loop, as synchronous code in an async agent does."""
    threading.Event().wait(seconds)
    return "blocked"


@agent
async def leaves_a_task(task: Task, caller: Caller) -> str:
    """Answers, and leaves a task behind that goes on calling."""

    async def outlive() -> None:
        await pass_gate(str(task["gates"]), "left over")
        try:
            await caller.call("echo", "from beyond")
        except AixgoError as exc:
            await pass_gate(str(task["gates"]), "outlived", type(exc).__name__)

    _left_over.add(left := asyncio.create_task(outlive()))
    left.add_done_callback(_left_over.discard)
    return "answered"


_left_over: set[asyncio.Task[None]] = set()


@agent
async def large(size: int) -> str:
    return "x" * size


# -- what fails ------------------------------------------------------------------------------------------


@agent
async def raises(kind: str) -> str:
    raise failing(kind)


@agent
async def refuses_in_own_words(text: str) -> str:
    raise OwnRefusal(text)


class Unready:
    """Starts, and is not ready for calls."""

    name = "unready"
    role = "agent"

    _asked = 0

    async def start(self, caller: Caller) -> None:
        self._asked = 0

    def ready(self) -> bool:
        self._asked += 1
        return self._asked == 1  # once, or the runtime would not start

    async def execute(self, message: Message) -> Message:
        return message.reply("ready after all")


# -- what streams ----------------------------------------------------------------------------------------


@agent
async def streams(task: Task) -> AsyncIterator[str]:
    """A gate before every chunk but the first."""
    for number, word in enumerate(str(task["words"]).split()):
        if number:
            await pass_gate(str(task["gates"]), "streams", number)
        yield word
    if kind := task.get("fail"):
        raise failing(str(kind))


@agent
async def ends_with_message(text: str) -> AsyncIterator[StreamChunk | Message]:
    """Streams of several kinds of chunks, and its own final message."""
    yield StreamChunk(type="thinking", content="hm")
    yield StreamChunk(content=text)
    yield StreamChunk(type="tool_call", tool_calls=[{"name": "t", "arguments": {"n": 1}}])
    yield StreamChunk(type="status", status="done")
    yield Message({"whole": text}, type="answer", metadata={"n": 1})


@agent
async def produce(task: Task) -> AsyncIterator[str]:
    """As many chunks as are taken; one byte in a file for each that was made."""
    chunk = "x" * int(str(task["size"]))
    try:
        for _ in range(int(str(task["count"]))):
            write_line(str(task["file"]), "")
            yield chunk
    finally:
        if task.get("gates"):
            await tell(str(task["gates"]), "produce ended")


async def carry(task: Task, caller: Caller) -> AsyncIterator[StreamChunk]:
    """`travel` for streams."""
    route = task["route"]
    assert isinstance(route, list)
    target, rest = str(route[0]), route[1:]
    payload = {**task, "route": rest} if rest else task["payload"]
    async with caller.stream(target, payload) as chunks:
        async for chunk in chunks:
            yield chunk


# -- where they live -------------------------------------------------------------------------------------

LEFT: tuple[Agent, ...] = (
    echo,
    same,
    add,
    sees,
    keeper,
    kept,
    report,
    waits,
    waits_in_thread,
    counts,
    flaky,
    hangs,
    leaves_a_task,
    raises,
    refuses_in_own_words,
    streams,
    produce,
    spend_stream,
    forgives,
    narrows,
    Unready(),
    agent(name="ping")(recurse),
    agent(name="a")(travel),
    agent(name="c")(travel),
    agent(name="e")(travel),
    agent(name="carry_left")(carry),
    *LEFT_MAIL,
    *LEFT_TEAMS,
)
RIGHT: tuple[Agent, ...] = (
    upper,
    lower,
    spend,
    blocks,
    large,
    ends_with_message,
    agent(name="pong")(recurse),
    agent(name="b")(travel),
    agent(name="d")(travel),
    agent(name="carry_right")(carry),
    *RIGHT_MAIL,
    *RIGHT_TEAMS,
)
