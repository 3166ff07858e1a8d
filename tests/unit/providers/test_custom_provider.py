"""A provider with a `complete` and little else."""

from __future__ import annotations

import logging
import threading

import pytest

from aixgo.errors import ConfigError, OutputInvalid
from aixgo.ledger import Usage
from aixgo.providers import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    ToolCall,
    as_provider,
)

ASK = CompletionRequest(model="m", messages=(ChatMessage("user", "four"),))


class Waiting:
    async def complete(self, request: CompletionRequest) -> str:
        return request.text[::-1]


class Blocking:
    name = "own"

    def complete(self, request: CompletionRequest) -> str:
        return threading.current_thread().name


class Calling:
    def complete(self, request: CompletionRequest) -> Completion:
        return Completion(
            text="",
            model="m",
            provider="calling",
            usage=Usage(calls=1),
            tool_calls=(ToolCall("1", "look"),),
        )


class Nothing:
    def complete(self, request: CompletionRequest) -> str:
        return None  # type: ignore[return-value]


async def test_a_text_becomes_a_completion_with_estimated_tokens() -> None:
    found = await as_provider(Waiting()).complete(ASK)
    assert (found.text, found.model, found.provider) == ("ruof", "m", "waiting")
    assert (found.usage.tokens_prompt, found.usage.tokens_completion, found.usage.calls) == (
        2,
        1,
        1,
    )


async def test_a_synchronous_complete_runs_beside_the_loop() -> None:
    found = await as_provider(Blocking()).complete(ASK)
    assert found.text.startswith("aixgo-own")
    assert found.provider == "own"


async def test_without_stream_the_answer_comes_in_one_piece() -> None:
    pieces = [piece async for piece in as_provider(Waiting()).stream(ASK)]
    assert pieces[0] == Delta("ruof")
    assert isinstance(pieces[1], Completion)


async def test_tool_calls_are_streamed_too() -> None:
    pieces = [piece async for piece in as_provider(Calling()).stream(ASK)]
    assert pieces[0] == Delta(tool_call=ToolCall("1", "look"))


def test_what_was_filled_in_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aixgo.providers"):
        provider = as_provider(Waiting())
        assert provider.count_tokens("12345") == 2
        assert provider.models() == ()
    (said,) = caplog.records
    for name in ("stream", "count_tokens", "models"):
        assert f"no '{name}'" in said.getMessage()


async def test_no_answer_is_an_error_that_says_what_came_instead() -> None:
    with pytest.raises(OutputInvalid, match="'nothing' answered with NoneType"):
        await as_provider(Nothing()).complete(ASK)


def test_without_complete_it_is_no_provider() -> None:
    with pytest.raises(ConfigError, match="object is no provider"):
        as_provider(object())  # type: ignore[arg-type]
