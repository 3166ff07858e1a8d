"""Messages sent to a mailbox are accepted within bounds, worked on in order, and never lost silently."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aixgo import DistributedRuntime, Message, agent
from aixgo.errors import AgentNotFound, AgentRefused, DeadlineExceeded, MailboxFull
from tests.conformance.conftest import OpenWorld
from tests.conformance.gates import HANG, Gates
from tests.conformance.places import COVERING, IN_PROCESS, World

everywhere = pytest.mark.parametrize("place", COVERING, indirect=True, ids=str)
in_process = pytest.mark.parametrize("place", IN_PROCESS, indirect=True, ids=str)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Where `notes` and `reader` leave a line for each message."""
    path = tmp_path / "written"
    path.touch()
    return path


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@everywhere
async def test_messages_of_one_sender_are_worked_on_in_order(
    world: World, gates: Gates, written: Path
) -> None:
    for number in range(50):
        await world.rt.send("notes", {"file": str(written), "note": number})
    await world.rt.send("notes", {"gates": gates.path, "note": "last"})
    (await gates.arrival("notes")).open()
    assert lines(written) == [str(number) for number in range(50)]


@everywhere
async def test_messages_of_two_agents_keep_each_ones_order(
    world: World, gates: Gates, written: Path
) -> None:
    def payloads(sender: str) -> list[dict[str, str]]:
        return [{"file": str(written), "note": f"{sender}{n}"} for n in range(20)]

    async with asyncio.TaskGroup() as group:
        for sender in ("left", "right"):
            task = {"to": "notes", "payloads": payloads(sender)}
            group.create_task(world.rt.call(f"tells_{sender}", task))
    await world.rt.send("notes", {"gates": gates.path, "note": "last"})
    (await gates.arrival("notes")).open()
    for sender in ("left", "right"):
        assert [line for line in lines(written) if line.startswith(sender)] == [
            f"{sender}{n}" for n in range(20)
        ]


@everywhere
async def test_an_agent_reads_its_own_mailbox(world: World, gates: Gates, written: Path) -> None:
    task = {"file": str(written), "gates": gates.path}
    await world.rt.send("reader", {**task, "note": "one"})
    await world.rt.call("tells_right", {"to": "reader", "payloads": [{**task, "note": "two"}]})
    for _ in range(2):
        (await gates.arrival("reader")).open()
    assert lines(written) == ["one from ", "two from tells_right"]


@everywhere
async def test_an_agent_has_the_newest_message_of_each_source_as_one(
    world: World, gates: Gates, written: Path
) -> None:
    task = {"file": str(written), "gates": gates.path}
    for side, notes in (("left", ["old", "new"]), ("right", ["only"])):
        payloads = [{**task, "note": note} for note in notes]
        await world.rt.call(f"tells_{side}", {"to": "gatherer", "payloads": payloads})
    (await gates.arrival("gatherer")).open()
    assert lines(written) == ["gathered tells_left=new tells_right=only"]


@everywhere
async def test_sending_to_an_unknown_agent_fails(world: World) -> None:
    with pytest.raises(AgentNotFound):
        await world.rt.send("nobody", "hello")
    assert (await world.rt.call("echo", "still here")).payload == "still here"


@everywhere
async def test_a_full_mailbox_refuses_after_the_timeout_and_takes_again_when_read(
    opened: OpenWorld, gates: Gates
) -> None:
    async with opened(hosts={"mailbox_capacity": 2}) as world:
        note = {"gates": gates.path, "note": "n"}
        await world.rt.send("notes", note)
        held = await gates.arrival("notes")  # one is worked on, two more fit
        await world.rt.send("notes", note)
        await world.rt.send("notes", note)
        clock = asyncio.get_running_loop()
        began = clock.time()
        with pytest.raises(MailboxFull) as full:
            await world.rt.send("notes", note, timeout=0.2)
        assert 0.2 <= clock.time() - began < 1
        assert (full.value.name, full.value.capacity) == ("notes", 2)
        held.open()
        for _ in range(2):
            (await gates.arrival("notes")).open()
        await world.rt.send("notes", note)
        (await gates.arrival("notes")).open()


