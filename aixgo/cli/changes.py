"""Which files changed: a look at their times and sizes, again and again.

Polling, because it needs no package and works on every file system, network mounts and containers included;
what it costs is bounded by the number of files looked at.

Below: errors. Above: dev.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from aixgo.errors import ConfigError

__all__ = ["Changes"]

POLL = 0.3  # seconds between two looks
MAX_FILES = 5_000
SUFFIXES = (".py", ".yaml", ".yml", ".md", ".json", ".toml", ".txt")
SKIPPED = frozenset(("node_modules", "__pycache__", "venv"))

Seen = dict[str, tuple[int, int]]


class Changes:
    """The files below `folders` that agents are made of, and what changed since they were looked at last.

    Raises:
        ConfigError: there are too many of them, or a folder is none.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve() for folder in folders]
        for folder in self._folders:
            if not folder.is_dir():
                raise ConfigError(f"{folder}: there is no such folder to watch")
        self._seen = self._look()

    def look_also_in(self, folders: Sequence[Path]) -> None:
        """Look at these folders too; what is in them now has not changed."""
        new = [folder for folder in folders if folder not in self._folders]
        if new:
            self._folders += new
            self._seen = self._look() | self._seen

    async def wait(self) -> list[str]:
        """The files that changed, once nothing has changed between two looks."""
        changed: set[str] = set()
        while True:
            await asyncio.sleep(POLL)
            seen = await asyncio.to_thread(self._look)
            differing = {
                path
                for path in self._seen.keys() | seen.keys()
                if self._seen.get(path) != seen.get(path)
            }
            self._seen = seen
            changed |= differing
            if changed and not differing:
                return sorted(changed)

    def _look(self) -> Seen:
        seen: Seen = {}
        for folder in self._folders:
            for path, stat in _files(folder):
                seen[path] = (stat.st_mtime_ns, stat.st_size)
                if len(seen) > MAX_FILES:
                    raise ConfigError(
                        f"{folder}: more than {MAX_FILES} files to watch; "
                        "put the configuration into a folder of its own"
                    )
        return seen


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    pending = [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                listed = list(entries)
        except OSError:  # it went meanwhile
            continue
        for entry in listed:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith(".") and entry.name not in SKIPPED:
                        pending.append(entry.path)
                elif entry.name.endswith(SUFFIXES):
                    yield entry.path, entry.stat()
            except OSError:
                continue
