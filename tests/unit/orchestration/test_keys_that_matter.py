"""Every key of every pattern, in a file: two values of it give two answers, or an answer and an error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aixgo.config import load_config, open_runtime
from aixgo.errors import AixgoError
from aixgo.loading import kinds, load
from tests.conformance.gates import HANG
from tests.unit.orchestration import speakers


class Row(NamedTuple):
    """A key, and two teams that differ in it alone."""

    key: str
    agents: str
    """`agents:` of both, by blanks."""
    one: dict[str, Any]
    other: dict[str, Any]
    given: Sequence[str] = ("rain",)
    """What is asked, one after the other, in one session."""


NOW = {"timeout": 0}
ROUTES = {"x": "yes", "y": "no"}
CHOOSE = {"classifier": "kind", "routes": ROUTES, "min_confidence": 0}
BOTH = {"classifier": "several", "routes": ROUTES, "multi_label": True}

CLASSIFYING = [
    Row("classifier", "", CHOOSE, {**CHOOSE, "classifier": "other"}),
    Row("routes", "", CHOOSE, {**CHOOSE, "routes": {"x": "maybe"}}),
    Row(
        "fallback",
        "",
        {"classifier": "stranger", "routes": ROUTES},
        {"classifier": "stranger", "routes": ROUTES, "fallback": "maybe"},
    ),
    Row("min_confidence", "", CHOOSE, {**CHOOSE, "min_confidence": 0.5}),
]
SEVERAL = [
    *CLASSIFYING,
    Row("multi_label", "", BOTH, {**BOTH, "multi_label": False, "classifier": "other"}),
    Row("max_labels", "", BOTH, {**BOTH, "max_labels": 1}),
    Row("timeout", "", BOTH, {**BOTH, **NOW}),
]

ROWS: dict[str, list[Row]] = {
    "aggregation": [
        Row("strategy", "yes no", {}, {"strategy": "vote"}),
        Row(
            "voting_strategy",
            "yes yes2 sure",
            {"strategy": "vote"},
            {"strategy": "vote", "voting_strategy": "confidence"},
        ),
        Row(
            "summarizer",
            "yes no",
            {"strategy": "summarize", "summarizer": "shown"},
            {"strategy": "summarize", "summarizer": "maybe"},
        ),
        Row(
            "scorer",
            "no maybe",
            {"strategy": "best", "scorer": "longest"},
            {"strategy": "best", "scorer": "shortest"},
        ),
        Row("min_responses", "yes refuses", {}, {"min_responses": 2}),
        Row("timeout", "yes", {}, NOW),
    ],
    "classification": SEVERAL,
    "classifier": SEVERAL,
    "consensus": [
        Row("threshold", "yes yes2 maybe", {}, {"threshold": 1}),
        Row("max_rounds", "yes follows", {}, {"max_rounds": 0}),
        Row("convergence", "yes follows", {}, {"convergence": "exact"}),
        Row(
            "similarity",
            "yes nearly",
            {"convergence": "similarity", "similarity": 0.9},
            {"convergence": "similarity", "similarity": 0.5},
        ),
        Row(
            "embedding_model",
            "yes nearly",
            {"convergence": "similarity", "similarity": 0.88},
            {"convergence": "similarity", "similarity": 0.88, "embedding_model": "hashing"},
        ),
        Row("protocol", "stays votes", {}, {"protocol": "vote"}),
        Row("voting_sensitivity", "yes lenient", {}, {"voting_sensitivity": "strict"}),
        Row(
            "answer_novelty_requirement",
            "yes copies",
            {},
            {"answer_novelty_requirement": "balanced"},
        ),
        Row("max_new_answers_per_agent", "yes copies", {}, {"max_new_answers_per_agent": 1}),
        Row(
            "post_evaluation",
            "doubts yes",
            {"presenter": "verbatim", "threshold": 0.5},
            {
                "presenter": "verbatim",
                "threshold": 0.5,
                "post_evaluation": True,
                "max_restarts": 1,
            },
        ),
        Row(
            "max_restarts",
            "doubts yes",
            {"presenter": "verbatim", "threshold": 0.5, "post_evaluation": True},
            {
                "presenter": "verbatim",
                "threshold": 0.5,
                "post_evaluation": True,
                "max_restarts": 1,
            },
        ),
        Row("weights", "yes no", {"weights": {"yes": 9}}, {"weights": {"no": 9}}),
        Row("presenter", "stays yes", {"presenter": "verbatim"}, {"presenter": "winner"}),
        Row("synthesizer", "yes yes2", {}, {"synthesizer": "presents"}),
        Row("timeout", "yes no", {"threshold": 0.5}, {"threshold": 0.5, **NOW}),
    ],
    "debate": [
        Row("stances", "stances no", {}, {"stances": {"stances": "for"}}),
        Row("rounds", "rounds no", {"rounds": 1}, {"rounds": 2}),
        Row("judge", "no yes", {}, {"judge": "for_yes"}),
        Row("threshold", "rounds agrees no", {}, {"threshold": 0.6}),
        Row("early_end", "rounds agrees", {}, {"early_end": False}),
        Row("timeout", "yes no", {}, NOW),
    ],
    "ensemble": [
        Row("voting_strategy", "yes yes2 sure", {}, {"voting_strategy": "confidence"}),
        Row("threshold", "yes yes2 no", {}, {"threshold": 0.7}),
        Row(
            "weights",
            "yes no",
            {"voting_strategy": "weighted"},
            {"voting_strategy": "weighted", "weights": {"no": 3}},
        ),
        Row("fallback", "yes no", {"threshold": 1}, {"threshold": 1, "fallback": "maybe"}),
        Row("models", "yes", {}, {"models": ["no", "sure"]}),
        Row("min_successes", "yes refuses", {}, {"min_successes": 2}),
        Row("timeout", "yes", {}, NOW),
    ],
    "hierarchical": [
        Row("manager", "upper turned", {"manager": "chief"}, {"manager": "idle"}),
        Row(
            "teams",
            "",
            {"manager": "chief", "teams": {"it": "upper"}},
            {"manager": "chief", "teams": {"it": {"workers": ["upper", "turned"]}}},
        ),
        Row(
            "teams.manager",
            "",
            {"manager": "chief", "teams": {"it": {"workers": ["upper", "turned"]}}},
            {"manager": "chief", "teams": {"it": {"manager": "idle", "workers": ["upper"]}}},
        ),
        Row("timeout", "upper", {"manager": "chief"}, {"manager": "chief", **NOW}),
    ],
    "mapreduce": [
        Row("mapper", "upper", {}, {"mapper": "turned"}),
        Row("splitter", "upper", {}, {"splitter": "halves"}),
        Row("split", "upper", {}, {"split": "words"}, ("a b\nc",)),
        Row("size", "upper", {"split": "words", "size": 1}, {"split": "words"}, ("a b",)),
        Row("reducer", "upper", {}, {"reducer": "counted"}),
        Row("reduce", "size", {}, {"reduce": "sum"}),
        Row("max_parallel", "peak", {"max_parallel": 1}, {"max_parallel": 2}, ("a\nb\nc",)),
        Row("max_chunks", "upper", {}, {"max_chunks": 1}, ("a\nb",)),
        Row("on_error", "upper refuses", {}, {"on_error": "keep"}, ("a\nb",)),
        Row("timeout", "upper", {}, NOW),
    ],
    "parallel": [
        Row("aggregation", "yes no", {}, {"aggregation": "merge"}),
        Row("aggregation", "yes no", {"aggregation": "concat"}, {"aggregation": "merge"}),
        Row("aggregation", "yes no", {"aggregation": "concat"}, {"aggregation": "voting"}),
        Row(
            "voting_strategy",
            "yes yes2 sure",
            {"aggregation": "voting"},
            {"aggregation": "voting", "voting_strategy": "confidence"},
        ),
        Row("aggregator", "yes no", {}, {"aggregator": "shown"}),
        Row("on_error", "yes refuses", {}, {"on_error": "keep"}),
        Row("fail_fast", "yes refuses", {}, {"fail_fast": True}),
        Row("min_successes", "yes refuses", {}, {"min_successes": 2}),
        Row("timeout", "yes", {}, NOW),
    ],
    "planning": [
        Row("planner", "upper", {"planner": "plans"}, {"planner": "plans_one"}),
        Row(
            "synthesizer",
            "upper",
            {"planner": "plans"},
            {"planner": "plans", "synthesizer": "shown"},
        ),
        Row(
            "max_steps",
            "upper",
            {"planner": "plans"},
            {"planner": "plans", "max_steps": 1},
            ("a b",),
        ),
        Row(
            "max_replans",
            "refuses upper",
            {"planner": "plans"},
            {"planner": "plans", "max_replans": 1},
        ),
        Row(
            "max_parallel",
            "peak",
            {"planner": "plans"},
            {"planner": "plans", "max_parallel": 1},
            ("a b c",),
        ),
        Row("step_timeout", "upper", {"planner": "plans"}, {"planner": "plans", "step_timeout": 0}),
    ],
    "rag": [
        Row("retriever", "shown", {"retriever": "finds"}, {"retriever": "finds_nothing"}),
        Row(
            "retrievers",
            "shown",
            {"retrievers": ["finds"]},
            {"retrievers": ["finds", "finds_more"]},
        ),
        Row(
            "generator",
            "finds",
            {"generator": "shown"},
            {"generator": "maybe"},
        ),
        Row("top_k", "finds shown", {}, {"top_k": 1}, ("dogs",)),
        Row("expander", "finds shown", {}, {"expander": "expands"}),
        Row(
            "max_queries",
            "finds shown",
            {"expander": "expands"},
            {"expander": "expands", "max_queries": 1},
        ),
        Row("relevance_filter", "finds shown", {}, {"relevance_filter": "keeps_one"}, ("dogs",)),
        Row("reranker", "finds shown", {}, {"reranker": "reorders"}, ("dogs",)),
        Row("rerank", "finds shown", {}, {"rerank": True}, ("dogs",)),
        Row("min_score", "finds shown", {}, {"min_score": 0.4}, ("dogs",)),
        Row("conversational", "finds shown", {}, {"conversational": True}, ("one", "two")),
        Row(
            "history_turns",
            "finds shown",
            {"conversational": True},
            {"conversational": True, "history_turns": 1},
            ("one", "two", "three"),
        ),
        Row("on_empty", "finds_nothing shown", {}, {"on_empty": "refuse"}),
    ],
    "reflection": [
        Row(
            "generator",
            "",
            {"generator": "writes", "critic": "marks"},
            {"generator": "scribbles", "critic": "marks"},
        ),
        Row("critic", "writes", {"critic": "marks"}, {"critic": "hates"}),
        Row("critics", "writes", {"critics": ["marks"]}, {"critics": ["hates", "flat"]}),
        Row("max_iterations", "writes marks", {}, {"max_iterations": 1}),
        Row("quality_threshold", "writes marks", {}, {"quality_threshold": 0.1}),
        Row(
            "convergence_window",
            "writes flat",
            {"max_iterations": 9, "convergence_window": 2},
            {"max_iterations": 9},
        ),
        Row(
            "convergence_epsilon",
            "writes flat",
            {"max_iterations": 9},
            {"max_iterations": 9, "convergence_epsilon": 0.0001},
        ),
    ],
    "router": [
        *CLASSIFYING,
        Row(
            "strategy",
            "",
            {
                "routes": ROUTES,
                "rules": [{"route": "y", "contains": ["rain"]}, {"route": "x", "min_length": 1}],
            },
            {
                "routes": ROUTES,
                "rules": [{"route": "y", "contains": ["rain"]}, {"route": "x", "min_length": 1}],
                "strategy": "load",
            },
        ),
        Row(
            "rules",
            "",
            {"routes": ROUTES, "rules": [{"route": "y", "contains": ["rain"]}]},
            {"routes": ROUTES, "rules": [{"route": "x", "contains": ["rain"]}]},
        ),
        Row(
            "costs",
            "",
            {"routes": ROUTES, "strategy": "cost", "costs": {"x": 1, "y": 2}},
            {"routes": ROUTES, "strategy": "cost", "costs": {"x": 2, "y": 1}},
        ),
        Row(
            "costs_per_1000",
            "",
            {"routes": ROUTES, "strategy": "cost", "costs_per_1000": {"x": 1, "y": 2}},
            {"routes": ROUTES, "strategy": "cost", "costs_per_1000": {"x": 2, "y": 1}},
        ),
    ],
    "sequential": [
        Row("on_error", "refuses upper", {}, {"on_error": "continue"}),
        Row("timeout", "upper", {}, NOW),
        Row("step_timeout", "upper", {}, {"step_timeout": 0}),
    ],
    "supervisor": [
        Row("manager", "yes no", {"manager": "picks_no"}, {"manager": "picks_yes"}),
        Row("model", "yes no", {"model": "offline"}, {"model": "no-such-model"}),
        Row(
            "max_rounds",
            "goes_on",
            {"max_rounds": 2},
            {"max_rounds": 3},
        ),
        Row(
            "routing_strategy",
            "yes no",
            {"routing_strategy": "round_robin"},
            {"routing_strategy": "manual"},
            ("@no rain",),
        ),
        Row(
            "routing_strategy",
            "yes no",
            {"manager": "picks_no"},
            {"routing_strategy": "round_robin"},
        ),
    ],
    "swarm": [
        Row("entry", "yes no", {}, {"entry": "no"}),
        Row("max_handoffs", "hands_over hands_back", {"max_handoffs": 2}, {"max_handoffs": 4}),
        Row(
            "shared_state",
            "hands_over hands_back",
            {"max_handoffs": 1},
            {"max_handoffs": 1, "shared_state": False},
        ),
        Row(
            "transfers",
            "hands_over hands_back",
            {},
            {"transfers": {"hands_over": []}},
        ),
    ],
}


CASES = [
    pytest.param(kind, row, id=f"{kind}-{row.key}-{i}")
    for kind, rows in ROWS.items()
    for i, row in enumerate(rows)
]


def written(folder: Path, kind: str, row: Row, config: dict[str, Any]) -> Path:
    """The file of a team, with the agents it names."""
    slots = json.dumps([row.agents.split(), config])
    named = [name for name in vars(speakers) if f'"{name}"' in slots]
    listed = [f"{{name: {name}, code: '{speakers.__name__}:{name}'}}" for name in named]
    path = folder / "config.yaml"
    path.write_text(
        f"orchestration:\n  name: team\n  pattern: {kind}\n  agents: [{', '.join(row.agents.split())}]\n"
        f"  config: {json.dumps(config)}\nagents: [{', '.join(listed)}]\n"
    )
    return path


async def outcome(path: Path, given: Sequence[str]) -> list[str]:
    """The payloads of the answers to what is asked, or the class of the error."""
    found: list[str] = []
    try:
        async with asyncio.timeout(HANG), open_runtime(load_config(path)) as rt:
            for text in given:
                reply = await rt.call("team", text, session="one")
                found.append(json.dumps(reply.payload))
    except AixgoError as exc:
        found.append(type(exc).__name__)
    return found


@pytest.mark.parametrize(("kind", "row"), CASES)
async def test_another_value_makes_another_answer(kind: str, row: Row, tmp_path: Path) -> None:
    one = await outcome(written(tmp_path, kind, row, row.one), row.given)
    other = await outcome(written(tmp_path, kind, row, row.other), row.given)
    assert one != other


def test_every_key_of_every_pattern_is_tried() -> None:
    tried = {kind: {row.key.split(".")[0] for row in rows} for kind, rows in ROWS.items()}
    assert tried == {
        kind: {*load("orchestration", kind).PATTERN.config_keys} for kind in kinds("orchestration")
    }
