"""The runs of one user: a folder with a file of events per run, in the user's state directory.

The folder is private to its owner, and the newest runs are kept. A run's id begins with the time it was
made, so the names are in order. Below: files. Above: cli.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from aixgo.errors import ConfigError, nearest
from aixgo.sessions.events import (
    ErrorRaised,
    Event,
    RunCancelled,
    RunCompleted,
    RunStarted,
    decode_event,
)
from aixgo.sessions.files import EventFile, is_written, parts_of, read_events

__all__ = ["KEPT", "SHORT", "RunFolder", "Summary", "state_dir", "summarise"]

KEPT = 100  # runs, the newest ones
SHORT = 8  # digits at the end of a run's id that tell it from others
TAIL = 64 * 1024  # bytes at the end of a file that hold its last event, unless content is recorded


def state_dir() -> Path:
    """Where aixgo keeps what it writes for this user: `AIXGO_STATE_DIR`, else as the platform has it."""
    own = os.environ.get("AIXGO_STATE_DIR")
    if own:
        return Path(own).expanduser()
    xdg = os.environ.get("XDG_STATE_HOME", "")
    if Path(xdg).is_absolute():  # the specification says to ignore any other
        return Path(xdg) / "aixgo"
    try:
        home = Path.home()
    except RuntimeError as exc:
        raise ConfigError("this user has no home directory; set AIXGO_STATE_DIR") from exc
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "aixgo"
    return home / ".local" / "state" / "aixgo"


@dataclass(slots=True, frozen=True, kw_only=True)
class Summary:
    """A run in a line."""

    run_id: str
    path: Path
    began: float
    """Unix seconds."""
    config: str = ""
    entry: str = ""
    status: str = ""
    """`ok`, `failed`, `cancelled`, `running`, `killed`, or `unreadable`."""
    error: str = ""
    duration_ms: float | None = None
    cost_nanos: int = 0
    tokens: int = 0


class RunFolder:
    """The files of a user's runs."""

    def __init__(self, state: Path | None = None) -> None:
        self.path = (state or state_dir()) / "runs"

    def begin(self, run_id: str) -> EventFile:
        """A file for a new run. The oldest that are too many are removed.

        Raises:
            ConfigError: it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            file = EventFile(self._file(run_id), run_id)
        except OSError as exc:
            raise ConfigError(f"{exc.filename or self.path}: {exc.strerror}") from exc
        self._prune()
        return file

    def files(self) -> list[Path]:
        """The files, newest first.

        Raises:
            ConfigError: the folder cannot be read.
        """
        try:
            return sorted(self.path.glob("*.jsonl"), reverse=True) if self._there() else []
        except OSError as exc:
            raise ConfigError(f"{self.path}: {exc.strerror}") from exc

    def summaries(self, limit: int) -> list[Summary]:
        """The newest `limit` runs, newest first; a file that cannot be read is one too."""
        return [summarise(path) for path in self.files()[:limit]]

    def find(self, name: str) -> Path:
        """The file of a run: `last`, a path, an id, or the last digits of one.

        Raises:
            ConfigError: there is no such run, or more than one.
        """
        if os.sep in name or name.endswith(".jsonl"):
            return Path(name)
        files = self.files()
        if name == "last":
            if not files:
                raise ConfigError(f"no run is recorded in {self.path}; `aixgo run` records one")
            return files[0]
        found = [path for path in files if path.stem.endswith(name)] if name else []
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(path.stem for path in found[:5])
            raise ConfigError(f"{len(found)} runs end with {name!r}; write more of one: {listed}")
        if Path(name).is_file():
            return Path(name)
        short = nearest(name, [path.stem[-SHORT:] for path in files])
        near = short or nearest(name, [path.stem for path in files])
        hint = f"did you mean {near!r}?" if near else "`aixgo runs` lists those there are"
        raise ConfigError(f"no run is called {name!r}; {hint}")

    def _there(self) -> bool:
        """Whether there is a folder; a file in its place is an error."""
        try:
            os.scandir(self.path).close()
        except FileNotFoundError:
            return False
        return True

    def _file(self, run_id: str) -> Path:
        return self.path / f"{run_id}.jsonl"

    def _prune(self) -> None:
        with contextlib.suppress(ConfigError, OSError):
            for path in self.files()[KEPT:]:
                if not is_written(path):
                    shutil.rmtree(parts_of(path), ignore_errors=True)
                    path.unlink(missing_ok=True)


def summarise(path: Path) -> Summary:
    """What the first lines and the last one of a file say; the whole is read only if that does not do."""
    try:
        first, last = _ends(path)
    except (OSError, ValueError, ConfigError):
        first, last = None, None
    began = _began(path.stem)
    if first is None:
        return Summary(run_id=path.stem, path=path, began=began, status="unreadable")
    duration_ms, cost, tokens, error = None, 0, 0, ""
    if isinstance(last, RunCompleted | RunCancelled | ErrorRaised) and last.run_id == first.run_id:
        status = {RunCompleted: "ok", RunCancelled: "cancelled", ErrorRaised: "failed"}[type(last)]
        error = last.error_type if isinstance(last, ErrorRaised) else ""
        duration_ms, usage = last.duration_ms, last.usage.usage
        cost, tokens = usage.cost_nanos, usage.tokens_total
    else:
        status = "running" if is_written(path) else "killed"
    return Summary(
        run_id=first.run_id,
        path=path,
        began=first.time,
        config=first.config,
        entry=first.agent,
        status=status,
        error=error,
        duration_ms=duration_ms,
        cost_nanos=cost,
        tokens=tokens,
    )


def _ends(path: Path) -> tuple[RunStarted | None, Event | None]:
    """The event the run began with, and the last one there is."""
    with path.open("rb") as file:
        head = [file.readline(TAIL), file.readline(TAIL)]
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        tail = file.read().splitlines(keepends=True)
    whole = len(head[0]) < TAIL and head[1].endswith(b"\n") and tail[-1].endswith(b"\n")
    if whole and (len(tail) > 1 or size <= TAIL):
        first, last = decode_event(head[1]), decode_event(tail[-1])
    else:
        events = read_events(path).events
        first, last = (events[0], events[-1]) if events else (None, None)
    return (first if isinstance(first, RunStarted) else None), last


def _began(run_id: str) -> float:
    """When an id was made, as far as it says."""
    try:
        return int(run_id[:16], 16) / 1e9
    except ValueError:
        return 0.0
