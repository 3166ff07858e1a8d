"""Callers of the entry, in a container of their own; whoever started it says how many calls to wait for.

Each line on standard input is a number N: once N more calls have ended, a line with a JSON object tells how all calls
went so far. The end of the input ends it. Arguments: how many callers, and the text they ask about.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from aixgo import DistributedRuntime, Tls
from aixgo.errors import AixgoError

ENTRY = "briefing"
TLS = Tls(ca="/certs/ca.pem", cert="/certs/ask.pem", key="/certs/ask.key")


async def load(callers: int, text: str) -> None:
    answers: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    ended = asyncio.Condition()

    async def call_on(runtime: DistributedRuntime) -> None:
        while True:
            try:
                answers[(await runtime.call(ENTRY, text)).text] += 1
            except AixgoError as exc:
                outcome = getattr(exc, "outcome", "")
                failures[f"{type(exc).__name__} {outcome}: {exc}"] += 1
            async with ended:
                ended.notify_all()

    loop = asyncio.get_running_loop()
    peers = {ENTRY: f"dns:///{ENTRY}:50051"}
    async with DistributedRuntime(peers=peers, tls=TLS) as runtime, asyncio.TaskGroup() as group:
        working = [group.create_task(call_on(runtime)) for _ in range(callers)]
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            goal = answers.total() + failures.total() + int(line)
            async with ended:
                await ended.wait_for(lambda: answers.total() + failures.total() >= goal)  # noqa: B023
            print(json.dumps({"answers": answers, "failures": failures}), flush=True)
        for task in working:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(load(int(sys.argv[1]), sys.argv[2]))
