"""One process per agent: started for a run, watched during it, ended with it.

Each child is `aixgo serve CONFIG --agent NAME` on a unix socket in a private folder, and is told where
all the others are. It leads its own session, so that Ctrl-C reaches only us, and it ends when its
standard input closes, so that it does not outlive us whatever happens to us.

Below: config, logs, private. Above: running.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import sysconfig
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import aixgo
from aixgo.cli.logs import (
    ERROR_ID,
    LINE_HEAD,
    Tracebacks,
    from_process,
    in_json,
    read_json,
)
from aixgo.cli.private import private_folder
from aixgo.config import Config
from aixgo.errors import AixgoError, ConfigError, Unavailable
from aixgo.runtime.binding import start_levels

__all__ = ["Child", "Fleet"]

START_TIMEOUT = 30.0  # seconds until every child takes calls
STOP_TIMEOUT = 5.0  # seconds a child may take to drain before it is killed
NOTICE = 0.5  # seconds between a call that failed and the news that its process ended
LONGEST_LINE = 1024 * 1024  # bytes of a child's output
LAST_WORDS = 20  # lines kept of what a child wrote before it ended
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # of a terminal, none of them red


class Child:
    """One process, the agents it serves at one address, and what it writes."""

    def __init__(
        self,
        names: Sequence[str],
        address: str,
        tracebacks: Tracebacks | None,
        label: str,
        record: Path | None = None,
    ) -> None:
        self.names = tuple(names)
        self.name = ", ".join(names)
        self.address = address
        self.record = record
        """The file for its events, if they are recorded."""
        self._label = label
        self.process: asyncio.subprocess.Process | None = None
        self.serving = asyncio.Event()
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self._tracebacks = tracebacks

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
            limit=LONGEST_LINE,
        )

    async def attend(self) -> int:
        """Pass on what it writes until it ends; gives its exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_output(self.process.stdout))
            group.create_task(self._read_log(self.process.stderr))
        return await self.process.wait()

    async def stop(self) -> None:
        """Let it drain, then end it; harmless when it ended already."""
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    async def _read_output(self, output: asyncio.StreamReader) -> None:
        while line := await _line(output):
            if not self.serving.is_set():
                self.serving.set()  # its first line says where it serves
            else:
                self._show(line)

    async def _read_log(self, log: asyncio.StreamReader) -> None:
        head, held = "", list[str]()
        keep = self._tracebacks
        while line := await _line(log):
            said = read_json(line)
            self.last_words.append(str(said["message"]) if said else line.rstrip("\n"))
            if keep is None or said is not None:
                self._show(line)
            elif LINE_HEAD.match(line):
                keep.keep(head, "".join(held).rstrip())
                head, held = line, []
                self._show(line)
            elif ERROR_ID.search(head):
                held.append(line)
                # The caller may have the error already: what there is so far can be found at once.
                keep.keep(head, "".join(held).rstrip())
            else:
                self._show(line)

    def _show(self, line: str) -> None:
        if in_json():
            print(from_process(line, self.name), file=sys.stderr)
        else:
            print(f"{self._label} {line}", end="", file=sys.stderr)


