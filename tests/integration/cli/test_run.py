"""`aixgo run` as a user meets it: answers, JSON, flows, exit codes, in one process and in many."""

import json
from pathlib import Path

import pytest

from tests.integration.cli.commands import PARTS, aixgo, inside

pytestmark = pytest.mark.slow

FLOW = f"""
agents:
  - {{name: upper, code: "{PARTS}:upper"}}
  - {{name: length, code: "{PARTS}:length"}}
  - {{name: bang, code: "{PARTS}:marked", mark: "!"}}
orchestration:
  name: flow
  pattern: sequential
  agents:
    - upper
    - {{name: both, pattern: parallel, agents: [length, bang]}}
"""
ANSWER = {"length": 5, "bang": "HELLO!"}
BOTH_WAYS = pytest.mark.parametrize("way", [[], ["--distributed"]], ids=["local", "distributed"])


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW, encoding="utf-8")
    return file


@BOTH_WAYS
def test_the_answer_is_all_that_standard_output_has(flow: Path, way: list[str]) -> None:
    done = aixgo("run", flow, "-i", "hello", *way)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ANSWER
    assert "flow/both/bang: done" in done.stderr


@BOTH_WAYS
def test_json_tells_the_answer_and_how_it_came_about(flow: Path, way: list[str]) -> None:
    done = inside("run", flow, "-i", "-", "--json", *way, stdin="hello")
    result = json.loads(done.stdout)
    assert result["payload"] == ANSWER
    assert result["pattern"] == "sequential"
    assert set(result["agents"]) == {"flow", "upper", "both", "length", "bang"}
    assert result["metadata"]["cost_usd"] == 0
    assert result["metadata"]["tokens_total"] == 0
    assert result["run_id"]
    assert result["duration_s"] > 0


