"""A process that serves agents and is traced: `python -m tests.integration.observability.traced_server SPEC`.

SPEC is a JSON object: `service`, `agents` (names from `AGENTS`), `peers`, `transport`, and `observability`. It prints
its address; the end of its standard input ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from opentelemetry import baggage, trace

from aixgo import Agent, AgentRefused, Message, StreamChunk, Usage, agent, serve, tool
from aixgo.agents import ChatAgent
from aixgo.contract import Caller
from aixgo.errors import RequestRejected
from aixgo.observability import LangfuseSettings, record_quality_score, setup
from aixgo.orchestration import Parallel, Router, Sequential
from aixgo.providers import Completion, CompletionRequest, Delta, ToolCall
from aixgo.testing import ScriptedProvider

__all__ = ["AGENTS"]


@agent(role="last")
async def leaf(text: str) -> str:
    if text == "refuse":
        raise AgentRefused("not today")
    if text == "fail":
        raise ValueError("a secret detail")
    if text == "hang":
        print("hanging", flush=True)
        await asyncio.Event().wait()
    if text == "carried":
        return carried()
    return text.upper()


def carried() -> str:
    """What came with the call, as OpenTelemetry's own API tells any library."""
    state = trace.get_current_span().get_span_context().trace_state
    return f"{sorted(baggage.get_all().items())} {state.to_header()}"


@agent
async def relay(text: str, caller: Caller) -> Message:
    return await caller.call("leaf", text)


@agent
async def sender(text: str, caller: Caller) -> str:
    await caller.send("leaf", text)
    return "sent"


class Pieces:
    """Streams a piece per word; after "hang" it waits for ever."""

    name, role = "pieces", "streams"

    async def execute(self, message: Message) -> Message:
        return message

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk]:
        for word in message.text.split():
            if word == "fail":
                raise ValueError("in the middle")
            yield StreamChunk(content=word)
            if word == "hang":
                await asyncio.Event().wait()


@tool
async def ask_leaf(text: str) -> str:
    """Ask the leaf."""
    from aixgo import CallContext

    caller = CallContext.current().caller
    assert caller is not None
    return (await caller.call("leaf", text)).text


def chat() -> Agent:
    usage = Usage(tokens_prompt=10, tokens_completion=5, calls=1, cost_nanos=3_000_000)
    script = [ToolCall("call-1", "ask_leaf", '{"text": "deep"}'), "it said DEEP"]
    provider = ScriptedProvider(script, usage=usage, cycle=True)
    return ChatAgent("chat", provider=provider, prompt="Be brief.", tools=[ask_leaf])


@agent(version="7")
async def judged(text: str) -> str:
    record_quality_score("relevance", 0.5)
    return text


@tool
async def breaks() -> str:
    """Break."""
    raise ValueError("a secret detail")


class Moody:
    """A model that fails, hangs after a piece, calls a tool that breaks, or answers, as the last word asks."""

    name = "moody"

    async def complete(self, request: CompletionRequest) -> Completion:
        if "fail" in request.text:
            raise RequestRejected("moody says no")
        if "hang" in request.text:
            await self._hang()
        return self._answer(request)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        answer = await self.complete(request) if "hang" not in request.text else None
        yield Delta("well")
        if answer is None:
            await self._hang()
        for call in answer.tool_calls if answer is not None else ():
            yield Delta(tool_call=call)
        if answer is not None:
            yield answer

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def models(self) -> list[str]:
        return ["moody"]

    async def _hang(self) -> None:
        print("hanging", flush=True)
        await asyncio.Event().wait()

    def _answer(self, request: CompletionRequest) -> Completion:
        uses = "tool" in request.text and request.messages[-1].role != "tool"
        return Completion(
            text="well",
            model="moody",
            provider=self.name,
            usage=Usage(tokens_prompt=4, tokens_completion=2, calls=1),
            stop_reason="tool_calls" if uses else "end",
            tool_calls=(ToolCall("call-1", "breaks"),) if uses else (),
        )


AGENTS: dict[str, Callable[[], Agent]] = {
    "leaf": lambda: leaf,
    "relay": lambda: relay,
    "sender": lambda: sender,
    "pieces": Pieces,
    "chat": chat,
    "moody": lambda: ChatAgent("moody", provider=Moody(), model="moody", tools=[breaks]),
    "asks": lambda: Sequential("asks", ["moody"]),
    "judged": lambda: judged,
    "mixed": lambda: Parallel("mixed", ["leaf", "pieces"]),
    "both": lambda: Parallel("both", ["relay", "leaf"]),
    "line": lambda: Sequential("line", ["relay", "chat"]),
    "route": lambda: Router("route", "sorter", {"yes": "leaf", "no": "relay"}),
}


async def main(spec: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if not sys.stdin.buffer.read1():
            loop.remove_reader(
                sys.stdin
            )  # its end would be heard again and again, and the second time kill
            os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sys.stdin, heard)
    options = dict(spec["observability"])
    if langfuse := options.get("langfuse"):
        options["langfuse"] = LangfuseSettings(**langfuse)
    async with setup(service_name=spec["service"], **options):
        await serve(
            *(AGENTS[name]() for name in spec["agents"]),
            address="127.0.0.1:0",
            peers=spec["peers"],
            transport=spec["transport"],
            ready=lambda runtime: print(runtime.address, flush=True),
            stop_grace=1.0,
        )


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
