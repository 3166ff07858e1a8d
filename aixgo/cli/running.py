"""One run of a configuration, in this process or with a process per agent.

`open_run` brings up what the run needs; `run_config` gives it an input, follows the answer along the
outputs, and collects what comes out. Below: config, the runtimes, fleet. Above: `aixgo run`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aixgo.cli.fleet import START_TIMEOUT, Fleet
from aixgo.cli.logs import Tracebacks
from aixgo.cli.progress import Observer, Progress, Step
from aixgo.cli.record import Record
from aixgo.config import Config, Overrides, assemble, call_policies, place, wire_options
from aixgo.errors import AixgoError, ConfigError, DeadlineExceeded, Unavailable
from aixgo.ledger import Budget, Ledger, Usage
from aixgo.message import JSONValue, Message
from aixgo.runtime.base import Runtime
from aixgo.runtime.distributed import DistributedRuntime
from aixgo.runtime.local import LocalRuntime

__all__ = ["Exit", "Outcome", "Run", "RunOptions", "open_run", "run_config"]

STOP_GRACE = 5.0  # seconds calls may still take when a run ends
SETTLE_TIMEOUT = 300.0  # seconds the rest of a flow may take, unless somebody said otherwise
POLL = 0.02  # seconds between two questions whether a flow still has work
EXIT_KEPT = 10_000  # messages of one exit, the newest ones


@dataclass(slots=True, frozen=True, kw_only=True)
class RunOptions:
    """How a configuration is run."""

    agent: str = ""
    """The entry, if not the file's own."""
    timeout: float | None = None
    """Seconds the answer may take."""
    duration: float | None = None
    """Seconds a flow with producers goes on."""
    budget: Budget | None = None
    distributed: bool = False
    overrides: Overrides = field(default_factory=Overrides)
    flags: tuple[str, ...] = ()
    """What child processes are started with besides."""
    record: bool = False
    """Whether its events are kept in the user's state directory."""
    record_content: bool = False
    """Whether inputs, answers and what tools were told are among them."""


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


class Exit:
    """Where a flow ends: an agent of the run that keeps what it is sent."""

    role = "exit"

    def __init__(self, name: str, arrived: Callable[[str, Message], None] | None = None) -> None:
        self.name = name
        self.messages: deque[Message] = deque(maxlen=EXIT_KEPT)
        self._arrived = arrived

    async def execute(self, message: Message) -> Message:
        """Keep `message`."""
        self.messages.append(message)
        if self._arrived is not None:
            self._arrived(self.name, message)
        return message


@dataclass(slots=True, kw_only=True)
class Run:
    """What `open_run` brought up."""

    runtime: Runtime
    exits: list[Exit]
    progress: Progress
    fleet: Fleet | None = None

    async def settle(self) -> None:
        """Return once no agent anywhere has a message left to work on."""
        idle = 0  # one look does not do: a message may have moved behind our back
        while idle < 2:
            idle = idle + 1 if await self.runtime.pending() == 0 else 0
            await asyncio.sleep(POLL)

    async def end_producers(self, names: Sequence[str]) -> None:
        """Have nothing more produced."""
        if self.fleet is not None:
            for name in names:
                if isinstance(self.runtime, DistributedRuntime):
                    await self.runtime.disconnect(name)
            await self.fleet.end(names)
            return
        for name in names:
            await self.runtime.unregister(name)


@asynccontextmanager
async def open_run(
    config: Config,
    options: RunOptions,
    *,
    producing: bool,
    observer: Observer | None = None,
    arrived: Callable[[str, Message], None] | None = None,
    tracebacks: Tracebacks | None = None,
    parts: Path | None = None,
) -> AsyncIterator[Run]:
    """A running runtime for a configuration, and its processes if it is to have any.

    Args:
        config: what to run.
        options: how.
        producing: whether producers are part of it.
        observer: told of every call.
        arrived: told of every message at an exit.
        tracebacks: keeps what agents in other processes logged about their errors.
        parts: a folder for the events of other processes, if they are recorded.

    Raises:
        ConfigError: the configuration cannot be run.
        Unavailable: a process did not start.
    """
    progress = Progress(observer)
    exits = [Exit(name, arrived) for name in config.exits]
    peers = config.deployment.peers
    producers = set(config.producers)
    leaves = [
        entry.name
        for entry in config.agents
        if entry.name not in peers and (producing or entry.name not in producers)
    ]
    entry_names = [o.name for o in config.orchestrations if o.name not in peers]
    policies = call_policies(config)
    if not _is_distributed(config, options):
        placed = assemble(config, only={*leaves, *entry_names}, overrides=options.overrides)
        runtime: Runtime = (
            DistributedRuntime(
                peers=peers,
                **wire_options(config.deployment),
                middleware=[progress.watch, *policies],
                stop_grace=STOP_GRACE,
            )
            if peers
            else LocalRuntime(middleware=[progress.watch, *policies], stop_grace=STOP_GRACE)
        )
        for item in exits:
            await runtime.register(item)
        await place(runtime, placed)
        async with runtime:
            yield Run(runtime=runtime, exits=exits, progress=progress)
        return
    placed = assemble(config, only=entry_names, overrides=options.overrides)
    flags = (*options.flags, "--record-content") if options.record_content else options.flags
    async with Fleet(config, leaves, flags, tracebacks or Tracebacks(), record=parts) as fleet:
        runtime = DistributedRuntime(
            peers={**peers, **fleet.peers},
            address=fleet.entry_address,
            **wire_options(config.deployment),
            middleware=[progress.watch, *policies],
            stop_grace=STOP_GRACE,
        )
        for item in exits:
            await runtime.register(item)
        await place(runtime, placed)
        async with runtime:
            await fleet.start([*entry_names, *config.exits])
            await _until_healthy(runtime, fleet)
            yield Run(runtime=runtime, exits=exits, progress=progress, fleet=fleet)


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
        distributed=_is_distributed(config, given),
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


def _is_distributed(config: Config, options: RunOptions) -> bool:
    return options.distributed or config.deployment.mode == "distributed"


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
                    await run.runtime.send(target, reply)
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


async def _until_healthy(runtime: Runtime, fleet: Fleet) -> None:
    """Return once every process answers health checks for its agent."""
    states: dict[str, str] = {}
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while True:
                health = await runtime.health()
                states = {name: health["agents"].get(name, "unknown") for name in fleet.peers}
                if all(state == "ready" for state in states.values()):
                    return
                if fleet.lost.done():
                    raise fleet.lost.result()
                await asyncio.sleep(POLL)
    except TimeoutError as exc:
        name, state = next((n, s) for n, s in states.items() if s != "ready")
        raise Unavailable(name, f"its process is {state} after {START_TIMEOUT:g} s") from exc


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
