"""A model provider that answers by script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from aixgo.errors import AixgoError
from aixgo.ledger import Usage
from aixgo.message import JSONValue
from aixgo.providers import Completion, CompletionRequest, Delta

__all__ = ["ScriptExhausted", "ScriptedProvider", "ScriptedStream"]


class ScriptExhausted(AssertionError):
    """The script has fewer answers than the test asks for."""


@dataclass(slots=True, frozen=True)
class ScriptedStream:
    """An answer in given pieces, ending with `error` if there is one."""

    pieces: Sequence[str]
    error: AixgoError | None = None


Answer: TypeAlias = (
    str | Mapping[str, JSONValue] | ScriptedStream | AixgoError | Callable[[CompletionRequest], str]
)


class ScriptedProvider:
    """Gives its answers in order: text, a JSON object, pieces, an error to raise, or a function of the request.

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
        pieces, error = self._next(request)
        if error is not None:
            raise error
        return self._completion(request, pieces)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The next answer: its pieces, then the whole."""
        pieces, error = self._next(request)
        for piece in pieces:
            yield Delta(piece)
        if error is not None:
            raise error
        yield self._completion(request, pieces)

    def count_tokens(self, text: str) -> int:
        """The words of `text`."""
        return len(text.split())

    def models(self) -> Sequence[str]:
        """The one there is."""
        return ("scripted",)

    def _next(self, request: CompletionRequest) -> tuple[Sequence[str], AixgoError | None]:
        asked = len(self.requests)
        self.requests.append(request)
        if asked >= len(self._answers) and not (self._cycle and self._answers):
            raise ScriptExhausted(
                f"request {asked + 1} finds no answer: the script has {len(self._answers)}"
            )
        answer = self._answers[asked % len(self._answers)]
        if isinstance(answer, ScriptedStream):
            return answer.pieces, answer.error
        if isinstance(answer, AixgoError):
            return (), answer
        if isinstance(answer, Mapping):
            return (msgspec.json.encode(answer).decode(),), None
        return (answer if isinstance(answer, str) else answer(request),), None

    def _completion(self, request: CompletionRequest, pieces: Sequence[str]) -> Completion:
        return Completion(
            text="".join(pieces), model=request.model, provider=self.name, usage=self._usage
        )
