"""Asking for a shape: checks, repairs, and giving up."""

from __future__ import annotations

import pytest

from aixgo.errors import OutputInvalid
from aixgo.message import JSONValue
from aixgo.providers import ChatMessage, CompletionRequest, complete_structured
from aixgo.testing import ScriptedProvider

REQUEST = CompletionRequest(model="m", messages=[ChatMessage("user", "the text")])


def is_number(value: JSONValue) -> int:
    if not isinstance(value, int):
        raise ValueError("it must be a number")
    return value


async def test_a_wrong_answer_is_asked_again_with_what_was_wrong() -> None:
    provider = ScriptedProvider(["not json", '"text"', "7"])
    value, completion = await complete_structured(provider, REQUEST, is_number)
    assert (value, completion.text) == (7, "7")
    roles = [turn.role for turn in provider.requests[2].messages]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert "it must be a number" in provider.requests[2].messages[-1].content


async def test_after_the_last_try_the_answer_is_invalid() -> None:
    provider = ScriptedProvider(["[]"], cycle=True)
    with pytest.raises(OutputInvalid):
        await complete_structured(provider, REQUEST, is_number)
    assert len(provider.requests) == 3
