"""A model provider that answers by script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from aixgo.errors import AixgoError
from aixgo.ledger import Usage
from aixgo.message import JSONValue
from aixgo.providers import Completion, CompletionRequest, Delta, ToolCall

__all__ = ["ScriptExhausted", "ScriptedProvider", "ScriptedStream"]


class ScriptExhausted(AssertionError):
    """The script has fewer answers than the test asks for."""


@dataclass(slots=True, frozen=True)
class ScriptedStream:
    """An answer in given pieces, ending with `error` if there is one."""

    pieces: Sequence[str]
    error: AixgoError | None = None
    tool_calls: Sequence[ToolCall] = ()
    """Tools the model asks for after its text."""


Answer: TypeAlias = (
    str
    | Mapping[str, JSONValue]
    | ToolCall
    | Sequence[ToolCall]
    | ScriptedStream
    | AixgoError
    | Callable[[CompletionRequest], str]
)


class ScriptedProvider:
    """Gives its answers in order.

    An answer is text, a JSON object, a tool call or several, pieces, an error to raise, or a function of the request.

    Each answer counts `usage`. `requests` holds what was asked; `cycle` begins again at the end.

    Raises:
        ScriptExhausted: there is no answer left.
    """

    name = "scripted"

    def __init__(
        self, answers: Iterable[Answer], *, usage: Usage | None = None, cycle: bool = False
    ) -> None:
        self._answers = list(answers)
        self._usage = usage or Usage(tokens_prompt=10, tokens_completion=5, calls=1)
        self._cycle = cycle
        self.requests: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """The next answer as a whole."""
        answer = self._next(request)
        if answer.error is not None:
            raise answer.error
        return self._completion(request, answer)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The next answer: its pieces, its tool calls, then the whole."""
        answer = self._next(request)
        for piece in answer.pieces:
            yield Delta(piece)
        for call in answer.tool_calls:
            yield Delta(tool_call=call)
        if answer.error is not None:
            raise answer.error
        yield self._completion(request, answer)

    def count_tokens(self, text: str) -> int:
        """The words of `text`."""
        return len(text.split())

    def models(self) -> Sequence[str]:
        """The one there is."""
        return ("scripted",)

    def _next(self, request: CompletionRequest) -> ScriptedStream:
        asked = len(self.requests)
        self.requests.append(request)
        if asked >= len(self._answers) and not (self._cycle and self._answers):
            raise ScriptExhausted(
                f"request {asked + 1} finds no answer: the script has {len(self._answers)}"
            )
        answer = self._answers[asked % len(self._answers)]
        if isinstance(answer, ScriptedStream):
            return answer
        if isinstance(answer, AixgoError):
            return ScriptedStream((), answer)
        if isinstance(answer, ToolCall):
            return ScriptedStream((), tool_calls=(answer,))
        if isinstance(answer, Mapping):
            return ScriptedStream((msgspec.json.encode(answer).decode(),))
        if isinstance(answer, str):
            return ScriptedStream((answer,))
        if callable(answer):
            return ScriptedStream((answer(request),))
        return ScriptedStream((), tool_calls=answer)

    def _completion(self, request: CompletionRequest, answer: ScriptedStream) -> Completion:
        return Completion(
            text="".join(answer.pieces),
            model=request.model,
            provider=self.name,
            usage=self._usage,
            stop_reason="tool_calls" if answer.tool_calls else "end",
            tool_calls=tuple(answer.tool_calls),
        )
