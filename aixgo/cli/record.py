"""The record of a run: its events, in a file of its own, from before it starts until after it ended.

`Record` owns the file of a whole run; `record_part` that of one of its other processes. Recording never fails
a run: what goes wrong is one warning.

Below: telemetry, sessions. Above: running, serve.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from aixgo import telemetry
from aixgo.errors import ConfigError
from aixgo.ledger import Usage
from aixgo.message import Message, new_id
from aixgo.sessions.events import (
    ErrorRaised,
    RunCancelled,
    RunCompleted,
    RunStarted,
    Spent,
    as_time,
)
from aixgo.sessions.files import EventFile, parts_of, read_parts
from aixgo.sessions.recorder import Recorder
from aixgo.sessions.runs import RunFolder

__all__ = ["Record", "record_part"]

log = logging.getLogger("aixgo.runs")


class Record:
    """The record of a whole run, for the length of a `with`; without `on` it only makes up an id.

    `conclude` says what came out; a `with` that is left before records why.
    """

    def __init__(
        self,
        *,
        on: bool,
        content: bool = False,
        config: str = "",
        entry: str = "",
        model: str = "",
        distributed: bool = False,
    ) -> None:
        self.run_id = new_id()
        self.parts: Path | None = None
        """Where the run's other processes leave their events."""
        self._on = on
        self._content = content
        self._config = config
        self._entry = entry
        self._model = model
        self._distributed = distributed
        self._file: EventFile | None = None
        self._recorder: Recorder | None = None
        self._began = 0.0
        self._outcome: RunCompleted | None = None

    def __enter__(self) -> Self:
        if not self._on:
            return self
        try:
            self._open()
        except (ConfigError, OSError) as exc:
            log.warning("this run is not recorded: %s", exc)
        return self

    def prompt(self, text: str | None) -> None:
        """Everything is up, and the input is on its way to the entry."""
        if self._recorder is not None and text is not None:
            self._recorder.prompt(text, self._model)

    def conclude(self, reply: Message | None, pattern: str = "") -> None:
        """The run has come to its end; `reply` is the answer, if there is one."""
        recorder = self._recorder
        if recorder is None:
            return
        now = time.perf_counter()
        self._outcome = RunCompleted(
            timestamp=as_time(recorder.at(now)),
            run_id=self.run_id,
            duration_ms=(now - self._began) * 1000,
            usage=Spent.of(reply.usage if reply is not None else None),
            pattern=pattern,
            content=recorder.text(reply),
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        recorder, file = self._recorder, self._file
        if recorder is None or file is None:
            return
        telemetry.remove_observer(recorder)
        last: RunCompleted | RunCancelled | ErrorRaised | None = self._outcome
        if last is None or error is not None:
            last = recorder.ending(self.run_id, self._began, error, None)
        if last.usage == Spent():  # nobody got a reply that says it
            last = msgspec.structs.replace(last, usage=Spent.of(self._spent(recorder.spent)))
        file.close(last, self.parts)

    def _spent(self, here: Usage) -> Usage:
        """What was spent here, and elsewhere on messages that nobody here sent."""
        total = Usage()
        total.add(here)
        by_nobody = set[str]()
        for event in read_parts(self.parts, []) if self.parts is not None else ():
            if isinstance(event, RunStarted):
                if event.posted or not (event.arrived or event.parent_run_id or event.parent_key):
                    by_nobody.add(event.run_id)
            elif isinstance(event, RunCompleted | RunCancelled | ErrorRaised):
                total.add(event.usage.usage if event.run_id in by_nobody else Usage())
        return total

    def _open(self) -> None:
        file = RunFolder().begin(self.run_id)
        self._file = file
        if self._distributed:
            self.parts = parts_of(file.path)
            self.parts.mkdir(mode=0o700)
        recorder = self._recorder = Recorder(file.write, self.run_id, content=self._content)
        self._began = time.perf_counter()
        file.write(
            RunStarted(
                timestamp=as_time(recorder.at(self._began)),
                run_id=self.run_id,
                agent=self._entry,
                config=self._config,
                distributed=self._distributed,
                process=os.getpid(),
            )
        )
        telemetry.add_observer(recorder)


@contextmanager
def record_part(path: Path | None, *, content: bool = False) -> Iterator[None]:
    """Record what this process does of a run into `path`, until the `with` ends; None does nothing."""
    if path is None:
        yield
        return
    run_id = path.parent.stem
    try:
        file = EventFile(path, run_id)
    except OSError as exc:
        log.warning("the record of this run is incomplete: %s: %s", path, exc.strerror)
        yield
        return
    recorder = Recorder(file.write, run_id, content=content)
    telemetry.add_observer(recorder)
    try:
        yield
    finally:
        telemetry.remove_observer(recorder)
        file.close()
