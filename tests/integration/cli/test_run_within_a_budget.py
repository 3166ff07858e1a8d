"""`aixgo run --budget`: a run is refused before it goes over, and shows what it cost, in one process and in many."""

import json
from pathlib import Path

import pytest

from tests.integration.cli.commands import inside

pytestmark = pytest.mark.slow

TEXT = "It rained all day. The rain filled the rivers, and the rivers filled the lake. We ate."
FLOW = """
prices:
  models:
    offline:offline: {prompt: 1000, completion: 1000}
agents:
  - {name: first, role: chat, model: offline, max_tokens: 12}
  - {name: second, role: chat, model: offline, max_tokens: 12}
orchestration:
  name: flow
  pattern: sequential
  agents: [first, second]
"""
BOTH_WAYS = pytest.mark.parametrize("way", [[], ["--distributed"]], ids=["local", "distributed"])


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW, encoding="utf-8")
    return file


@BOTH_WAYS
def test_a_run_within_its_budget_says_what_it_and_each_step_cost(
    flow: Path, way: list[str]
) -> None:
    done = inside("run", flow, "-i", TEXT, "--json", "--budget", "1", *way)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    total = result["metadata"]
    assert total["tokens_total"] == total["tokens_prompt"] + total["tokens_completion"] > 0
    assert total["cost_usd"] == pytest.approx(total["tokens_total"] / 1_000)
    steps = {step["agent"]: step["cost_usd"] for step in result["steps"]}
    assert total["cost_usd"] == pytest.approx(steps["first"] + steps["second"])
    assert "second: done" in done.stderr
    assert "tokens, $0.0" in done.stderr
    steps.pop("flow")
    costs = result["costs"]
    assert {name: row["cost_usd"] for name, row in costs["agents"].items()} == pytest.approx(steps)
    assert list(costs["models"]) == ["offline:offline"]
    assert costs["models"]["offline:offline"] == costs["total"]
    assert costs["total"]["calls"] == 2
    assert costs["total"]["tokens_total"] == total["tokens_total"]
    table = done.stderr.splitlines()[-7:]
    assert table[0].split() == ["calls", "prompt", "completion", "cost"]
    agents = sorted(steps, key=lambda agent: -steps[agent])
    rows = [row.split()[0] for row in table[1:]]
    assert rows == ["by", *agents, "by", "offline:offline", "total"]


@BOTH_WAYS
def test_a_run_that_would_go_over_its_budget_ends_with_3_and_says_where(
    flow: Path, way: list[str]
) -> None:
    done = inside("run", flow, "-i", TEXT, "--json", "--budget", "0.07", *way)
    assert done.returncode == 3, done.stderr
    result = json.loads(done.stdout)
    assert result["error"]["class"] == "BudgetExceeded"
    assert list(result["costs"]["agents"]) == ["first"]
    assert "by agent" in done.stderr
    assert "flow → second" in done.stderr
    assert "spent: first $0.0" in done.stderr


def test_a_negative_budget_is_refused(flow: Path) -> None:
    done = inside("run", flow, "-i", TEXT, "--budget", "-1")
    assert done.returncode == 1
    assert "not negative" in done.stderr


def test_a_budget_of_the_file_holds_too(flow: Path) -> None:
    flow.write_text(FLOW + "  limits: {budget: {calls: 1}}\n", encoding="utf-8")
    done = inside("run", flow, "-i", TEXT)
    assert done.returncode == 3
    assert "model calls" in done.stderr
