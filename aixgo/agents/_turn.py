"""One turn of an agent: ask the model, run the tools it asks for, ask again, until it answers.

One loop serves `execute` and `stream`; what differs is only whether the model is asked for pieces. Tools
of one round run at once, their results keep the order of the calls. An answer of a wanted shape is checked
here and, if wrong, asked for again with what was wrong. Nothing is retried here: retries belong to the
model's middleware, before the first piece.

Below: providers, tools. Above: chat, react, classifier, aggregator, planner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from aixgo.agents._output import Wanted
from aixgo.context import CallContext
from aixgo.errors import AixgoError, OutputInvalid, ProviderUnavailable
from aixgo.ledger import Usage
from aixgo.message import JSONValue
from aixgo.providers import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    Provider,
    ToolCall,
    ToolSpec,
)
from aixgo.tools import Toolbox, ToolResult

__all__ = [
    "MAX_ROUNDS",
    "TRIES",
    "Answer",
    "Asked",
    "Event",
    "Step",
    "ToolRun",
    "Turn",
    "Verdict",
    "Verify",
    "specs",
]

MAX_ROUNDS = 10  # times the model may ask for tools
TRIES = 3  # answers of a wrong shape: the first one and two repairs
AT_ONCE = 16  # tools that run at the same time


@dataclass(slots=True, frozen=True)
class ToolRun:
    """A tool that was run, and what came of it."""

    call: ToolCall
    result: ToolResult


@dataclass(slots=True, frozen=True)
class Step:
    """One round: what the model said before it asked for tools, and what they gave."""

    text: str
    runs: tuple[ToolRun, ...]


@dataclass(slots=True, frozen=True)
class Asked:
    """The model asks for these tools, which run next."""

    calls: tuple[ToolCall, ...]


@dataclass(slots=True, frozen=True, kw_only=True)
class Verdict:
    """What came of verifying an answer."""

    verified: bool
    reason: str
    usage: Usage
    final: bool = False
    """Whether going on would lead nowhere."""

    @property
    def asks_for_more(self) -> bool:
        """Whether the model has to go on, if it may."""
        return not (self.verified or self.final)


Verify: TypeAlias = Callable[[str, Sequence[Step]], Awaitable[Verdict]]
"""Holds an answer, given after some steps, against what was asked."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Answer:
    """The end of a turn."""

    value: JSONValue
    """The text, or the checked value of a wanted shape."""
    completion: Completion
    steps: tuple[Step, ...]
    messages: tuple[ChatMessage, ...]
    """The whole conversation, this turn included."""
    stopped_by: str = ""
    """"max_rounds" when the model had to answer without the tools it wanted; where answers are verified
    "max_iterations", also when the last one was refused."""
    verdict: Verdict | None = None
    """Of the last answer of a turn that verifies."""
    counted: Mapping[str, float] = field(default_factory=dict)
    """The numbers among the notes of all completions, such as `retries`, summed."""

    def facts(self) -> dict[str, JSONValue]:
        """The metadata of a reply made from this answer."""
        found = self.completion.facts()
        if self.steps:
            found["rounds"] = len(self.steps)
            found["tool_calls"] = [run.call.name for step in self.steps for run in step.runs]
        if self.stopped_by:
            found["stopped_by"] = self.stopped_by
        if self.verdict is not None:
            found |= {"verified": self.verdict.verified, "verification": self.verdict.reason}
        return {**found, **self.counted}


Event: TypeAlias = Delta | Asked | Step | Answer


