"""Reading a mailbox or an exit that lives elsewhere.

One task per replica keeps a `Receive` open and puts what comes into a small mailbox here, so that a reader
whose timeout passes loses nothing. What was taken there and not yet read here is lost with this process:
at most once. Below: rpc's `Link`, mailboxes. Above: peers.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

from aixgo.context import CallContext, Clock
from aixgo.errors import AixgoError, RuntimeClosed
from aixgo.mailboxes.base import Posted
from aixgo.mailboxes.memory import MemoryMailbox
from aixgo.message import Message
from aixgo.rpc.base import Link

__all__ = ["RemoteInbox"]

AHEAD = 16  # messages taken from the peers before anybody asked for them
RETRY = 0.5  # seconds before a peer that could not be reached is asked again


class RemoteInbox:
    """The messages of `name` at all its replicas."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._box = MemoryMailbox(name, AHEAD)
        self._readers: dict[Link, asyncio.Task[None]] = {}
        self._refusal: AixgoError | None = None

    async def get(self, links: Iterable[Link], timeout: float | None) -> Message:
        """The next message of any of `links`.

        Raises:
            DeadlineExceeded: none came within `timeout` seconds.
            AixgoError: a peer refuses to show the mailbox.
        """
        wanted = set(links)
        for link in set(self._readers) - wanted:  # replicas that went away
            self._readers.pop(link).cancel()
        for link in wanted:
            if link not in self._readers or self._readers[link].done():
                self._readers[link] = asyncio.create_task(
                    self._read(link), name=f"aixgo-receive-{self._name}"
                )
        try:
            return (await self._box.get(timeout)).message
        except RuntimeClosed:
            if self._refusal is None:
                raise
            refusal, self._refusal = self._refusal, None
            self._box = MemoryMailbox(self._name, AHEAD)  # asking again asks the peers again
            raise refusal from None

    async def aclose(self) -> None:
        """Stop reading; messages that were taken and not read are gone."""
        for task in self._readers.values():
            task.cancel()
        await asyncio.gather(*self._readers.values(), return_exceptions=True)
        self._box.close()

    async def _read(self, link: Link) -> None:
        while True:
            try:
                await self._pass_on(link)
            except AixgoError as exc:
                if not exc.retryable:
                    self._refusal = exc
                    self._box.close()
                    return
            await asyncio.sleep(RETRY)

    async def _pass_on(self, link: Link) -> None:
        context = CallContext(self._name, deadline=math.inf, clock=self._clock)
        messages = link.receive(self._name, context)
        try:
            async for message in messages:
                await self._box.put(Posted(message=message), math.inf)
        finally:
            await messages.aclose()  # type: ignore[attr-defined]  # it is an async generator
