"""Which replica a call goes to, and when it may go to another one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from aixgo import DistributedRuntime, agent
from aixgo.context import CallContext
from aixgo.contract import AgentDescription
from aixgo.errors import AgentFailed, AgentNotReady, AixgoError, RuntimeClosed, Unavailable
from aixgo.message import Message
from aixgo.middleware import ReplyStream
from aixgo.rpc.base import PeerInfo
from aixgo.rpc.traffic import Traffic
from aixgo.runtime import peers
from aixgo.runtime.peers import Peer
from aixgo.runtime.replicas import FIRST_PENALTY, MAX_PENALTY, Replicas
from aixgo.testing import FakeClock


class SmallLink:
    """A link that answers with its address, or fails as it is told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.instance = f"instance-{address}"
        self.outstanding = 0
        self.draining = False
        self.closed = False
        self.calls = 0
        self.traffic = Traffic()
        self.failure: AixgoError | None = None

    async def connect(self, timeout: float | None = None) -> PeerInfo:
        return await self.describe()

    async def describe(self) -> PeerInfo:
        return PeerInfo(instance=self.instance, agents=(AgentDescription(name="a", role="test"),))

    async def call(self, target: str, message: Message, context: CallContext) -> Message:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        return message.reply(self.address)

    async def stream(self, target: str, message: Message, context: CallContext) -> ReplyStream:
        raise AssertionError("no test streams")

    async def send(self, target: str, message: Message, context: CallContext) -> None:
        await self.call(target, message, context)

    async def receive(self, name: str, context: CallContext) -> AsyncIterator[Message]:
        yield Message(self.address)
        await asyncio.Event().wait()

    async def settle(self, context: CallContext) -> None: ...

    async def aclose(self) -> None:
        self.closed = True


class Fleet:
    """A peer with replicas made of SmallLinks."""

    def __init__(self, clock: FakeClock, *addresses: str) -> None:
        self.links: dict[str, SmallLink] = {}
        self.replicas = Replicas(self._open, clock)
        self.clock = clock
        self.peer = Peer("a", addresses, self.replicas, clock)

    def _open(self, address: str, name: str) -> SmallLink:
        link = self.links[address] = SmallLink(address)
        return link

    async def ask(self, *, session: str = "", key: str = "") -> str:
        context = CallContext(
            "a", deadline=60.0, clock=self.clock, session=session, idempotency_key=key
        )
        return (await self.peer.call(Message("x"), context)).text


ONE, TWO, THREE = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"


@pytest.fixture
async def fleet() -> AsyncIterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(*addresses: str) -> Fleet:
        made.append(Fleet(FakeClock(), *addresses))
        return made[-1]

    yield make
    for each in made:
        await each.peer.aclose()
        await each.replicas.aclose()


async def test_idle_replicas_take_turns(fleet: Callable[..., Fleet]) -> None:
    three = fleet(ONE, TWO, THREE)
    for _ in range(30):
        await three.ask()
    assert [link.calls for link in three.links.values()] == [10, 10, 10]


async def test_the_replica_with_the_least_outstanding_calls_is_picked(
    fleet: Callable[..., Fleet],
) -> None:
    three = fleet(ONE, TWO, THREE)
    three.links[ONE].outstanding = 2
    three.links[TWO].outstanding = 1
    three.links[THREE].outstanding = 2
    assert [await three.ask() for _ in range(3)] == [TWO] * 3


async def test_a_session_stays_at_its_replica_while_that_takes_calls(
    fleet: Callable[..., Fleet],
) -> None:
    two = fleet(ONE, TWO)
    first = await two.ask(session="s")
    two.links[first].outstanding = 50
    assert [await two.ask(session="s") for _ in range(3)] == [first] * 3
    two.links[first].draining = True
    assert await two.ask(session="s") != first


@pytest.mark.parametrize(
    "refusal", [Unavailable("a"), RuntimeClosed("draining"), AgentNotReady("a")]
)
async def test_a_call_that_never_started_moves_on(
    refusal: AixgoError, fleet: Callable[..., Fleet]
) -> None:
    two = fleet(ONE, TWO)
    two.links[ONE].failure = refusal
    assert {await two.ask() for _ in range(4)} == {TWO}


@pytest.mark.parametrize(
    "failure", [Unavailable("a", "lost", "unknown"), AgentFailed("a", "id"), AgentFailed("b", "id")]
)
async def test_a_call_that_may_have_run_is_not_tried_elsewhere(
    failure: AixgoError, fleet: Callable[..., Fleet]
) -> None:
    two = fleet(ONE, TWO)
    for link in two.links.values():
        link.failure = failure
    with pytest.raises(type(failure)):
        await two.ask()
    assert sum(link.calls for link in two.links.values()) == 1


