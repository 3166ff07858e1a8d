"""One backend that answers by script, asked at either seam, whole or in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Self

from aixgo import LocalRuntime, Message, StreamChunk
from aixgo.context import CallContext
from aixgo.errors import AixgoError
from aixgo.ledger import Budget, Usage
from aixgo.message import JSONValue
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Delta, Model
from aixgo.resilience import Policy

PRICE = Usage(tokens_prompt=10, tokens_completion=5, calls=1)


class JumpClock:
    """A clock for which every wait is over at once; `waits` are the seconds it was asked for."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.Handle:
        self.waits.append(delay)
        self.now += delay
        return asyncio.get_running_loop().call_soon(callback)


class Hang:
    """An answer that never comes; `begun` and `cancelled` tell what became of it."""

    def __init__(self, after: Sequence[str] = ()) -> None:
        self.after = after
        self.begun = asyncio.Event()
        self.cancelled = False

    async def wait(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Broken:
    """Pieces that come, and then an error."""

    def __init__(self, pieces: Sequence[str], error: AixgoError) -> None:
        self.pieces = pieces
        self.error = error


Answer = str | AixgoError | Broken | Hang


@dataclass
class Script:
    """What a backend answers, in order; the last answer goes on. `asked` counts the attempts."""

    answers: Sequence[Answer]
    asked: int = 0
    names: list[str] = field(default_factory=list)

    async def pieces(self, name: str) -> AsyncIterator[str]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        self.names.append(name)
        if isinstance(answer, AixgoError):
            answer.usage = None  # the same object is raised again
            raise answer
        if isinstance(answer, str):
            yield answer
        else:
            for piece in answer.pieces if isinstance(answer, Broken) else answer.after:
                yield piece
            if isinstance(answer, Broken):
                raise answer.error
            await answer.wait()


class ScriptedModel:
    """A provider of a script; what fails has spent as much as what does not."""

    def __init__(self, script: Script, name: str = "acme") -> None:
        self.script = script
        self.name = name

    async def complete(self, request: CompletionRequest) -> Completion:
        return self._whole(request, [piece async for piece in self._pieces(request)])

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        parts = []
        async with aclosing(self._pieces(request)) as pieces:
            async for piece in pieces:
                parts.append(piece)
                yield Delta(piece)
        yield self._whole(request, parts)

    async def _pieces(self, request: CompletionRequest) -> AsyncIterator[str]:
        try:
            async with aclosing(self.script.pieces(request.model)) as pieces:
                async for piece in pieces:
                    yield piece
        except AixgoError as exc:
            exc.usage = Usage(tokens_prompt=10, calls=1)
            raise

    def _whole(self, request: CompletionRequest, parts: Sequence[str]) -> Completion:
        return Completion(text="".join(parts), model=request.model, provider=self.name, usage=PRICE)

    def count_tokens(self, text: str) -> int:
        return len(text)

    def models(self) -> Sequence[str]:
        return ()


class ScriptedAgent:
    """An agent of a script."""

    role = "scripted"

    def __init__(self, script: Script, name: str) -> None:
        self.script = script
        self.name = name
        self.paths: list[tuple[str, ...]] = []

    async def execute(self, message: Message) -> Message:
        self._note()
        return message.reply("".join([piece async for piece in self.script.pieces(self.name)]))

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        self._note()
        parts = []
        async with aclosing(self.script.pieces(self.name)) as pieces:
            async for piece in pieces:
                parts.append(piece)
                yield StreamChunk(content=piece)
        yield message.reply("".join(parts))

    def _note(self) -> None:
        self.paths.append(tuple(hop.agent for hop in CallContext.current().hops))


@dataclass
class Got:
    """A reply as its caller saw it."""

    pieces: list[str]
    facts: Mapping[str, JSONValue]
    source: str
    usage: Usage


class Asker:
    """Asks `script` through policies; use it with `async with`."""

    def __init__(self, seam: str, *, streaming: bool) -> None:
        self.seam = seam
        self.streaming = streaming
        self.script = Script(["done"])
        self.others: list[ScriptedModel | ScriptedAgent] = []
        self.policies: Sequence[Policy] = ()
        self.seen: list[str] = []
        """The pieces that came so far in the last stream."""
        self._stack = AsyncExitStack()
        self.runtime: LocalRuntime | None = None

    def set_up(self, policies: Sequence[Policy], answers: Sequence[Answer]) -> Self:
        """Give `answers`, in order, behind `policies`."""
        self.policies = policies
        self.script = Script(answers)
        return self

    def other(self, answers: Sequence[Answer], name: str = "backup") -> Script:
        """Another backend of that name, which `fallback` names."""
        script = Script(answers)
        kind = ScriptedModel if self.seam == "model" else ScriptedAgent
        self.others.append(kind(script, name))
        return script

    @property
    def backend(self) -> str:
        """What the policies call the scripted one."""
        return "acme/m" if self.seam == "model" else "acme"

    async def __aenter__(self) -> Self:
        if self.seam == "runtime":
            agents = [item for item in self.others if isinstance(item, ScriptedAgent)]
            self.agent = ScriptedAgent(self.script, "acme")
            self.runtime = await self._stack.enter_async_context(
                LocalRuntime(self.agent, *agents, middleware=list(self.policies))
            )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def ask(self, timeout: float = 20, budget: Budget | None = None) -> Got:
        """One call; its reply, or its error."""
        self.seen = []
        if self.runtime is not None:
            return await self._ask_agent(self.runtime, timeout, budget)
        return await self._ask_model(timeout)

    async def _ask_agent(self, rt: LocalRuntime, timeout: float, budget: Budget | None) -> Got:
        if not self.streaming:
            reply = await rt.call("acme", "hello", timeout=timeout, budget=budget)
            return Got([reply.text], reply.metadata, reply.source, reply.usage)
        async with rt.stream("acme", "hello", timeout=timeout, budget=budget) as chunks:
            async for chunk in chunks:
                self.seen.append(chunk.content)
        assert chunks.final is not None
        final = chunks.final
        return Got(self.seen, final.metadata, final.source, final.usage)

    async def _ask_model(self, timeout: float) -> Got:
        """Within a call, as agents ask: one of a runtime whose agent does nothing else."""
        got: list[Got] = []

        class Around:
            name = role = "around"

            async def execute(this, message: Message) -> Message:  # noqa: N805
                got.append(await self.directly())
                return message

        async with LocalRuntime(Around()) as rt:
            reply = await rt.call("around", "x", timeout=timeout)
        got[0].usage = reply.usage
        return got[0]

    async def directly(self) -> Got:
        """What a model answers, asked where this is called."""
        model = Model(ScriptedModel(self.script), self.policies)
        request = CompletionRequest(model="m", messages=(ChatMessage("user", "hello"),))
        completion: Completion | None = None
        if self.streaming:
            async with aclosing(model.stream(request)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    if isinstance(piece, Completion):
                        completion = piece
                    else:
                        self.seen.append(piece.content)
        else:
            completion = await model.complete(request)
            self.seen = [completion.text]
        assert completion is not None
        self.told = completion.usage
        """What the completion says was spent."""
        return Got(self.seen, completion.facts(), completion.provider, completion.usage)


__all__ = ["Asker", "Broken", "Got", "Hang", "JumpClock", "Script", "ScriptedModel"]
