"""A process whose agents spend: `python -m tests.integration.budget_server SPEC`.

SPEC is a JSON object: `name` of the agent, `tally`, the file every model call is noted in by who would bill it,
`transport`, and `peers`. It prints its address, and `held` when a model call hangs; the end of its standard input
ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence

from aixgo import DistributedRuntime, Message, Usage, agent, serve
from aixgo.agents import ChatAgent
from aixgo.contract import Caller
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Delta, Model

__all__ = ["Vendor", "spender"]


class Vendor:
    """Uses all tokens it may, and writes down each call before it answers; one that says "hold" never does."""

    name = "offline"

    def __init__(self, tally: str) -> None:
        self._tally = tally

    async def complete(self, request: CompletionRequest) -> Completion:
        """The longest answer."""
        usage = Usage(
            tokens_prompt=self.count_tokens(request.text),
            tokens_completion=request.max_tokens or 0,
            calls=1,
        )
        with open(self._tally, "a", encoding="ascii") as file:  # noqa: ASYNC230, PTH123 - one line, at once
            file.write(f"{usage.tokens_total} {usage.calls}\n")
        if request.text == "hold":
            print("held", flush=True)
            await asyncio.Event().wait()
        return Completion(text="x", model=request.model, provider=self.name, usage=usage)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The same, in one piece; "linger" stops after that."""
        completion = await self.complete(request)
        yield Delta(completion.text)
        if request.text == "linger":
            await asyncio.Event().wait()
        yield completion

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def models(self) -> Sequence[str]:
        return ()


def spender(name: str, tally: str) -> object:
    """An agent that makes `calls` model calls of `tokens` each and then calls the agents of `then`.

    With `hold` it makes one more, which never ends. Those it calls make `most` model calls, or as many as it did. What
    a task holds under its name is its own task.
    """
    model = Model(Vendor(tally))

    @agent(name=name)
    async def spend(message: Message, caller: Caller) -> str:
        task = message.payload
        assert isinstance(task, dict)
        own = task.get(name, task)
        assert isinstance(own, dict)
        texts = [str(own.get("text", "hi"))] * int(str(own.get("calls", 0)))
        for text in [*texts, *["hold"] * bool(own.get("hold"))]:
            await model.complete(
                CompletionRequest(
                    model="m",
                    messages=[ChatMessage("user", text)],
                    max_tokens=int(str(own["tokens"])),
                )
            )
        then = [str(target) for target in own.get("then") or []]  # type: ignore[union-attr]
        if then:
            most = own.get("most", own["calls"])
            await caller.call_parallel(then, {"calls": most, "tokens": own["tokens"]})
        return "done"

    return spend


async def main(spec: dict[str, str]) -> None:
    asyncio.get_running_loop().add_reader(
        sys.stdin, lambda: sys.stdin.buffer.read1() or os.kill(os.getpid(), signal.SIGTERM)
    )

    def ready(runtime: DistributedRuntime) -> None:
        print(runtime.address, flush=True)

    await serve(
        spender(spec["name"], spec["tally"]),  # type: ignore[arg-type]
        ChatAgent("chat", provider=Vendor(spec["tally"]), max_tokens=500),
        address="127.0.0.1:0",
        peers=spec["peers"],  # type: ignore[arg-type]
        transport=spec["transport"],
        ready=ready,
        stop_grace=1.0,
    )


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
