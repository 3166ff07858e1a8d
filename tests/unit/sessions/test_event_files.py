"""A run's file: what is in it whenever its writer stops, and what a reader says of one that is not right."""

import asyncio
import errno
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aixgo.errors import ConfigError
from aixgo.sessions import files
from aixgo.sessions.events import (
    Event,
    EventsDropped,
    PromptReceived,
    RunCompleted,
    RunStarted,
    as_time,
    encode_event,
)
from aixgo.sessions.files import FORMAT, EventFile, is_written, parts_of, read_events

WriteHook = Callable[[int, bytes], None]


def event(number: int, text: str = "") -> Event:
    return PromptReceived(timestamp=as_time(number), run_id="r", content=text)


START = RunStarted(timestamp=as_time(0), run_id="r", agent="a")
END = RunCompleted(timestamp=as_time(100), run_id="r")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r.jsonl"


real_write = files._write_all


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[WriteHook]:
    """Writes of event files go to the hook in the list, if there is one."""
    hooks: list[WriteHook] = []

    def write(handle: int, data: bytes) -> None:
        (hooks[0] if hooks else real_write)(handle, data)

    monkeypatch.setattr(files, "_write_all", write)
    return hooks


def test_what_is_written_is_read_back_below_a_header(path: Path) -> None:
    file = EventFile(path, "r")
    for number in range(50):
        file.write(event(number))
    file.close(END)
    header = json.loads(path.read_text().splitlines()[0])
    assert (header["aixgo_events"], header["run_id"]) == (FORMAT, "r")
    recorded = read_events(path)
    assert [one.time for one in recorded.events] == [*range(50), 100]
    assert (recorded.running, recorded.notes) == (False, [])


def test_only_its_owner_may_read_it(path: Path) -> None:
    EventFile(path, "r").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_there_already_is_not_written_to(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        EventFile(path, "r")
    assert path.read_text() == "mine"


def test_closing_twice_is_fine_and_nothing_follows_the_end(path: Path) -> None:
    file = EventFile(path, "r")
    file.close(END)
    file.write(event(1))
    file.close(event(2))
    assert read_events(path).events == [END]


def test_a_file_says_whether_somebody_still_writes_it(path: Path) -> None:
    file = EventFile(path, "r")
    assert is_written(path)
    file.close()
    assert not is_written(path)
    assert not is_written(path.with_name("none"))


WRITES_AND_DIES = """
import os, signal, sys
from pathlib import Path
from aixgo.sessions import files
from aixgo.sessions.events import PromptReceived, as_time
real, count = files._write_all, 0
def write(handle, data):
    global count
    count += data.count(b"\\n")
    real(handle, data if count < 20 else data[:-9])
    if count >= 20:
        os.kill(os.getpid(), signal.SIGKILL)
files._write_all = write
file = files.EventFile(Path(sys.argv[1]), "r")
for number in range(1000):
    file.write(PromptReceived(timestamp=as_time(number), run_id="r"))
file.close()
"""


def test_a_writer_that_is_killed_in_the_middle_of_a_line_leaves_a_readable_file(
    path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITES_AND_DIES, str(path)], timeout=20, check=False
    )
    assert done.returncode == -signal.SIGKILL
    recorded = read_events(path)
    assert [one.time for one in recorded.events] == list(range(len(recorded.events)))
    assert len(recorded.events) >= 19
    assert not recorded.running
    (note,) = recorded.notes
    assert "is cut off" in note


# -- a disk that does not do ------------------------------------------------------------------------------


def test_a_full_disk_is_one_warning_and_leaves_whole_lines(
    path: Path, disk: list[WriteHook], caplog: pytest.LogCaptureFixture
) -> None:
    file = EventFile(path, "r")
    file.write(START)
    written = threading.Event()

    def full(handle: int, data: bytes) -> None:
        real_write(handle, b'{"half')
        written.set()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file.write(event(1))
    while path.stat().st_size == 0 or path.read_bytes().count(b"\n") < 3:
        os.sched_yield()
    disk.append(full)
    for number in range(2, 200):
        file.write(event(number))
    assert written.wait(5)
    file.close(END)
    assert [one.time for one in read_events(path).events] == [0, 1]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left" in caplog.text
    assert file.dropped >= 1


def test_a_disk_that_hangs_does_not_hold_up_who_writes_or_closes(
    path: Path, disk: list[WriteHook], caplog: pytest.LogCaptureFixture
) -> None:
    go_on, stuck = threading.Event(), threading.Event()

    def hang(handle: int, data: bytes) -> None:
        stuck.set()
        go_on.wait(20)

    disk.append(hang)
    file = EventFile(path, "r", max_waiting=2_000)
    try:
        assert stuck.wait(5)
        for number in range(1_000):
            file.write(event(number))
        file.close(END, timeout=0.01)
        assert file.dropped > 900
        assert [record.levelname for record in caplog.records] == ["WARNING"]
    finally:
        go_on.set()
        file.close()


def test_what_was_dropped_is_announced_at_the_end(path: Path, disk: list[WriteHook]) -> None:
    go_on, stuck = threading.Event(), threading.Event()

    def hang_once(handle: int, data: bytes) -> None:
        stuck.set()
        go_on.wait(20)
        real_write(handle, data)

    disk.append(hang_once)
    file = EventFile(path, "r", max_waiting=500)
    assert stuck.wait(5)
    for number in range(100):
        file.write(event(number))
    go_on.set()
    file.close(END)
    events = read_events(path).events
    (gap,) = [one for one in events if isinstance(one, EventsDropped)]
    assert gap.count == file.dropped == 100 - (len(events) - 2)
    assert END in events


