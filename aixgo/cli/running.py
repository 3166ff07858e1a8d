"""One run of a configuration, in this process or with a process per agent.

`run_config` gives what `opening` brought up an input, follows the answer along the outputs, and collects what
comes out. Below: opening. Above: `aixgo run`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aixgo.cli.fleet import Fleet
from aixgo.cli.logs import Tracebacks
from aixgo.cli.opening import STOP_GRACE, Run, RunOptions, is_distributed, open_run
from aixgo.cli.progress import Observer, Step
from aixgo.cli.record import Record
from aixgo.config import Config
from aixgo.errors import AixgoError, ConfigError, DeadlineExceeded
from aixgo.ledger import Ledger, Usage
from aixgo.message import JSONValue, Message

__all__ = ["Outcome", "RunOptions", "run_config"]

SETTLE_TIMEOUT = 300.0  # seconds the rest of a flow may take, unless somebody said otherwise


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    reply: Message | None
    """The entry's answer; None for a flow without input."""
    exits: dict[str, list[Message]]
    """What arrived at each exit, in order."""
    agents: list[str]
    steps: list[Step]
    run_id: str
    duration_s: float
    processes: dict[str, int]
    """The process of each agent that had one of its own."""
    costs: Ledger
    """What the run cost, by line."""

    @property
    def answer(self) -> JSONValue | bytes:
        """What came out: at the exits if the flow has any, else the entry's reply."""
        found = {name: messages for name, messages in self.exits.items() if messages}
        if len(found) == 1:
            messages = next(iter(found.values()))
            if len(messages) == 1:
                return messages[0].payload
            return [_json(message) for message in messages]
        if found:
            return {name: _json_of(messages) for name, messages in found.items()}
        return self.reply.payload if self.reply is not None else None

    @property
    def metadata(self) -> dict[str, JSONValue]:
        """The reply's, with what the run cost."""
        usage = (self.reply.usage if self.reply is not None else None) or Usage()
        own = self.reply.metadata if self.reply is not None else {}
        return {**own, **usage.as_metadata()}

    @property
    def pattern(self) -> str:
        """The kind of orchestration that answered, or ""."""
        return str(self.metadata.get("pattern", ""))


async def run_config(
    config: Config,
    text: str | None,
    options: RunOptions | None = None,
    *,
    observer: Observer | None = None,
    arrived: Callable[[str, Message], None] | None = None,
    tracebacks: Tracebacks | None = None,
    costs: Ledger | None = None,
) -> Outcome:
    """Run a configuration on `text`, or without input as long as its producers go on.

    What it cost is added to `costs`, also when it fails.

    Raises:
        ConfigError: the configuration cannot be run so.
        DeadlineExceeded: the time ran out.
        AixgoError: what the entry failed with.
    """
    config.check_runnable()
    given = options or RunOptions()
    if text is None and not config.producers:
        raise ConfigError(
            f"{config.path}: there is no input, and no producer to make one; use -i TEXT, -i - or --input-file"
        )
    if text is not None and (given.duration is not None or given.overrides.count is not None):
        raise ConfigError(
            f"{config.path}: --count and --for are for producers, which make no messages when there is an input"
        )
    entries = config.entries(given.agent) if text is not None else ()
    began = time.monotonic()
    with Record(
        on=given.record,
        content=given.record_content,
        config=str(config.path),
        entry=", ".join(entries or config.producers),
        model=given.overrides.model,
        distributed=is_distributed(config, given),
    ) as record:
        async with open_run(
            config,
            given,
            producing=text is None,
            observer=observer,
            arrived=arrived,
            tracebacks=tracebacks,
            parts=record.parts,
        ) as run:
            record.prompt(text)
            work = (
                _produce(run, config, given)
                if text is None
                else _answer(run, config, given, entries, text)
            )
            try:
                reply = await _unless_lost(work, run.fleet)
            finally:
                if costs is not None:
                    costs.add(run.runtime.ledger)
            outcome = Outcome(
                reply=reply,
                exits={item.name: list(item.messages) for item in run.exits},
                agents=run.progress.agents or list(config.names),
                steps=run.progress.steps,
                run_id=record.run_id,
                duration_s=time.monotonic() - began,
                processes=run.fleet.processes if run.fleet is not None else {},
                costs=run.runtime.ledger,
            )
            record.conclude(reply, outcome.pattern)
        return outcome


async def _answer(
    run: Run, config: Config, options: RunOptions, entries: Sequence[str], text: str
) -> Message:
    """Call the entries, pass their replies on along their outputs, and wait until all is quiet."""
    message = Message(text, source="user")

    async def one(name: str) -> Message:
        return await run.runtime.call(name, message, timeout=options.timeout, budget=options.budget)

    async with _deadline(options.timeout, ", ".join(entries)):
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(name)) for name in entries]
        except* AixgoError as failed:
            first = failed.exceptions[0]
        else:
            replies = {name: task.result() for name, task in zip(entries, tasks, strict=True)}
            passed_on = False
            for name, reply in replies.items():
                for target in _outputs(config, name):
                    await run.runtime.send(target, reply, source=name)
                    passed_on = True
            if passed_on:
                await run.settle()
                _check_delivered(run)
            return _joined(replies)
    raise first


async def _produce(run: Run, config: Config, options: RunOptions) -> None:
    """Let the producers go on until they are done or the time is up, then finish what they began."""
    try:
        async with asyncio.timeout(options.duration):
            await run.settle()
    except TimeoutError:
        await run.end_producers(config.producers)
        async with _deadline(options.timeout, "the flow"):
            await run.settle()
    _check_delivered(run)


def _check_delivered(run: Run) -> None:
    """Raise the first failure of a sent message that nobody else has seen."""
    for letter in run.runtime.dead_letters:
        raise letter.error


@asynccontextmanager
async def _deadline(seconds: float | None, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(SETTLE_TIMEOUT if seconds is None else seconds + STOP_GRACE):
            yield
    except TimeoutError as exc:
        if isinstance(exc, AixgoError):
            raise
        raise DeadlineExceeded(what) from exc


async def _unless_lost(
    work: Coroutine[None, None, Message | None], fleet: Fleet | None
) -> Message | None:
    """The result of `work`, unless a process it needs ends before."""
    if fleet is None:
        return await work
    task = asyncio.create_task(work, name="aixgo-run")  # noqa: TID251 - awaited below
    try:
        await asyncio.wait((task, fleet.lost), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise fleet.lost.result()
        return task.result()
    except AixgoError as exc:
        reason = await fleet.reason(exc)
        if reason is exc:
            raise
        raise reason from exc
    finally:
        task.cancel()
        await asyncio.wait((task,))


def _outputs(config: Config, name: str) -> tuple[str, ...]:
    listed = {entry.name: entry.outputs for entry in config.agents}
    listed |= {entry.name: entry.outputs for entry in config.orchestrations}
    return listed.get(name, ())


def _joined(replies: dict[str, Message]) -> Message:
    """The only reply, or one message with the payload of each."""
    if len(replies) == 1:
        return next(iter(replies.values()))
    usage = Usage()
    for reply in replies.values():
        usage.add(reply.usage)
    joined = Message({name: _json(reply) for name, reply in replies.items()})
    return joined.delivered("", usage)


def _json_of(messages: Sequence[Message]) -> JSONValue:
    return _json(messages[0]) if len(messages) == 1 else [_json(message) for message in messages]


def _json(message: Message) -> JSONValue:
    payload = message.payload
    return payload.decode(errors="replace") if isinstance(payload, bytes) else payload
