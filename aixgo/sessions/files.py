"""A run's events in a file: one JSON object per line, below a first line that says what the file is.

The writer never makes a run wait: what it is given goes into a bounded buffer that a thread of its own writes
out at once, so that a run that is killed leaves what happened until then. The reader takes such a file: a last
line that was cut off is reported, not refused. While a file is written it is locked, which tells a run that goes
on from one that was killed. Events of the run's other processes lie beside it, in a folder of parts, until
the end brings all into one file.

Below: events. Above: runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from aixgo import __version__
from aixgo.errors import ConfigError
from aixgo.message import NOT_JSON
from aixgo.sessions.events import Event, EventsDropped, as_time, decode_event, encode_event

__all__ = [
    "FORMAT",
    "EventFile",
    "Header",
    "Recorded",
    "is_written",
    "parts_of",
    "read_events",
    "read_parts",
]

FORMAT = 1
"""The version of the files written here; one more when an older reader could not make sense of them."""

MAX_WAITING = 16 * 1024 * 1024  # bytes that wait for the disk
MAX_FILE = 256 * 1024 * 1024  # bytes of one file
MAX_LINE = 16 * 1024 * 1024  # bytes
CLOSE_TIMEOUT = 2.0  # seconds the end of a run waits for the disk

log = logging.getLogger("aixgo.runs")


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line of a file."""

    aixgo_events: int = msgspec.field()
    """The format's version."""
    run_id: str
    aixgo: str = ""
    """The version of aixgo that wrote it."""
    process: int = 0


class EventFile:
    """A new file that events are written to, readable by its owner only; use it from one thread.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(
        self, path: Path, run_id: str, *, max_waiting: int = MAX_WAITING, max_file: int = MAX_FILE
    ) -> None:
        self.path = path
        self.dropped = 0
        """Events that were not written."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._max_waiting = max_waiting
        self._max_file = max_file
        self._written = 0
        self._waiting: list[bytes] = []
        self._size = 0
        self._last: bytes | None = None
        self._parts: Path | None = None
        self._closing = False
        self._failed = False
        self._warned = False
        self._ready = threading.Condition()
        header = Header(aixgo_events=FORMAT, run_id=run_id, aixgo=__version__, process=os.getpid())
        self._waiting.append(msgspec.json.encode(header) + b"\n")
        self._thread = threading.Thread(target=self._work, name="aixgo-events", daemon=True)
        self._thread.start()

    def write(self, event: Event) -> None:
        """Have `event` written soon. Never waits and never fails: what cannot be written is counted."""
        try:
            line = encode_event(event) + b"\n"
        except ValueError:  # text that is no Unicode
            self._drop("it holds text that is not valid Unicode")
            return
        with self._ready:
            if self._closing or self._failed:
                self.dropped += 1
                return
            if self._size + len(line) <= self._max_waiting:
                self._waiting.append(line)
                self._size += len(line)
                self._ready.notify()
                return
        self._drop("the disk is too slow")

    def close(
        self,
        last: Event | None = None,
        parts: Path | None = None,
        *,
        timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        """Write what waits, take in what other processes left in `parts`, end with `last`. Twice is fine.

        Raises nothing; if the disk does not follow within `timeout` seconds, that is a warning.
        """
        with self._ready:
            if not self._closing:
                self._last = None if last is None else encode_event(last) + b"\n"
                self._parts = parts
            self._closing = True
            self._ready.notify()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._warn("the disk is too slow")

    def _drop(self, why: str) -> None:
        self.dropped += 1
        self._warn(why)

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("the record of this run is incomplete: %s: %s", self.path, why)

    # -- in the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            closing = False
            while not closing:
                with self._ready:
                    while not (self._waiting or self._closing):
                        self._ready.wait()
                    lines, self._waiting, self._size = self._waiting, [], 0
                    closing = self._closing
                self._store(b"".join(lines), len(lines))
            self._finish()
        finally:
            os.close(self._file)

    def _finish(self) -> None:
        for part in _parts(self._parts):
            self._take_in(part)
        if self.dropped:
            gap = EventsDropped(timestamp=as_time(time.time()), count=self.dropped)
            self._store(encode_event(gap) + b"\n", 0, always=True)
        if self._last is not None:
            self._store(self._last, 0, always=True)
        if self._parts is not None and not self._failed:
            shutil.rmtree(self._parts, ignore_errors=True)

    def _take_in(self, part: Path) -> None:
        try:
            with part.open("rb") as file:
                file.readline(MAX_LINE)  # its header
                for line in _lines(file):
                    if line.endswith(b"\n"):
                        self._store(line, 1)
        except OSError as exc:
            self._warn(f"{part.name}: {exc.strerror}")

    def _store(self, data: bytes, count: int, *, always: bool = False) -> None:
        """Write whole lines; after a failure nothing more, so that what is there stays readable."""
        if self._failed or (self._written + len(data) > self._max_file and not always):
            self.dropped += count
            if not self._failed:
                self._warn(f"it may hold {self._max_file:,} bytes")
            return
        try:
            _write_all(self._file, data)
            self._written += len(data)
        except OSError as exc:
            self._failed = True
            self.dropped += count
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._written)
            self._warn(exc.strerror or "it cannot be written")


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What a file, and the parts beside it, say."""

    path: Path
    header: Header
    events: list[Event]
    """In the order of their time."""
    running: bool
    """Whether somebody still writes it."""
    notes: list[str] = field(default_factory=list)
    """What is missing or was passed over."""


def read_events(path: Path) -> Recorded:
    """The events of a run.

    Raises:
        ConfigError: it cannot be read, is no such file, or is from a newer version; the text says which.
    """
    running = is_written(path)
    events: list[Event] = []
    notes: list[str] = []
    header = _read_into(path, events, notes)
    events += read_parts(parts_of(path), notes)
    found = Recorded(path=path, header=header, events=events, running=running, notes=notes)
    unique = {event.event_id: event for event in found.events}  # a part may have been taken in
    found.events = sorted(unique.values(), key=lambda event: event.timestamp)
    if running:
        found.notes = [note for note in found.notes if "cut off" not in note]
    return found


def read_parts(folder: Path, notes: list[str]) -> list[Event]:
    """What the run's other processes have written so far; what is missing is added to `notes`."""
    events: list[Event] = []
    for part in _parts(folder):
        try:
            _read_into(part, events, notes)
        except ConfigError:
            notes.append(f"{part.name} in {folder.name} cannot be read")
    return events


