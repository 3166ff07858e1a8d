"""Error strategies in YAML: the same keys in every pattern's `config:`."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import Message
from aixgo.config import Config, json_schema, load_config, open_runtime
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.orchestration.base import STRATEGY_KEYS

PARTS = """
from aixgo import agent
from aixgo.errors import AgentRefused, ProviderUnavailable

asked = []

@agent
async def kind(text: str) -> str:
    return "it"

@agent
async def flaky(text: str) -> str:
    asked.append(text)
    if len(asked) < 3:
        raise ProviderUnavailable("down", provider="acme")
    return f"{text} {len(asked)} times"

@agent
async def refuses(text: str) -> str:
    raise AgentRefused("no")

@agent
async def broken(text: str) -> str:
    raise RuntimeError("no")

@agent
async def spare(text: str) -> str:
    return f"{text} instead"
"""

AGENTS = """
agents:
  - {name: kind, code: "./parts.py:kind"}
  - {name: flaky, code: "./parts.py:flaky"}
  - {name: refuses, code: "./parts.py:refuses"}
  - {name: broken, code: "./parts.py:broken"}
  - {name: spare, code: "./parts.py:spare"}
"""


def loaded(folder: Path, text: str) -> Config:
    (folder / "parts.py").write_text(PARTS)
    path = folder / "config.yaml"
    path.write_text(AGENTS + text)
    return load_config(path)


async def answer(folder: Path, text: str) -> Message:
    config = loaded(folder, text)
    async with open_runtime(config) as rt:
        return await rt.call(config.entries()[0], "x")


async def failure(folder: Path, text: str) -> AixgoError:
    with pytest.raises(AixgoError) as failed:
        await answer(folder, text)
    return failed.value


@pytest.mark.parametrize(
    "pattern",
    [
        "{pattern: sequential, agents: [flaky], config: {%s}}",
        "{pattern: parallel, agents: [flaky], config: {aggregation: first, %s}}",
        "{pattern: router, config: {classifier: kind, routes: {it: flaky}, %s}}",
    ],
    ids=["sequential", "parallel", "router"],
)
async def test_every_pattern_takes_the_same_keys(pattern: str, tmp_path: Path) -> None:
    keys = "error_strategy: retry, max_retries: 2, retry_delay: 1ms"
    reply = await answer(tmp_path, f"orchestration: {pattern % keys}")
    assert reply.text == "x 3 times"
    assert reply.metadata["retries"] == 2


async def test_stand_ins_are_named_or_written_out(tmp_path: Path) -> None:
    reply = await answer(
        tmp_path,
        """
orchestration:
  pattern: sequential
  agents: [broken]
  config:
    error_strategy: retry
    fallbacks:
      broken:
        - {name: also broken, code: "./parts.py:broken"}
        - {name: other, pattern: sequential, agents: [spare]}
""",
    )
    assert reply.text == "x instead"
    assert reply.metadata["fallbacks"]["broken"]["served_by"] == "other"  # type: ignore[index,call-overload]


async def test_a_run_that_goes_on_needs_as_many_as_the_file_says(tmp_path: Path) -> None:
    text = """
orchestration:
  pattern: %s
  agents: [spare, refuses]
  config: {error_strategy: continue, min_successes: %d}
"""
    for pattern in ("sequential", "parallel"):
        reply = await answer(tmp_path, text % (pattern, 1))
        assert list(reply.metadata["missing"]) == ["refuses"]  # type: ignore[arg-type]
        error = await failure(tmp_path, text % (pattern, 2))
        assert isinstance(error, AgentRefused)
        assert error.partial is not None


async def test_failing_fast_tells_what_there_was(tmp_path: Path) -> None:
    error = await failure(
        tmp_path,
        "orchestration: {pattern: sequential, agents: [spare, refuses], config: {error_strategy: fail_fast}}",
    )
    assert error.partial == [
        {"agent": "spare", "reply": "x instead"},
        {"agent": "refuses", "error": {"class": "AgentRefused", "text": "no"}},
    ]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ("error_strategy: retri", "error_strategy is 'retri', not one of"),
        ("error_strategy: retry, max_retries: -1", "max_retries is -1; it must be at least 0"),
        ("error_strategy: retry, retry_delay: soon", "retry_delay must be seconds or a duration"),
        ("error_strategy: continue, min_successes: 0", "min_successes is 0; it must be at least 1"),
        ("error_strategy: continue, min_successes: 9", "min_successes is 9 of 1 agents"),
        (
            "error_strategy: retry, fallbacks: {flaky: [spar]}",
            "no agent is called 'spar'; did you mean 'spare'",
        ),
        (
            "error_strategy: retry, fallbacks: {flaki: [spare]}",
            "it has no agent 'flaki'; did you mean 'flaky'",
        ),
        ("error_strategy: retry, fallbacks: {flaky: spare}", "fallbacks.flaky must be a list"),
        ("error_strategy: retry, fallbacks: spare", "fallbacks must be a mapping"),
        (
            "error_strategy: retry, fallbacks: {flaky: []}",
            "fallbacks of 'flaky' must be a list of agents",
        ),
        ("error_strategy: fail_fast, max_retries: 1", "max_retries does not go with 'fail_fast'"),
        ("error_strategy: retry, on_error: stop", "error_strategy and on_error both"),
        ("max_retries: 1", "max_retries needs an error_strategy"),
        ("error_strateg: retry", "did you mean 'error_strategy'"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_place(
    keys: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        await answer(
            tmp_path, f"orchestration: {{pattern: sequential, agents: [flaky], config: {{{keys}}}}}"
        )
    assert complaint in str(refused.value)
    assert "config.yaml:8" in str(refused.value)


async def test_both_ways_of_a_fan_are_refused(tmp_path: Path) -> None:
    text = "orchestration: {pattern: parallel, agents: [flaky], config: {error_strategy: retry, fail_fast: true}}"
    with pytest.raises(ConfigError, match="error_strategy and fail_fast both"):
        await answer(tmp_path, text)


async def test_a_pattern_that_takes_no_strategy_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aixgo.orchestration.sequential import Sequential

    def deaf(name: str, agents: list[str], config: object, limits: object) -> Sequential:
        return Sequential(name, agents)

    monkeypatch.setattr(Sequential, "from_config", deaf)
    text = "orchestration: {pattern: sequential, agents: [flaky], config: {error_strategy: retry}}"
    with pytest.raises(ConfigError, match="the pattern 'sequential' takes no error_strategy"):
        await answer(tmp_path, text)


def test_the_schema_has_the_keys_for_every_pattern() -> None:
    rules = json_schema()["$defs"]["orchestration"]["allOf"]  # type: ignore[index,call-overload]
    for rule in rules:  # type: ignore[union-attr]
        config = rule["then"]["properties"]["config"]["properties"]  # type: ignore[index,call-overload]
        assert STRATEGY_KEYS.keys() <= config.keys()  # type: ignore[union-attr]
        assert config["error_strategy"]["enum"] == ["continue", "fail_fast", "retry"]  # type: ignore[index,call-overload]
