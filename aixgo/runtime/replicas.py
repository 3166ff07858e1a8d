"""The addresses where agents live: one replica each, with one link, shared by every name that lives there.

Below: rpc's `Link`. Above: `peers`, which picks among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from aixgo.context import Clock
from aixgo.rpc.base import Link, PeerInfo
from aixgo.rpc.traffic import Traffic

__all__ = ["FIRST_PENALTY", "MAX_PENALTY", "Replica", "Replicas"]

FIRST_PENALTY = (
    0.1  # seconds a replica that could not be reached is passed over; doubles up to MAX_PENALTY
)
MAX_PENALTY = 2.0
RETIRE_POLL = 0.1  # seconds between looks whether a retired replica's calls are done

_Place: TypeAlias = tuple[str, str]  # an address, and the host it was looked up by


class Replica:
    """One peer address: its link, what it said about itself, and whether it is worth a try now."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self.link = link
        self.info: PeerInfo | None = None
        self.retired = False
        """True once no address list names it any more: it finishes what it has."""
        self._clock = clock
        self._penalty = 0.0
        self._retry_at = 0.0

    @property
    def usable(self) -> bool:
        """Whether calls should be sent there while there is a choice."""
        return (
            not self.retired
            and not self.link.draining
            and self._clock.monotonic() >= self._retry_at
        )

    async def connect(self) -> PeerInfo:
        """What the peer says about itself, asked once per life of the peer."""
        info = self.info
        if info is not None and info.instance == self.link.instance:
            return info
        self.info = await self.link.connect()  # who asks at the same time shares the attempt
        return self.info

    def succeeded(self) -> None:
        self._penalty = self._retry_at = 0.0

    def failed(self) -> None:
        """Pass it over for a while that grows with every failure in a row."""
        self._penalty = min(MAX_PENALTY, self._penalty * 2 or FIRST_PENALTY)
        self._retry_at = self._clock.monotonic() + self._penalty


class Replicas:
    """Every replica a runtime knows, by address, shared by all peers that live there.

    Where certificates are checked, an address that was looked up is a replica for each name it was found by.
    """

    def __init__(
        self, open_link: Callable[[str, str], Link], clock: Clock, *, checks_names: bool = False
    ) -> None:
        self._open_link = open_link
        self._clock = clock
        self._checks_names = checks_names
        self._by_address: dict[_Place, Replica] = {}
        self._users: dict[_Place, int] = {}
        self._closing: dict[Replica, asyncio.Task[None]] = {}
        self._gone = Traffic()

    def acquire(self, address: str, name: str = "") -> Replica:
        """The replica at `address`, which `name` led to; opened on first use, `release` it when its name goes."""
        place = self._place(address, name)
        replica = self._by_address.get(place)
        if replica is None:
            replica = self._by_address[place] = Replica(self._open_link(*place), self._clock)
        self._users[place] = self._users.get(place, 0) + 1
        return replica

    def release(self, address: str, name: str = "") -> None:
        """Let go of a replica; the last one to do so closes it once its calls are done."""
        place = self._place(address, name)
        self._users[place] -= 1
        if not self._users[place]:
            del self._users[place]
            replica = self._by_address.pop(place)
            replica.retired = True
            self._closing[replica] = asyncio.create_task(
                self._close_when_idle(replica), name=f"aixgo-close-{address}"
            )

    def _place(self, address: str, name: str) -> _Place:
        return (address, name if self._checks_names else "")

    def traffic(self) -> list[Traffic]:
        """What passed over each link that is open, and over all that were."""
        replicas = (*tuple(self._closing), *tuple(self._by_address.values()))
        return [self._gone, *(replica.link.traffic for replica in replicas)]

    async def aclose(self) -> None:
        """Close every link."""
        closing = tuple(self._closing.values())
        for task in closing:
            task.cancel()
        await asyncio.gather(*closing, return_exceptions=True)
        # A task that had not begun yet has closed nothing: its replica is still there.
        replicas = [*self._closing, *self._by_address.values()]
        await asyncio.gather(*(replica.link.aclose() for replica in replicas))
        for replica in replicas:
            self._gone.add(replica.link.traffic)
        self._closing.clear()
        self._by_address.clear()

    async def _close_when_idle(self, replica: Replica) -> None:
        try:
            while replica.link.outstanding:  # noqa: ASYNC110 - ends by the deadlines of its calls
                await asyncio.sleep(RETIRE_POLL)
        finally:
            await replica.link.aclose()
            self._gone.add(replica.link.traffic)
            del self._closing[replica]