def test_a_file_holds_so_much_and_then_only_the_end(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = EventFile(path, "r", max_file=1_000)
    for number in range(100):
        file.write(event(number, "x" * 100))
    file.close(END)
    assert path.stat().st_size < 1_000 + 500
    assert END in read_events(path).events
    assert "it may hold 1,000 bytes" in caplog.text


def test_an_event_that_no_file_can_hold_is_dropped_alone(path: Path) -> None:
    file = EventFile(path, "r")
    file.write(event(1, "\ud800"))
    file.write(event(2))
    file.close(END)
    times = [one.time for one in read_events(path).events if isinstance(one, PromptReceived)]
    assert times == [2]
    assert file.dropped == 1


async def test_writing_needs_no_turn_of_the_loop(path: Path) -> None:
    file = EventFile(path, "r")
    file.write(START)
    await asyncio.to_thread(file.close, END)
    assert read_events(path).events == [START, END]


# -- several processes ------------------------------------------------------------------------------------


def part(path: Path, name: str, *events: Event) -> Path:
    folder = parts_of(path)
    folder.mkdir(exist_ok=True)
    file = EventFile(folder / name, "r")
    for one in events:
        file.write(one)
    file.close()
    return folder / name


def test_what_other_processes_wrote_is_read_with_the_rest_in_the_order_of_time(path: Path) -> None:
    file = EventFile(path, "r")
    file.write(event(1))
    part(path, "0.jsonl", event(2))
    part(path, "1.jsonl", event(0))
    file.close()
    assert [one.time for one in read_events(path).events] == [0, 1, 2]


def test_the_end_brings_all_into_one_file(path: Path) -> None:
    file = EventFile(path, "r")
    cut = part(path, "0.jsonl", event(1), event(2))
    with cut.open("ab") as raw:
        raw.write(b'{"type":"run_st')
    file.close(END, parts_of(path))
    assert not parts_of(path).exists()
    recorded = read_events(path)
    assert [one.time for one in recorded.events] == [1, 2, 100]
    assert recorded.notes == []


def test_a_part_that_was_brought_in_and_is_still_there_counts_once(path: Path) -> None:
    one = event(1)
    file = EventFile(path, "r")
    file.write(one)
    file.close()
    part(path, "0.jsonl", one)
    assert read_events(path).events == [one]


def test_a_part_that_cannot_be_read_is_noted(path: Path) -> None:
    EventFile(path, "r").close(END)
    parts_of(path).mkdir()
    (parts_of(path) / "0.jsonl").write_text("")
    recorded = read_events(path)
    assert recorded.events == [END]
    assert recorded.notes == ["0.jsonl in r.parts cannot be read"]


# -- files that are not right -----------------------------------------------------------------------------

HEADER = json.dumps({"aixgo_events": FORMAT, "run_id": "r"}) + "\n"
LINE = encode_event(START).decode() + "\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is no file of events: its first line"),
        (b"\x7fELF\x02\x01", "is no file of events: its first line"),
        (b"hello\n", "is no file of events: its first line"),
        (LINE.encode(), "is no file of events: its first line"),
        (b'{"aixgo_events":"1"}\n', "is no file of events: its first line"),
        (b'{"aixgo_events":0}\n', "is no file of events: its first line"),
        (b'{"aixgo_events":1}\n', r":1: not a header: .*run_id"),
        (b'{"aixgo_events":2,"run_id":"r"}\n', "of format 2, and this aixgo .* reads up to 1"),
        ((HEADER + "nonsense\n" + LINE).encode(), r"r\.jsonl:2: not an event"),
        ((HEADER + LINE + '{"type":"error"}\n').encode(), r"r\.jsonl:3: not an event.*timestamp"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_with_what_and_where(
    path: Path, content: bytes, complaint: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_events(path)
    assert str(path) in str(caught.value)


def test_a_last_line_that_is_cut_off_is_reported_and_the_rest_read(path: Path) -> None:
    path.write_text(HEADER + LINE + LINE[:-20])
    recorded = read_events(path)
    assert recorded.events == [START]
    assert recorded.notes == ["line 3 of r.jsonl is cut off: its writer was stopped"]


def test_events_of_a_kind_nobody_knows_are_passed_over_and_noted(path: Path) -> None:
    path.write_text(HEADER + '{"type":"snapshot_taken"}\n{"type":"other"}\n' + LINE)
    recorded = read_events(path)
    assert recorded.events == [START]
    assert recorded.notes == ["r.jsonl holds events this version of aixgo does not know"]


def test_a_file_that_is_not_there_and_one_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none: No such file"):
        read_events(tmp_path / "none")
    with pytest.raises(ConfigError, match="is no regular file"):
        read_events(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is no regular file"):
        read_events(tmp_path / "pipe")


def test_a_warning_names_the_file(
    path: Path, disk: list[WriteHook], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(handle: int, data: bytes) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk.append(broken)
    with caplog.at_level(logging.WARNING, "aixgo.runs"):
        EventFile(path, "r").close(END)
    assert f"{path}: Input/output error" in caplog.text
