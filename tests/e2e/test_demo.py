"""The demo as `make demo` runs it: one document, one process, many processes, one answer."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import DEMO, aixgo_inside, demo_inside, demo_of, run

pytestmark = pytest.mark.slow

AGENTS = 12
ONE_REPORT = """
orchestration: {name: reading-room, pattern: sequential, agents: [report]}
agents: [{name: report, code: "./agents.py:report"}]
"""
EQUAL = "The two answers are equal."


def run_demo(folder: Path = DEMO, **variables: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, folder / "run.py"], **{"DOC": "", "MODEL": "", **variables})


def report(done: subprocess.CompletedProcess[str]) -> str:
    """The answer: what stands between the two runs and the table."""
    return done.stdout.partition("over gRPC")[2].partition("Who did what")[0].strip()


def processes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The table's agents and where they ran."""
    return dict(re.findall(r"^│ +(\S+) +│ (\d+|this one) +│", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def on_the_guide() -> subprocess.CompletedProcess[str]:
    """The demo without a word about what to read."""
    return run_demo()


def test_one_process_and_many_give_the_same_answer(
    on_the_guide: subprocess.CompletedProcess[str],
) -> None:
    assert on_the_guide.returncode == 0, on_the_guide.stderr
    assert EQUAL in on_the_guide.stdout
    assert report(on_the_guide).startswith("# Guide\n\nA guide of ")
    where = processes(on_the_guide)
    ids = [place for place in where.values() if place != "this one"]
    assert len(set(ids)) == len(ids) == AGENTS
    assert {name for name, place in where.items() if place == "this one"} == {
        "reading-room",
        "reading",
        "summary",
        "inspection",
    }


def test_the_commands_it_ends_with_show_its_two_runs(
    on_the_guide: subprocess.CompletedProcess[str],
) -> None:
    here, many = re.findall(r"trace ([0-9a-f]{8})    in ", on_the_guide.stdout)
    for name in (here, many):
        done = aixgo_inside("trace", name, "--json")
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert (shown["status"], shown["distributed"]) == ("ok", name == many)
        assert {"statistics", "keywords", "report"} <= {call["name"] for call in shown["calls"]}


def test_another_document_gets_another_answer_by_another_route(
    on_the_guide: subprocess.CompletedProcess[str],
) -> None:
    done = run_demo(DOC="LICENSE")
    assert done.returncode == 0, done.stderr
    assert EQUAL in done.stdout
    assert report(done).startswith("# Apache License\n\nA legal text of ")
    assert "## What it demands" in report(done)
    assert report(done) != report(on_the_guide)
    assert re.search(r"^│ commands +│ \d+ +│ +not called", done.stdout, re.MULTILINE)


def test_answers_that_differ_are_an_error_that_shows_where(tmp_path: Path) -> None:
    code = (
        "\n\nimport os\n\n\n@agent\ndef report(text: str) -> str:\n"
        '    return f"written by process {os.getpid()}"\n'
    )
    done = run_demo(demo_of(tmp_path / "demo", ONE_REPORT, code), DOC="LICENSE")
    assert done.returncode == 2
    assert EQUAL not in done.stdout
    assert "error: the two answers differ:" in done.stderr
    assert len(re.findall(r"^[-+]written by process \d+$", done.stderr, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        pytest.param(None, 1, "No such file or directory", id="missing"),
        pytest.param(b"", 1, "it is empty", id="empty"),
        pytest.param(b"caf\xe9", 1, "it is not UTF-8 text (byte 3)", id="latin-1"),
        pytest.param(b"x" * (1024 * 1024 + 1), 1, "it is larger than 1 MiB", id="too large"),
        pytest.param(b"-- 12 --\n", 2, "the document holds no words", id="no words"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, content: bytes | None, code: int, text: str
) -> None:
    document = tmp_path / "document.md"
    if content is not None:
        document.write_bytes(content)
    done = demo_inside(DOC=str(document), MODEL="")
    assert done.returncode == code
    assert re.search(rf"^error: .*{re.escape(text)}", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("gpt-4", "'openai' needs a key: set OPENAI_API_KEY, or run with --offline"),
        ("nobody:large", "'nobody'"),
    ],
)
def test_a_model_that_is_not_there_is_refused_and_not_replaced(model: str, says: str) -> None:
    done = demo_inside(DOC="", MODEL=model, OPENAI_API_KEY="")
    assert done.returncode == 1
    assert "error: examples/demo/config.yaml:" in done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
