"""The agents under test that read or fill mailboxes; `agents` says where they live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aixgo import Agent, AgentRefused, Caller, Message, agent
from aixgo.contract import Gathers
from tests.conformance.gates import pass_gate, write_line

__all__ = ["LEFT_MAIL", "RIGHT_MAIL"]


@agent
async def notes(task: dict[str, object]) -> str:
    """Writes a line for each message, and holds its consumer at a gate if told to."""
    if task.get("gates"):
        await pass_gate(str(task["gates"]), "notes", task.get("note"))
    if task.get("file"):
        write_line(str(task["file"]), str(task["note"]))
    if task.get("fail"):
        raise AgentRefused("this note is refused")
    return f"noted {task['note']}"


class Reader:
    """Reads its own mailbox, in a task of its own, and writes a line for each message."""

    name = "reader"
    role = "agent"
    mailbox = True

    def __init__(self) -> None:
        self._reading: asyncio.Task[None] | None = None

    async def start(self, caller: Caller) -> None:
        self._reading = asyncio.create_task(self._read(caller))

    async def _read(self, caller: Caller) -> None:
        while True:
            message = await caller.recv()
            task = message.payload
            assert isinstance(task, dict)
            write_line(str(task["file"]), f"{task['note']} from {message.source}")
            await pass_gate(str(task["gates"]), "reader", task["note"])

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def execute(self, message: Message) -> Message:
        return message.reply("reading")


class Gatherer:
    """Has what `tells_left` and `tells_right` send it in one message, and writes a line for it."""

    name = "gatherer"
    role = "agent"
    gathers = Gathers(60, ("tells_left", "tells_right"))

    def gather(self, messages: Sequence[Message]) -> Message:
        notes = {message.source: message.payload for message in messages}
        return Message(notes, type="gathered")

    async def execute(self, message: Message) -> Message:
        notes = message.payload
        assert isinstance(notes, dict)
        tasks = [task for task in notes.values() if isinstance(task, dict)]
        said = " ".join(f"{name}={notes[name]['note']}" for name in sorted(notes))  # type: ignore[index,call-overload]
        write_line(str(tasks[0]["file"]), f"{message.type} {said}")
        await pass_gate(str(tasks[0]["gates"]), "gatherer")
        return message


async def tells(task: dict[str, object], caller: Caller) -> str:
    """Sends its payloads to a mailbox, in order."""
    payloads = task["payloads"]
    assert isinstance(payloads, list)
    for payload in payloads:
        await caller.send(str(task["to"]), payload)
    return "told"


@agent
async def announces(task: dict[str, object], caller: Caller) -> list[str]:
    """Broadcasts to its targets and answers with those that accepted."""
    targets = task["targets"]
    assert isinstance(targets, list)
    outcomes = await caller.broadcast(task["payload"], targets)
    return [outcome.target for outcome in outcomes if outcome.error is None]


tells_left, tells_right = (agent(name=f"tells_{side}")(tells) for side in ("left", "right"))
LEFT_MAIL: tuple[Agent, ...] = (notes, Reader(), Gatherer(), tells_left)
RIGHT_MAIL: tuple[Agent, ...] = (announces, tells_right)
