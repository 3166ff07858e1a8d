"""`aixgo index` as a process: its bar on a terminal, and what Ctrl-C leaves."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aixgo.cli.invocation import INTERRUPTED
from aixgo.retrieval import Index, SqliteStore
from tests.e2e.commands import TIMEOUT, environment

WORDS = " ".join(f"word{i} of many" for i in range(1_500))
COMMAND = (sys.executable, "-m", "aixgo", "index", "docs")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for i in range(150):
        (tmp_path / "docs" / f"{i:03}.txt").write_text(f"Page {i}. {WORDS}")
    return tmp_path / "docs"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    for end in (ours, theirs):
        os.close(end)


@contextmanager
def started(docs: Path, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        COMMAND,
        cwd=docs.parent,
        env=environment(TERM="xterm"),
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(ours: int, wanted: bytes) -> bytes:
    """What the terminal shows, until that matches."""
    shown = b""
    while not re.search(wanted, shown):
        ready, _, _ = select.select([ours], [], [], TIMEOUT)
        assert ready, shown
        shown += os.read(ours, 4096)
    return shown


def test_a_terminal_shows_how_far_it_is_and_ctrl_c_leaves_an_index_that_works(
    docs: Path, terminal: tuple[int, int]
) -> None:
    ours, theirs = terminal
    with started(docs, theirs) as process:
        assert b"indexing" in read_until(ours, rb"[1-9]\d?%")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, out) == (INTERRUPTED, b"")

    async def look() -> tuple[int, list[str]]:
        async with Index(SqliteStore(docs.parent / "index.db", create=False)) as index:
            hits = await index.search("page 0", 1, mode="keyword")
            return len(await index.documents()), [hit.id for hit in hits]

    count, best = asyncio.run(look())
    assert 1 <= count < 150
    assert best == ["000.txt#0"]

    for file in sorted(docs.iterdir())[3:]:
        file.unlink()
    again = subprocess.run(
        COMMAND,
        cwd=docs.parent,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert again.stdout.startswith("index.db: 3 documents"), again.stderr
    assert again.stderr == ""  # no bar where nobody looks
    assert asyncio.run(look())[0] == 3