async def test_what_an_agent_further_down_could_not_reach_is_not_tried_elsewhere(
    fleet: Callable[..., Fleet],
) -> None:
    two = fleet(ONE, TWO)
    failure = Unavailable("b")
    failure.agent = "a"  # raised inside the agent: it ran
    for link in two.links.values():
        link.failure = failure
    with pytest.raises(Unavailable):
        await two.ask()
    assert sum(link.calls for link in two.links.values()) == 1


async def test_when_no_replica_can_be_reached_the_last_refusal_comes_out(
    fleet: Callable[..., Fleet],
) -> None:
    two = fleet(ONE, TWO)
    for link in two.links.values():
        link.failure = RuntimeClosed("draining")
    with pytest.raises(Unavailable, match="draining") as caught:
        await two.ask()
    assert caught.value.outcome == "not_started"
    assert [link.calls for link in two.links.values()] == [1, 1]


async def test_a_replica_that_failed_is_passed_over_for_a_while(
    fleet: Callable[..., Fleet],
) -> None:
    two = fleet(ONE, TWO)
    two.links[ONE].failure = Unavailable("a")
    for _ in range(4):
        await two.ask()
    tried = two.links[ONE].calls
    assert tried == 1
    two.links[ONE].failure = None
    await two.clock.advance(MAX_PENALTY)
    assert {await two.ask() for _ in range(4)} == {ONE, TWO}


async def test_a_key_stays_where_it_was_first_seen(fleet: Callable[..., Fleet]) -> None:
    two = fleet(ONE, TWO)
    first = await two.ask(key="k")
    two.links[first].outstanding = 50
    assert await two.ask(key="k") == first


async def test_a_key_whose_replica_is_gone_does_not_run_elsewhere(
    fleet: Callable[..., Fleet],
) -> None:
    two = fleet(ONE, TWO)
    first = await two.ask(key="k")
    two.links[first].failure = Unavailable("a")
    with pytest.raises(Unavailable) as caught:
        await two.ask(key="k")
    assert caught.value.outcome == "unknown"
    (other,) = {ONE, TWO} - {first}
    assert two.links[other].calls == 0


async def test_a_key_that_was_refused_before_it_started_may_go_elsewhere(
    fleet: Callable[..., Fleet],
) -> None:
    two = fleet(ONE, TWO)
    two.links[TWO].failure = Unavailable("a")
    assert {await two.ask(key=f"k{number}") for number in range(4)} == {ONE}


async def test_the_addresses_of_a_name_are_followed(
    fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Iterator[list[str]] = iter([[ONE, TWO], [TWO, THREE]])

    async def look_up(name: str) -> list[str]:
        assert name == "dns:///agents.internal:1"
        return next(answers)

    monkeypatch.setattr(peers, "resolve", look_up)
    named = fleet("dns:///agents.internal:1")
    assert {await named.ask() for _ in range(4)} == {ONE, TWO}
    await named.clock.advance(peers.RESOLVE_INTERVAL)
    await named.ask()  # answers at once, and begins the look-up beside it
    async with asyncio.timeout(5):
        while not named.links[ONE].closed:
            await asyncio.sleep(0)
    assert {await named.ask() for _ in range(4)} == {TWO, THREE}


async def test_whoever_cannot_be_reached_is_named_with_the_address() -> None:
    async with DistributedRuntime(peers={"upper": ["127.0.0.1:1"]}) as rt:
        with pytest.raises(Unavailable) as caught:
            await rt.call("upper", "hello", timeout=5)
    assert str(caught.value).startswith("'upper' is unavailable: unreachable: ")
    assert str(caught.value).endswith("(127.0.0.1:1)")


async def test_a_name_that_does_not_resolve_is_told_and_looked_up_again(
    fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = asyncio.Event()

    async def look_up(name: str) -> list[str]:
        if not known.is_set():
            raise Unavailable(name, "its name does not resolve")
        return [ONE]

    monkeypatch.setattr(peers, "resolve", look_up)
    named = fleet("dns:///agents.internal:1")
    with pytest.raises(Unavailable, match=r"'a' is unavailable: dns:///agents.internal:1 does not"):
        await named.ask()
    known.set()
    await named.clock.advance(FIRST_PENALTY)
    assert await named.ask() == ONE


async def test_a_look_up_that_hangs_keeps_a_call_for_a_bounded_time_only(
    fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_up(name: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError(name)

    monkeypatch.setattr(peers, "resolve", look_up)
    monkeypatch.setattr(peers, "RESOLVE_TIMEOUT", 0.01)
    named = fleet("dns:///agents.internal:1")
    with pytest.raises(Unavailable, match=r"looking up dns:///agents.internal:1 takes over"):
        await named.ask()
    await named.peer.aclose()


async def test_a_real_name_leads_to_the_server() -> None:
    @agent
    async def upper(text: str) -> str:
        return text.upper()

    async with DistributedRuntime(upper, address="127.0.0.1:0") as server:
        name = f"dns:///localhost:{server.address.rpartition(':')[2]}"
        async with DistributedRuntime(peers={"upper": name}) as rt:
            assert (await rt.call("upper", "hello", timeout=5)).text == "HELLO"