class Fleet:
    """The processes of a run: `async with Fleet(...)`, then `start`. Leaving ends them all.

    `peers` says where each agent will be, before any of them runs.

    Args:
        config: what the processes serve.
        names: agents that get a process each.
        flags: what each process is started with besides.
        tracebacks: keeps what they log about errors of agents; None shows that too.
        front: orchestrations that share one more process, which listens at `front_address`.
    """

    def __init__(
        self,
        config: Config,
        names: Iterable[str],
        flags: Sequence[str],
        tracebacks: Tracebacks | None,
        *,
        front: Sequence[str] = (),
        front_address: str = "",
        record: Path | None = None,
    ) -> None:
        self._config = config
        self._names = list(names)
        self._front = tuple(front)
        self._front_address = front_address
        self._flags = list(flags)
        self._tracebacks = tracebacks
        self._record = record
        self._folder = ""
        self._holding = contextlib.ExitStack()
        self._children: list[Child] = []
        self._watches: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.lost: asyncio.Future[Unavailable | ConfigError] = (
            asyncio.get_running_loop().create_future()
        )
        """Why the run cannot go on, once a process has ended that should not have."""

    async def __aenter__(self) -> Self:
        self._folder = self._holding.enter_context(private_folder())
        self._children = [
            Child(
                [name],
                f"unix:{self._folder}/{number}",
                self._tracebacks,
                _label(name, number),
                self._record / f"{number}.jsonl" if self._record is not None else None,
            )
            for number, name in enumerate(self._names)
        ]
        if self._front:
            label = _label(", ".join(self._front), len(self._names))
            self._children.append(Child(self._front, self._front_address, self._tracebacks, label))
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.stop()
        finally:
            for child in self._children:
                child.kill()  # only if we were interrupted while they drained
            self._holding.close()

    @property
    def entry_address(self) -> str:
        """Where the entry serves what it hosts to the children."""
        return f"unix:{self._folder}/entry"

    @property
    def peers(self) -> dict[str, str]:
        """Each agent's address."""
        return {name: child.address for child in self._children for name in child.names}

    @property
    def processes(self) -> dict[str, int]:
        """Each agent's process id."""
        return {
            name: child.process.pid
            for child in self._children
            if child.process is not None
            for name in child.names
        }

    async def start(self, at_entry: Iterable[str]) -> None:
        """Start the processes, `depends_on` first and producers last, and wait until they serve.

        Raises:
            ConfigError: a process says the configuration is wrong.
            Unavailable: a process ended, or did not serve in time.
        """
        here = dict.fromkeys(at_entry, self.entry_address)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                for level in self._levels():
                    for child in level:
                        await child.start(self._command(child, here), _environment())
                        self._watch(child)
                    for child in level:
                        await self._until_serving(child)
        except TimeoutError as exc:
            late = next(child for child in self._children if not child.serving.is_set())
            raise Unavailable(
                late.name, f"its process did not serve in {START_TIMEOUT:g} s"
            ) from exc

    async def end(self, names: Iterable[str]) -> None:
        """End some of the processes: their part of the run is over."""
        leaving = [child for child in self._children if not set(child.names).isdisjoint(names)]
        for child in leaving:
            self._children.remove(child)
        await asyncio.gather(*(child.stop() for child in leaving))

    async def stop(self) -> None:
        """End all processes. Doing it twice is fine."""
        self._stopping = True
        await asyncio.gather(*(child.stop() for child in self._children))
        if self._watches:
            await asyncio.wait(self._watches)

    async def reason(self, error: AixgoError) -> AixgoError:
        """Why a call failed: a process that ended meanwhile says more than the broken connection."""
        if isinstance(error, Unavailable):
            await asyncio.wait((self.lost,), timeout=NOTICE)
        return self.lost.result() if self.lost.done() else error

    def _levels(self) -> list[list[Child]]:
        by_name = {c.name: c for c in self._children if c.names != self._front}
        front = [[child] for child in self._children if child.names == self._front]
        entries = [self._config.agent(name) for name in by_name]
        needs = {entry.name: entry.depends_on for entry in entries if entry is not None}
        levels = start_levels(
            needs, elsewhere={*self._config.names, *self._config.deployment.peers}
        )
        producers = set(self._config.producers)
        quiet = [[by_name[name] for name in level if name not in producers] for level in levels]
        last = [by_name[name] for level in levels for name in level if name in producers]
        return [*quiet, *front, last]

    def _command(self, child: Child, here: Mapping[str, str]) -> list[str]:
        # `-m` would look for modules in the current folder first; a child imports what its parent does.
        safe = [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
        command = [sys.executable, *safe, "-m", "aixgo", "serve", str(self._config.path.resolve())]
        command += ["--address", child.address, "--follow-stdin"]
        for name in child.names:
            command += ["--agent", name]
        if child.record is not None:
            command += ["--record", str(child.record)]
        for name, address in {**self.peers, **here}.items():
            if name not in child.names:
                command += ["--peer", f"{name}={address}"]
        return command + self._flags

    def _watch(self, child: Child) -> None:
        task = asyncio.create_task(  # noqa: TID251 - awaited in `stop`
            self._attend(child), name=f"aixgo-child-{child.name}"
        )
        self._watches.add(task)

    async def _attend(self, child: Child) -> None:
        code = await child.attend()
        if self._stopping or child not in self._children or self.lost.done():
            return
        words = [line.removeprefix("error: ") for line in child.last_words]
        if code == 1 and not child.serving.is_set() and words:
            self.lost.set_result(ConfigError("\n".join(words)))
        else:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self.lost.set_result(
                Unavailable(child.name, f"its process ended with {how}", "unknown")
            )

    async def _until_serving(self, child: Child) -> None:
        waiting = asyncio.create_task(child.serving.wait())  # noqa: TID251 - ended below
        try:
            await asyncio.wait((waiting, self.lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self.lost.done():
            raise self.lost.result()


def _label(name: str, number: int) -> str:
    """What stands before each line a process writes; in a colour of its own on a terminal."""
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        return f"[{name}]"
    return f"\x1b[{COLOURS[number % len(COLOURS)]}m[{name}]\x1b[0m"


async def _line(stream: asyncio.StreamReader) -> str:
    """The next line, or "" at the end; one that is too long is shown cut."""
    try:
        raw = await stream.readline()
    except ValueError:  # it exceeded the limit, and the reader dropped it
        return "(a line too long to show)\n"
    return raw.decode(errors="replace")


def _environment() -> dict[str, str]:
    """Ours, and the folder aixgo is imported from, unless every interpreter looks there anyway."""
    environment = dict(os.environ)
    source = str(Path(aixgo.__file__).resolve().parents[1])
    if source not in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (source, inherited)))
    return environment
