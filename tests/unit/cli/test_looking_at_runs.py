"""`aixgo runs` and `aixgo trace` on files of events, on wide, narrow and plain terminals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from aixgo.cli import run_verb
from aixgo.cli.tables import fitted, took
from aixgo.sessions.events import (
    ErrorRaised,
    Event,
    MessageCompleted,
    PromptReceived,
    RunCompleted,
    RunStarted,
    Spent,
    as_time,
)
from aixgo.sessions.files import EventFile
from aixgo.sessions.runs import RunFolder

BEGAN = 1_700_000_000.0
SPENT = Spent(cost_nanos=1_250_000, tokens_prompt=1_000, tokens_completion=234)
FAILED = "agent 'broken' failed (error id e-1: its log has the traceback)"


def at(seconds: float):
    return as_time(BEGAN + seconds)


def story(run_id: str) -> list[Event]:
    """A flow that asks a model and then breaks."""
    return [
        RunStarted(timestamp=at(0), run_id=run_id, agent="flow", config="c.yaml"),
        PromptReceived(timestamp=at(1), run_id=run_id),
        RunStarted(timestamp=at(1), run_id="f", agent="flow", key="flow", parent_run_id=run_id),
        RunStarted(timestamp=at(1), run_id="m", agent="model-user", key="k", parent_run_id="f"),
        MessageCompleted(
            timestamp=at(3), run_id="m", model_used="gpt-x", duration_ms=1500, usage=SPENT
        ),
        RunCompleted(timestamp=at(3), run_id="m", usage=SPENT, duration_ms=2000),
        RunStarted(timestamp=at(3), run_id="b", agent="broken", key="b", parent_run_id="f"),
        ErrorRaised(
            timestamp=at(5),
            run_id="b",
            error_type="AgentFailed",
            error_id="e-1",
            error_message=FAILED,
        ),
        ErrorRaised(timestamp=at(5), run_id="f", error_type="AgentFailed", usage=SPENT),
    ]


RUN = "17979cfe362a0000" + "0123456789abcdef"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIXGO_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def write(run_id: str, events: list[Event], last: Event | None = None) -> EventFile:
    file = RunFolder().begin(run_id)
    for event in events:
        file.write(event)
    if last is not None:
        file.close(last)
    return file


@pytest.fixture
def failed() -> str:
    end = ErrorRaised(
        timestamp=at(6), run_id=RUN, error_type="AgentFailed", duration_ms=6000, usage=SPENT
    )
    write(RUN, story(RUN), end)
    return RUN


def trace(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run_verb(["trace", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_run_is_a_line_per_call_below_its_caller(
    failed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = trace(capsys, failed)
    assert lines[0] == (
        "run 89abcdef  c.yaml  failed  6.00 s (1.00 s to start)  1,234 tokens  $0.0013"
    )
    words = [line.replace("*", " ").split() for line in lines]
    assert words[1] == ["start", "time", "tokens", "cost"]
    assert words[2][:4] == ["the", "run", "-1.00", "s"]
    assert words[4][:6] == ["├─", "model-user", "+0.0", "ms", "2.00", "s"]
    assert words[4][6:8] == ["1,234", "$0.0013"]
    assert words[5][:4] == ["│", "└─", "model", "gpt-x"]


def test_an_error_stands_below_its_call_with_class_and_id(
    failed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = trace(capsys, failed)
    (place,) = [number for number, line in enumerate(lines) if "└─ broken" in line]
    assert lines[place + 1].strip() == "AgentFailed, error id e-1"
    assert sum("AgentFailed" in line for line in lines) == 1, "its callers only pass it on"


def test_the_critical_path_is_marked_and_explained(
    failed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = trace(capsys, failed)
    marked = [line.split("─")[-1].split()[0] for line in lines[2:] if line.startswith("*")]
    assert marked[-1].startswith("*")  # the legend
    assert lines[-1] == "* the critical path: what the time of the whole run depended on"
    assert "█" in "".join(line for line in lines if line.startswith("* "))


def test_bars_show_when_a_call_was_under_way(
    failed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = trace(capsys, failed, "--width", "120")
    user = next(line for line in lines if "model-user" in line)
    broken = next(line for line in lines if "broken" in line)
    assert user.index("█") < user.rindex("█") < broken.index("█")


@pytest.mark.parametrize("width", [24, 30, 40, 50, 60, 80, 200])
def test_no_line_of_the_tree_is_wider_than_the_terminal(
    failed: str, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    tree = trace(capsys, failed, "--width", str(width))[1:-1]
    assert max(cell_len(line) for line in tree) <= width
    assert any("├─" in line for line in tree)
    if width >= 60:
        assert any("1,234" in line for line in tree)


def test_the_width_is_that_of_the_terminal(
    failed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "45")
    assert max(map(cell_len, trace(capsys, failed)[1:-1])) <= 45


def test_a_terminal_without_unicode_gets_plain_signs(failed: str, state: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aixgo", "trace", failed],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=20,
        check=True,
    )
    shown = done.stdout.decode("ascii")
    assert "|- model-user" in shown
    assert "#" in shown


def test_a_name_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = RunStarted(timestamp=at(0), run_id=RUN, agent="a\x1b[2Jb\n", config="\x1b]0;x\x07")
    call = RunStarted(timestamp=at(0), run_id="c", agent="a\x1b[2Jb", key="k")
    write(RUN, [evil, call], RunCompleted(timestamp=at(1), run_id=RUN))
    for verb in ("trace", "runs"):
        assert run_verb([verb]) == 0
        assert not {"\x1b", "\x07"} & set(capsys.readouterr().out)


def test_a_run_is_one_object_as_json(failed: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads("\n".join(trace(capsys, failed, "--json")))
    assert (shown["run_id"], shown["status"], shown["tokens_total"]) == (RUN, "failed", 1234)
    assert (shown["duration_s"], shown["startup_s"]) == (6.0, 1.0)
    calls = shown["calls"]
    assert [call["name"] for call in calls] == ["flow", "flow", "model-user", "gpt-x", "broken"]
    assert [call["parent"] for call in calls] == [None, 0, 1, 2, 1]
    assert calls[4]["error"] == {"class": "AgentFailed", "text": FAILED, "error_id": "e-1"}
    assert sum(call["own"]["cost_usd"] for call in calls) == shown["cost_usd"] == 0.00125
    assert shown["notes"] == []


def test_a_run_that_goes_on_is_shown_as_far_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    file = write(RUN, story(RUN)[:4])
    while file.path.read_bytes().count(b"\n") < 5:
        os.sched_yield()
    assert "  running  " in trace(capsys, "last")[0]
    file.close()
    assert "  killed  " in trace(capsys)[0]


def test_what_is_missing_is_noted(failed: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = RunFolder().find(failed)
    path.write_bytes(path.read_bytes()[:-10])
    lines = trace(capsys, str(path))
    assert lines[-1].startswith(f"note: line 11 of {path.name} is cut off")
    assert "  killed  " in lines[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["trace", "89abcdee"], "no run is called '89abcdee'; did you mean '89abcdef'?"),
        (["trace", "none.jsonl"], "none.jsonl: No such file"),
        (["trace", "last", "--width", "10"], "--width"),
        (["runs", "--limit", "0"], "--limit"),
        (["runs", "extra"], "extra"),
    ],
)
def test_a_wrong_command_is_exit_code_1_and_names_what_is_wrong(
    failed: str, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert run_verb(arguments) == 1
    assert complaint in capsys.readouterr().err


def test_a_file_that_is_no_run_or_newer_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.jsonl"
    for content, complaint in (
        ("{}", "is no file of events"),
        ('{"aixgo_events": 99, "run_id": "r"}', "is of format 99"),
    ):
        path.write_text(content)
        assert run_verb(["trace", str(path)]) == 1
        assert complaint in capsys.readouterr().err


def test_a_state_directory_that_is_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIXGO_STATE_DIR", str(tmp_path / "file"))
    for verb in ("trace", "runs"):
        assert run_verb([verb]) == 1
        assert f"{tmp_path / 'file'}/runs: Not a directory" in capsys.readouterr().err


def test_runs_are_listed_newest_first(failed: str, capsys: pytest.CaptureFixture[str]) -> None:
    later = "18" + RUN[2:-1] + "0"
    ended = RunCompleted(timestamp=at(2), run_id=later, duration_ms=1500)
    write(later, [RunStarted(timestamp=at(0), run_id=later, agent="other")], ended)
    assert run_verb(["runs"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["RUN", "WHEN", "STATUS", "TIME", "COST", "ENTRY", "CONFIG"]
    assert first.split()[0] == later[-8:]
    assert "failed: AgentFailed" in second
    assert second.split()[-4:] == ["s", "$0.0013", "flow", "c.yaml"]
    assert run_verb(["runs", "--limit", "1", "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)["runs"]
    assert (only["run_id"], only["status"], only["duration_s"]) == (later, "ok", 1.5)


def test_no_runs_say_how_to_make_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["runs"]) == 0
    assert "`aixgo run` records one" in capsys.readouterr().out
    assert run_verb(["trace"]) == 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0004, "0.4 ms"),
        (0.25, "250 ms"),
        (2, "2.00 s"),
        (150, "2:30 min"),
        (3_700, "1:01 h"),
    ],
)
def test_durations_have_about_three_digits(seconds: float, shown: str) -> None:
    assert took(seconds) == shown


def test_text_is_cut_by_columns_and_not_by_characters() -> None:
    assert fitted("日本語", 6) == "日本語"
    assert fitted("日本語", 5) == "日本…"
    assert cell_len(fitted("日本語", 4)) == 4
    assert fitted("ab", 4) == "ab  "