@everywhere
async def test_a_sender_that_waits_for_room_gets_it(opened: OpenWorld, gates: Gates) -> None:
    async with opened(hosts={"mailbox_capacity": 1}) as world, asyncio.TaskGroup() as group:
        note = {"gates": gates.path, "note": "n"}
        await world.rt.send("notes", note)
        held = await gates.arrival("notes")
        await world.rt.send("notes", note)
        waiting = group.create_task(world.rt.send("notes", note))
        await world.rt.call("echo", "the sender waits")
        assert not waiting.done()
        held.open()
        for _ in range(2):
            (await gates.arrival("notes")).open()


@everywhere
async def test_broadcast_tells_for_each_recipient_whether_it_accepted(
    world: World, gates: Gates
) -> None:
    outcomes = await world.rt.broadcast(
        {"gates": gates.path, "note": "all"}, ["notes", "nobody", "waits"]
    )
    assert [outcome.target for outcome in outcomes] == ["notes", "nobody", "waits"]
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None),
        AgentNotFound,
        type(None),
    ]
    assert outcomes.replies == []
    for name in ("notes", "waits"):
        (await gates.arrival(name)).open()


@everywhere
async def test_an_agent_that_broadcasts_does_not_hear_itself(world: World, gates: Gates) -> None:
    task = {"targets": ["announces", "notes"], "payload": {"gates": gates.path, "note": "n"}}
    assert (await world.rt.call("announces", task)).payload == ["notes"]
    (await gates.arrival("notes")).open()


@in_process
async def test_what_fails_becomes_a_dead_letter(world: World, gates: Gates) -> None:
    await world.rt.send("notes", {"note": "bad", "fail": True})
    await world.rt.send("notes", {"gates": gates.path, "note": "last"})
    (await gates.arrival("notes")).open()
    (letter,) = (letter for host in world.hosts for letter in host.dead_letters)
    assert letter.target == "notes"
    assert isinstance(letter.error, AgentRefused)
    assert isinstance(letter.message.payload, dict)
    assert letter.message.payload["note"] == "bad"


@in_process
async def test_replies_to_sent_messages_go_to_the_outputs_and_exits(
    world: World, gates: Gates, written: Path
) -> None:
    @agent
    async def passes_on(message: Message) -> Message:
        return message

    host = world.hosts[0]
    await host.register(passes_on, outputs=["notes", "way out"])
    task = {"file": str(written), "gates": gates.path, "note": "passed"}
    await host.send("passes_on", task)
    (await gates.arrival("notes")).open()
    left = await host.recv("way out", timeout=HANG)
    assert (left.payload, left.source) == (task, "passes_on")
    with pytest.raises(AgentNotFound):
        await host.recv("no way out")


@pytest.mark.parametrize("place", IN_PROCESS[1:], indirect=True, ids=str)
async def test_an_exit_is_read_from_another_runtime_in_order(world: World) -> None:
    @agent
    async def passes_on(message: Message) -> Message:
        return message

    host = world.hosts[0]
    assert isinstance(host, DistributedRuntime)
    await host.register(passes_on, outputs=["way out"])
    peers = {"passes_on": host.address, "way out": host.address}
    async with DistributedRuntime(peers=peers, transport=world.place.transport) as outside:
        for number in range(20):
            await outside.send("passes_on", number)
        got = [(await outside.recv("way out", timeout=HANG)).payload for _ in range(20)]
        assert got == list(range(20))
        with pytest.raises(DeadlineExceeded):
            await outside.recv("way out", timeout=0.05)
        await outside.send("passes_on", "more")
        assert (await outside.recv("way out", timeout=HANG)).payload == "more"


@in_process
async def test_stopping_works_off_what_was_accepted(
    opened: OpenWorld, gates: Gates, written: Path
) -> None:
    async with opened() as world, asyncio.timeout(HANG):
        await world.rt.send("notes", {"file": str(written), "gates": gates.path, "note": "held"})
        held = await gates.arrival("notes")
        for number in range(5):
            await world.rt.send("notes", {"file": str(written), "note": number})
        stopping = asyncio.create_task(world.hosts[0].stop())
        held.open()
        await stopping
    assert lines(written) == ["held", "0", "1", "2", "3", "4"]
