"""What a user may write, as the type checker sees it; never executed.

A line that must be refused carries an ignore with its code, and mypy reports an ignore that is not
needed.
"""

from typing import assert_type

import aixgo


async def a_reply_is_a_message(caller: aixgo.Caller) -> None:
    reply = await caller.call("upper", "hello", timeout=5, budget=aixgo.Budget(usd=0.10))
    assert_type(reply, aixgo.Message)
    assert_type(reply.reply("done"), aixgo.Message)


async def outcomes_keep_replies_and_errors_apart(caller: aixgo.Caller) -> None:
    outcomes = await caller.call_parallel(["a", "b"], {"key": [1, 2.5, None]})
    assert_type(outcomes.replies, list[aixgo.Message])
    assert_type(outcomes.errors, list[aixgo.AixgoError])


async def a_stream_gives_chunks(caller: aixgo.Caller) -> None:
    async with caller.stream("upper", "hello") as chunks:
        async for chunk in chunks:
            assert_type(chunk, aixgo.StreamChunk)


def a_wrong_name_is_an_error() -> None:
    aixgo.Mesage("hello")  # type: ignore[attr-defined]
