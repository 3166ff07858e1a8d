"""Toolbox: whatever goes wrong with a tool is a result the model can go on with."""

from __future__ import annotations

import asyncio
import sys
import threading
from datetime import UTC, datetime

import pytest

from aixgo import Message, tool
from aixgo.errors import ConfigError
from aixgo.tools import Toolbox


@tool
async def double(number: int) -> int:
    return number * 2


async def told(function: object, arguments: str = "{}", **options: int) -> str:
    box = Toolbox([function], **options)  # type: ignore[list-item, arg-type]
    return (await box.run(next(iter(box)).name, arguments)).text


async def test_a_result_is_text() -> None:
    result = await Toolbox([double]).run("double", '{"number": 4}')
    assert (result.text, result.is_error) == ("8", False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (None, "null"),
        (b"bytes", "bytes"),
        (b"\xff\xfe", "[2 bytes that are no text]"),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        (Message("hello"), "hello"),
    ],
)
async def test_any_result_that_json_can_hold_is_shown(value: object, text: str) -> None:
    async def give() -> object:
        return value

    assert await told(give) == text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("{not json", "the arguments are not JSON"),
        ("[1]", "must be a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"number": "\ud800"}', "not valid Unicode"),
        ('{"number": "four"}', "number: Input should be a valid integer"),
        ("", "number: Field required"),
    ],
)
async def test_arguments_that_cannot_be_used_are_explained(arguments: str, why: str) -> None:
    result = await Toolbox([double]).run("double", arguments)
    assert result.is_error
    assert why in result.text


async def test_a_tool_nobody_has_is_answered_with_those_there_are() -> None:
    result = await Toolbox([double, told]).run("doubel", "{}")
    assert result.is_error
    assert "Did you mean 'double'? There are: double, told" in result.text


async def test_an_exception_is_told_with_its_class_and_text() -> None:
    async def broken() -> None:
        raise KeyError("no such row")

    assert await told(broken) == "error: KeyError: 'no such row'"


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), TimeoutError("of its own")])
async def test_no_exception_of_a_tool_gets_out(error: BaseException) -> None:
    def broken() -> None:
        raise error

    assert (await told(broken)).startswith("error: ")


async def test_a_tool_that_hangs_is_over_after_its_time() -> None:
    @tool(timeout=0.01)
    async def hang() -> None:
        await asyncio.Event().wait()

    assert await told(hang) == "error: 'hang' did not finish within 0.01 seconds"


async def test_a_synchronous_tool_that_hangs_is_left_behind() -> None:
    release = threading.Event()

    @tool(timeout=0.01)
    def hang() -> None:
        release.wait(10)

    try:
        assert "did not finish" in await told(hang)
    finally:
        release.set()


async def test_ten_megabytes_are_cut_and_say_so() -> None:
    async def flood() -> str:
        return "x" * 10_000_000

    text = await told(flood)
    assert len(text) < 51_000
    assert text.endswith("[cut: the first 50,000 of 10,000,000 characters]")


async def test_the_text_of_an_exception_is_bounded_too() -> None:
    async def broken() -> None:
        raise ValueError("x" * 1_000_000)

    assert len(await told(broken)) < 2_100


async def test_a_result_json_cannot_hold_is_an_error() -> None:
    async def give() -> object:
        return sys

    assert "returned a module, which is no JSON" in await told(give)


async def test_a_result_that_contains_itself_is_an_error() -> None:
    async def give() -> object:
        endless: list[object] = []
        endless.append(endless)
        return endless

    assert (await told(give)).startswith("error: ")


async def test_a_tool_that_says_it_was_cancelled_when_nobody_did_is_an_error() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    assert (await told(cancelled)).startswith("error: CancelledError")


async def test_cancelling_passes_through() -> None:
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(told(wait))
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two tools are called 'double'"):
        Toolbox([double, double])


def test_what_is_no_tool_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no tool"):
        Toolbox(["double"])  # type: ignore[list-item]
