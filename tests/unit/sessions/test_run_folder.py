"""The folder of a user's runs: where it is, what it keeps, and how a run is found in it."""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from aixgo.errors import ConfigError
from aixgo.message import new_id
from aixgo.sessions.events import ErrorRaised, RunCompleted, RunStarted, Spent, as_time
from aixgo.sessions.files import parts_of
from aixgo.sessions.runs import KEPT, SHORT, RunFolder, state_dir, summarise


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "state")


def run(folder: RunFolder, *, agent: str = "a", ends: bool = True, text: str | None = None) -> str:
    """A run in the folder; gives its id."""
    run_id = new_id()
    file = folder.begin(run_id)
    file.write(RunStarted(timestamp=as_time(1), run_id=run_id, agent=agent, config="c.yaml"))
    spent = Spent(cost_nanos=2_000_000, tokens_prompt=5, tokens_completion=6)
    end = RunCompleted(
        timestamp=as_time(3), run_id=run_id, duration_ms=2000, usage=spent, content=text
    )
    file.close(end if ends else None)
    return run_id


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"AIXGO_STATE_DIR": "/own", "XDG_STATE_HOME": "/xdg"}, "linux", "/own"),
        ({"AIXGO_STATE_DIR": "~/own"}, "linux", "/h/own"),
        ({"XDG_STATE_HOME": "/xdg"}, "linux", "/xdg/aixgo"),
        ({"XDG_STATE_HOME": "/xdg"}, "darwin", "/xdg/aixgo"),
        ({"XDG_STATE_HOME": "relative"}, "linux", "/h/.local/state/aixgo"),
        ({}, "linux", "/h/.local/state/aixgo"),
        ({}, "darwin", "/h/Library/Application Support/aixgo"),
    ],
)
def test_the_state_directory_is_the_users_choice_else_the_platforms(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], platform: str, expected: str
) -> None:
    for name in ("AIXGO_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/h", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert state_dir() == Path(expected)


def test_the_folder_is_its_owners_alone_also_if_it_was_not(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True, mode=0o755)
    run(folder)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_the_newest_runs_are_kept_and_those_that_go_on(folder: RunFolder) -> None:
    going_on = folder.begin("0" * 32)
    oldest = run(folder)
    parts_of(folder.path / f"{oldest}.jsonl").mkdir()
    newest = [run(folder) for _ in range(KEPT)]
    names = [path.stem for path in folder.files()]
    assert names == [*reversed(newest), "0" * 32]
    assert not list(folder.path.glob("*.parts"))
    going_on.close()


def test_a_run_is_found_by_its_id_its_end_its_file_or_as_the_last(folder: RunFolder) -> None:
    first, last = run(folder), run(folder)
    file = folder.path / f"{first}.jsonl"
    for name in (first, first[-SHORT:], str(file)):
        assert folder.find(name) == file
    assert folder.find("last") == folder.path / f"{last}.jsonl"


def test_a_file_in_the_current_folder_needs_no_slash(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("saved").write_text("")
    assert folder.find("saved") == Path("saved")


def test_an_unknown_run_is_an_error_that_names_the_nearest(folder: RunFolder) -> None:
    known = run(folder)[-SHORT:]
    wrong = known[:-1] + ("0" if known[-1] != "0" else "1")
    with pytest.raises(ConfigError, match=f"no run is called '{wrong}'; did you mean '{known}'"):
        folder.find(wrong)
    with pytest.raises(ConfigError, match="`aixgo runs` lists"):
        folder.find("zzzz")


def test_an_end_that_several_runs_have_is_an_error_that_lists_them(folder: RunFolder) -> None:
    for number in range(2):
        folder.begin(f"{number}{'f' * 31}").close()
    with pytest.raises(ConfigError, match=f"2 runs end with 'ff'.*1{'f' * 31}, 0{'f' * 31}"):
        folder.find("ff")


def test_without_any_run_the_error_says_how_to_make_one(folder: RunFolder) -> None:
    assert folder.files() == []
    with pytest.raises(ConfigError, match=r"no run is recorded in .*`aixgo run` records one"):
        folder.find("last")


@pytest.mark.parametrize("place", ["state", "state/runs"])
def test_a_file_where_a_directory_should_be_is_named(tmp_path: Path, place: str) -> None:
    if "/" in place:
        (tmp_path / "state").mkdir()
    (tmp_path / place).write_text("")
    folder = RunFolder(tmp_path / "state")
    for use in (lambda: folder.begin(new_id()), folder.files, lambda: folder.find("last")):
        with pytest.raises(ConfigError, match=r"state/runs|state:") as caught:
            use()
        assert "directory" in str(caught.value) or "exists" in str(caught.value)


def test_a_directory_nobody_may_write_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:  # the superuser, who may run this, may do anything
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigError, match="state/runs: Permission denied"):
        RunFolder(tmp_path / "state").begin(new_id())


# -- a run in a line --------------------------------------------------------------------------------------


def summary(folder: RunFolder, run_id: str) -> tuple[str, str, float | None, int]:
    found = summarise(folder.path / f"{run_id}.jsonl")
    return found.status, found.entry, found.duration_ms, found.cost_nanos


def test_a_run_that_ended_is_summed_up_from_its_end(folder: RunFolder) -> None:
    run_id = run(folder)
    assert summary(folder, run_id) == ("ok", "a", 2000, 2_000_000)


def test_a_run_whose_last_line_is_long_is_summed_up_all_the_same(folder: RunFolder) -> None:
    run_id = run(folder, text="x" * 200_000)
    assert summary(folder, run_id) == ("ok", "a", 2000, 2_000_000)


def test_a_run_without_an_end_is_running_or_was_killed(folder: RunFolder) -> None:
    run_id = new_id()
    file = folder.begin(run_id)
    file.write(RunStarted(timestamp=as_time(1), run_id=run_id, agent="a"))
    while (folder.path / f"{run_id}.jsonl").read_bytes().count(b"\n") < 2:
        os.sched_yield()
    assert summary(folder, run_id) == ("running", "a", None, 0)
    file.close()
    assert summary(folder, run_id) == ("killed", "a", None, 0)


def test_a_run_that_failed_says_with_what(folder: RunFolder) -> None:
    run_id = new_id()
    file = folder.begin(run_id)
    file.write(RunStarted(timestamp=as_time(1), run_id=run_id, agent="a"))
    file.close(ErrorRaised(timestamp=as_time(2), run_id=run_id, error_type="AgentFailed"))
    found = summarise(folder.path / f"{run_id}.jsonl")
    assert (found.status, found.error) == ("failed", "AgentFailed")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\n\xff\n", b"{}\n{}\n"])
def test_a_file_that_cannot_be_read_is_listed_as_such(folder: RunFolder, content: bytes) -> None:
    run_id = run(folder)
    path = folder.path / f"{run_id}.jsonl"
    path.write_bytes(content)
    (found,) = folder.summaries(10)
    assert (found.status, found.run_id) == ("unreadable", run_id)
    assert found.began == pytest.approx(int(run_id[:16], 16) / 1e9)