def test_each_agent_runs_in_its_own_process_if_the_file_or_the_user_says_so(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    both = "orchestration: {name: both, pattern: parallel, agents: [one, two]}"
    agents = [f'{{name: {name}, code: "{PARTS}:process"}}' for name in ("one", "two")]
    for mode, way, processes in (
        ("local", [], 1),
        ("local", ["--distributed"], 2),
        ("distributed", [], 2),
    ):
        file.write_text(f"agents: [{', '.join(agents)}]\n{both}\ndeployment: {{mode: {mode}}}")
        done = inside("run", file, "-i", "x", *way)
        assert len(set(json.loads(done.stdout).values())) == processes


@BOTH_WAYS
def test_whom_a_file_names_answers_when_an_agent_fails(tmp_path: Path, way: list[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        f'agents: [{{name: fails, code: "{PARTS}:fails", fallback: [upper]}}, '
        f'{{name: upper, code: "{PARTS}:upper"}}]\nresilience: {{retry: {{max_retries: 1}}}}'
    )
    done = inside("run", file, "-i", "hello", "--agent", "fails", "--json", *way)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["payload"] == "HELLO"
    assert result["metadata"]["served_by"] == "upper"


@BOTH_WAYS
def test_a_failed_run_tells_what_it_had(tmp_path: Path, way: list[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        f'agents: [{{name: upper, code: "{PARTS}:upper"}}, {{name: fails, code: "{PARTS}:fails"}}]\n'
        "orchestration: {name: flow, pattern: sequential, agents: [upper, fails],"
        " config: {error_strategy: fail_fast}}\n"
    )
    done = inside("run", file, "-i", "x", "--json", *way)
    upper, fails = json.loads(done.stdout)["partial"]
    assert upper == {"agent": "upper", "reply": "X"}
    assert fails["error"]["class"] == "AgentFailed"


@BOTH_WAYS
def test_a_failure_shows_the_agents_traceback_by_its_error_id(
    tmp_path: Path, way: list[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f'agents: [{{name: fails, code: "{PARTS}:fails"}}]')
    done = inside("run", file, "-i", "x", "--json", *way)
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["class"] == "AgentFailed"
    assert f"traceback of error {error['error_id']}" in done.stderr
    assert "ValueError: only the log says this" in done.stderr
    assert "only the log says this" not in done.stdout


@BOTH_WAYS
def test_a_deadline_that_passes_is_exit_code_3(tmp_path: Path, way: list[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f'agents: [{{name: waits, code: "{PARTS}:waits"}}]')
    done = inside("run", file, "-i", "x", "--timeout", "300ms", *way)
    assert done.returncode == 3, done.stderr
    assert "DeadlineExceeded" in done.stderr


@BOTH_WAYS
def test_a_pattern_whose_time_is_up_says_so_without_a_traceback(
    tmp_path: Path, way: list[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "orchestration: {name: flow, pattern: sequential, agents: [waits], limits: {timeout: 0}}\n"
        f'agents: [{{name: waits, code: "{PARTS}:waits"}}]'
    )
    done = inside("run", file, "-i", "x", *way)
    assert done.returncode == 3, done.stderr
    assert "error: DeadlineExceeded: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["none.yaml", "-i", "x"], "No such file"),
        (["FLOW"], "there is no input"),
        (["FLOW", "-i", "x", "--input-file", "y"], "one is enough"),
        (["FLOW", "--input-file", "none.txt"], "No such file"),
        (["FLOW", "-i", "x", "--agent", "nobody"], "no agent is called 'nobody'"),
        (["FLOW", "-i", "x", "--timeout", "soon"], "--timeout"),
        (["FLOW", "-i", "x", "--budget", "-1"], "not negative"),
        (["FLOW", "-i", "x", "--no-such-option"], "No such option"),
    ],
)
def test_a_wrong_command_is_exit_code_1(flow: Path, arguments: list[str], complaint: str) -> None:
    given = [str(flow) if item == "FLOW" else item for item in arguments]
    done = inside("run", *given)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


@BOTH_WAYS
def test_code_that_cannot_be_imported_is_a_configuration_error(
    tmp_path: Path, way: list[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("agents:\n- {name: a, code: './none.py:a'}")
    done = inside("run", file, "-i", "x", *way)
    assert done.returncode == 1, done.stderr
    assert "there is no file" in done.stderr


def test_a_file_that_asks_for_protection_is_refused_by_run_and_serve(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("agents: [{name: a, role: logger}]\nauth_mode: builtin\n")
    for verb in (["run", file, "-i", "x"], ["serve", file]):
        done = inside(*verb)
        assert done.returncode == 1
        assert "authentication is not in this version" in done.stderr


PRODUCED = f"""
agents:
  - {{name: ticks, role: producer, interval: 10ms, template: "tick {{sequence}}",
     outputs: [{{target: upper}}]}}
  - {{name: upper, code: "{PARTS}:upper", inputs: [{{source: ticks}}], outputs: [{{target: done}}]}}
  - {{name: log, role: logger, log_payload: true, inputs: [{{source: upper}}]}}
"""


@BOTH_WAYS
def test_a_flow_delivers_from_producer_to_exit_and_logger(tmp_path: Path, way: list[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(PRODUCED)
    done = inside("run", file, "--count", "3", *way)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["TICK 1", "TICK 2", "TICK 3"]
    assert done.stderr.count("log: 'message' from 'upper'") == 3


@BOTH_WAYS
def test_a_flow_ends_after_its_time_and_finishes_what_it_began(
    tmp_path: Path, way: list[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(PRODUCED)
    done = inside("run", file, "--for", "500ms", "--json", *way)
    assert done.returncode == 0, done.stderr
    payload = json.loads(done.stdout)["payload"]
    assert payload[:2] == ["TICK 1", "TICK 2"]
    assert payload == [f"TICK {number}" for number in range(1, len(payload) + 1)]


@pytest.mark.parametrize("option", [("--count", "3"), ("--for", "1s")])
def test_what_is_for_producers_is_refused_with_an_input(
    tmp_path: Path, option: tuple[str, str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(PRODUCED)
    done = aixgo("run", file, "-i", "hello", "--agent", "upper", *option)
    assert done.returncode == 1
    assert "--count and --for are for producers" in done.stderr


@BOTH_WAYS
def test_an_input_follows_the_outputs_to_the_exit(tmp_path: Path, way: list[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        f"""
agents:
  - {{name: upper, code: "{PARTS}:upper", inputs: [{{source: outside}}], outputs: [{{target: bang}}]}}
  - {{name: bang, code: "{PARTS}:marked", mark: "!", outputs: [{{target: result}}]}}
"""
    )
    done = inside("run", file, "-i", "hello", "--agent", "upper", *way)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "HELLO!\n"


SHARED = Path(__file__).resolve().parents[4] / "shared" / "configs"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared files are not beside the checkout")
@pytest.mark.parametrize("name", ["classifier", "config__agents", "rag-agent", "session-react"])
def test_files_of_users_run_offline(name: str) -> None:
    file = next(SHARED.glob(f"{name}*.yaml"))
    done = inside("run", file, "--offline", "-i", "My invoice was charged twice. Please refund me.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