@dataclass(slots=True)
class Turn:
    """One turn over `request`, whose messages are the conversation so far; run it once."""

    model: Provider
    request: CompletionRequest
    tools: Toolbox = field(default_factory=Toolbox)
    output: Wanted | None = None
    max_rounds: int = MAX_ROUNDS
    tries: int = TRIES
    verify: Verify | None = None
    """Holds each answer against what was asked; a refused one counts as one of `max_rounds`."""
    usage: Usage = field(default_factory=Usage)
    """What the turn has spent so far, also when it fails."""
    answered_by: tuple[str, str] | None = None
    """Model and provider of the last completion."""
    counted: dict[str, float] = field(default_factory=dict)
    """As `Answer.counted`, so far."""
    _wrong: int = 0
    _refused: int = 0

    @property
    def holds_back(self) -> bool:
        """Whether text comes only with the Answer, because before it is checked it may be wrong."""
        return self.output is not None or self.verify is not None

    async def answer(self) -> Answer:
        """The end of the turn.

        Raises:
            ProviderError: the model did not answer, or kept answering in a wrong shape.
        """
        async with aclosing(self.events(streaming=False)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    return event
        raise AssertionError("a turn ends with an answer or an error")

    async def events(self, *, streaming: bool) -> AsyncGenerator[Event, None]:
        """What happens, in order; the last event is the Answer. Closing it stops model and tools.

        A turn that `holds_back` gives no pieces of text.
        """
        steps: list[Step] = []
        request = self.request
        if len(self.tools):
            request = replace(request, tools=specs(self.tools))
        messages = list(request.messages)
        while True:
            if (context := CallContext.maybe_current()) is not None:
                context.check_deadline()
            is_last = len(steps) + self._refused >= self.max_rounds
            if is_last:
                request = replace(request, tool_choice="none")
            completion: Completion | None = None
            async with aclosing(self._ask(request, streaming)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Completion):
                        completion = piece
                    elif piece.content or piece.thinking:
                        yield piece
            completion = self._complete(completion)
            if completion.tool_calls and not is_last:
                yield Asked(completion.tool_calls)
                step = Step(completion.text, await self._run(completion.tool_calls))
                steps.append(step)
                messages += [completion.as_message(), *_results(step)]
                request = replace(request, messages=tuple(messages))
                yield step
                continue
            said = completion.as_message()
            if said.tool_calls:  # a call without a result would make the conversation invalid
                said = replace(said, tool_calls=())
            messages.append(said)
            try:
                value = self.output.read(said.content) if self.output else said.content
            except ValueError as exc:
                messages.append(self._repair(completion, exc))
                request = replace(request, messages=tuple(messages))
                continue
            verdict = await self._verdict(said.content, steps)
            refused = verdict is not None and verdict.asks_for_more
            if verdict is not None and refused and not is_last:
                self._refused += 1
                messages.append(_go_on(verdict))
                request = replace(request, messages=tuple(messages))
                continue
            yield Answer(
                value=value,
                completion=completion,
                steps=tuple(steps),
                messages=tuple(messages),
                stopped_by=self._bound if completion.tool_calls or refused else "",
                verdict=verdict,
                counted=self.counted,
            )
            return

    @property
    def _bound(self) -> str:
        """What a turn that ran out of rounds was stopped by."""
        return "max_rounds" if self.verify is None else "max_iterations"

    async def _verdict(self, answer: str, steps: Sequence[Step]) -> Verdict | None:
        """What verifying `answer` gives, if this turn does."""
        if self.verify is None:
            return None
        verdict = await self.verify(answer, steps)
        self.usage.add(verdict.usage)
        return verdict

    async def _ask(
        self, request: CompletionRequest, streaming: bool
    ) -> AsyncGenerator[Delta | Completion, None]:
        """One request, its pieces and its completion; what a failed one spent is counted."""
        try:
            if streaming and not self.holds_back:
                async with aclosing(_closable(self.model.stream(request))) as pieces:
                    async for piece in pieces:
                        yield piece
            else:
                yield await self.model.complete(request)
        except AixgoError as exc:
            if exc.usage is not None:
                self.usage.add(exc.usage)
            raise

    def _complete(self, completion: Completion | None) -> Completion:
        if completion is None:
            raise ProviderUnavailable(
                f"{self.model.name!r} ended its answer before it was whole",
                provider=self.model.name,
                code="no_answer",
            )
        self.usage.add(completion.usage)
        self.answered_by = (completion.model, completion.provider)
        for name, value in completion.notes.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self.counted[name] = self.counted.get(name, 0) + value
        return completion

    async def _run(self, calls: Sequence[ToolCall]) -> tuple[ToolRun, ...]:
        """Run `calls` at once; their results in order."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def run(call: ToolCall) -> ToolRun:
            async with gate:
                return ToolRun(
                    call, await self.tools.run(call.name, call.arguments, call_id=call.id)
                )

        if len(calls) == 1:
            return (await run(calls[0]),)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(call)) for call in calls]
        return tuple(task.result() for task in tasks)

    def _repair(self, completion: Completion, problem: ValueError) -> ChatMessage:
        """What the model is told after a wrong answer.

        Raises:
            OutputInvalid: it has been told often enough, or is none and would answer the same.
        """
        self._wrong += 1
        if self._wrong >= self.tries or completion.offline:
            raise OutputInvalid(
                f"the answer of {completion.model!r} does not fit what was asked: {problem}",
                provider=self.model.name,
                code="schema",
                model=completion.model,
            ) from problem
        return ChatMessage(
            "user",
            f"That answer is not usable: {problem}. Answer again, with JSON of the required shape only.",
        )


def specs(tools: Toolbox) -> tuple[ToolSpec, ...]:
    """The tools as a model sees them."""
    return tuple(
        ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters)
        for tool in tools
    )


def _results(step: Step) -> list[ChatMessage]:
    return [ChatMessage("tool", run.result.text, tool_call_id=run.call.id) for run in step.runs]


def _go_on(verdict: Verdict) -> ChatMessage:
    """What the model is told after an answer that was refused."""
    return ChatMessage(
        "user", f"That answer is not verified: {verdict.reason} Go on, and answer again."
    )


async def _closable(
    pieces: AsyncIterator[Delta | Completion],
) -> AsyncGenerator[Delta | Completion, None]:
    """`pieces`, closed with this iterator; a provider's may be any iterator."""
    try:
        async for piece in pieces:
            yield piece
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