def is_written(path: Path) -> bool:
    """Whether a process has the file open for writing."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def parts_of(path: Path) -> Path:
    """The folder for what the run's other processes write."""
    return path.with_suffix(".parts")


def _parts(folder: Path | None) -> list[Path]:
    try:
        return sorted(folder.iterdir()) if folder is not None else []
    except OSError:
        return []


def _read_into(path: Path, events: list[Event], notes: list[str]) -> Header:
    """The header of a file; its events and what was passed over are added to the lists."""
    unknown = set[str]()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path} is no file of events: it is no regular file")
        with path.open("rb") as file:
            header = _header(path, file.readline(MAX_LINE))
            for number, line in enumerate(_lines(file), 2):
                if not line.endswith(b"\n"):
                    notes.append(f"line {number} of {path.name} is cut off: its writer was stopped")
                    break
                try:
                    event = decode_event(line)
                except ValueError as exc:
                    raise ConfigError(f"{path}:{number}: not an event: {exc}") from exc
                if event is not None:
                    events.append(event)
                elif "events" not in unknown:
                    unknown.add("events")
                    notes.append(f"{path.name} holds events this version of aixgo does not know")
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror or 'cannot be read'}") from exc
    return header


def _header(path: Path, line: bytes) -> Header:
    try:
        raw = msgspec.json.decode(line, type=dict[str, object])
        version = raw.get("aixgo_events")
    except NOT_JSON:
        version = None
    if not isinstance(version, int) or version < 1:
        raise ConfigError(
            f"{path} is no file of events: its first line is not the header that `aixgo run` writes"
        )
    if version > FORMAT:
        raise ConfigError(
            f"{path} is of format {version}, and this aixgo ({__version__}) reads up to {FORMAT}; "
            "read it with the version that wrote it, or a newer one"
        )
    try:
        return msgspec.json.decode(line, type=Header)
    except NOT_JSON as exc:
        raise ConfigError(f"{path}:1: not a header: {exc}") from exc


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE):
        yield line


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
