"""An answer of a wanted shape: ask, check, and ask again saying what was wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import msgspec

from aixgo.errors import OutputInvalid
from aixgo.message import JSONValue
from aixgo.providers.base import ChatMessage, Completion, CompletionRequest, Provider

__all__ = ["complete_structured"]

T = TypeVar("T")

TRIES = 3  # the first answer and two repairs


async def complete_structured(
    provider: Provider,
    request: CompletionRequest,
    check: Callable[[JSONValue], T],
    *,
    tries: int = TRIES,
) -> tuple[T, Completion]:
    """The checked value of the answer, and the completion it came from.

    `check` gets the decoded JSON and raises ValueError with what is wrong; the model is told that and asked
    again, up to `tries` times in all.

    Raises:
        OutputInvalid: the last answer was still wrong.
    """
    problem: ValueError | None = None
    for _ in range(tries):
        completion = await provider.complete(request)
        try:
            return check(msgspec.json.decode(completion.text)), completion
        except ValueError as exc:  # msgspec's DecodeError is one
            problem = exc
        if completion.offline:
            break  # the same question would get the same answer
        request = _ask_again(request, completion.text, problem)
    raise OutputInvalid(
        f"the answer of {request.model!r} does not fit what was asked: {problem}",
        provider=provider.name,
    ) from problem


def _ask_again(request: CompletionRequest, answer: str, problem: ValueError) -> CompletionRequest:
    """The same request after a wrong answer. The text it is about stays the first user message."""
    feedback = (
        f"That answer is not usable: {problem}. Answer again, with JSON of the required shape only."
    )
    turns = [*request.messages, ChatMessage("assistant", answer), ChatMessage("user", feedback)]
    return replace(request, messages=turns)
