"""The folder of a run: its own, gone with it, and removed by the next run if it was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aixgo.cli.private import private_folder

HOLDS = "from aixgo.cli.private import private_folder as p\nwith p() as f:\n print(f, flush=True)\n input()"


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where such folders are made."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as name:
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def test_it_is_ours_alone_and_gone_afterwards(temporary: Path) -> None:
    with private_folder() as folder:
        assert Path(folder).parent == temporary
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        (Path(folder) / "0").touch()
    assert list(temporary.iterdir()) == []


def test_one_whose_run_was_killed_goes_with_the_next_and_one_in_use_stays(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        with private_folder():
            assert folder.exists()
        other.kill()
        other.wait(10)
        assert folder.exists()
        with private_folder() as mine:
            assert [path.name for path in temporary.iterdir()] == [Path(mine).name]


def test_a_folder_that_is_no_run_s_is_left_alone(temporary: Path) -> None:
    (temporary / "aixgo-notes").mkdir()
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".owner").touch()
    (temporary / "aixgo-link").symlink_to(elsewhere)
    with private_folder():
        pass
    assert {path.name for path in temporary.iterdir()} == {"aixgo-notes", "aixgo-link", "elsewhere"}
    assert (elsewhere / ".owner").exists()


def test_a_long_path_is_none_for_sockets(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / ("x" * 80)))
    with private_folder() as folder:
        assert Path(folder).parent == Path("/tmp")
