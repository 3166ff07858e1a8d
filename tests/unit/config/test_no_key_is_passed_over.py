"""Every key of an agent's entry changes the agent, is seen by whoever runs it, or is named in a warning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import yaml

from aixgo import load_config
from aixgo.config.check import RUN_BY
from aixgo.config.keys import AGENT_KEYS
from aixgo.config.roles import role_class
from aixgo.keys import Key
from aixgo.loading import kinds

UNIT = Path(__file__).resolve().parents[1]


def no_events() -> None:
    """Stands for a source of events, which is never begun."""


VENDOR = "openai:text-embedding-3-small"
# What an entry of a role needs at least.
LEAST: Mapping[str, dict[str, object]] = {
    "classifier": {"categories": [{"name": "a"}]},
    "producer": {"interval": "1s"},
    "retriever": {"documents": ["d"]},
}
# Keys that need another one beside them.
BESIDE: Mapping[tuple[str, str], dict[str, object]] = {
    ("aggregator", "index"): {"aggregation_strategy": "rag_based"},
    ("aggregator", "documents"): {"aggregation_strategy": "rag_based"},
    ("aggregator", "mode"): {"aggregation_strategy": "rag_based", "documents": ["d"]},
    ("aggregator", "where"): {"aggregation_strategy": "rag_based", "documents": ["d"]},
    ("aggregator", "embedding_model"): {"aggregation_strategy": "rag_based", "documents": ["d"]},
    ("retriever", "api_key"): {"embedding_model": VENDOR, "api_key": "another"},
    ("classifier", "embedding_model"): {"use_embeddings": True},
}
# Keys that take the place of others.
INSTEAD: Mapping[tuple[str, str], dict[str, object]] = {
    ("retriever", "index"): {"index": "i"},
    ("retriever", "collection"): {"index": "i", "collection": "c"},
    ("producer", "events"): {"events": no_events},
    ("producer", "restarts"): {"events": no_events, "restarts": 1},
}
# Values where any sample would not do, or is what holds anyway.
VALUES: Mapping[str, object] = {
    "categories": [{"name": "b", "description": "d", "keywords": ["k"], "examples": ["e"]}],
    "few_shot_examples": [{"input": "i", "category": "a", "reason": "r"}],
    "example_plans": [{"problem": "p", "steps": ["s"], "explanation": "e"}],
    "embedding_model": "hashing:64",
    "output_schema": {"type": "object"},
    "guided_config": {"enabled": True},
    "chunk_size": 500,
    "chunk_overlap": 1,
    "where": {"a": 1},
    "summarization_enabled": False,
    "enable_replanning": True,
}

# Keys whoever runs an agent reads, and a test that shows it.
SEEN = {
    "name": (
        "config/test_checking_files",
        "test_a_fault_is_told_with_file_line_and_what_was_meant",
    ),
    "role": ("config/test_building_agents", "test_slots_hold_inline_orchestrations_and_agents"),
    "type": ("config/test_no_key_is_passed_over", "test_type_is_another_word_for_role"),
    "code": ("config/test_building_agents", "test_code_beside_the_file_is_an_agent_or_makes_one"),
    "folder": (
        "config/test_agents_from_folders",
        "test_what_the_entry_says_stands_over_what_the_folder_says",
    ),
    "description": (
        "config/test_observability_of_a_file",
        "test_an_entry_states_version_and_description_of_any_kind_of_agent",
    ),
    "version": (
        "config/test_observability_of_a_file",
        "test_a_trace_tells_version_and_prompt_of_a_file_s_agent",
    ),
    "listen": (
        "config/test_listening",
        "test_two_agents_at_one_address_are_refused_with_both_names",
    ),
    "inputs": ("config/test_building_agents", "test_an_edge_declared_on_both_sides_is_one_edge"),
    "outputs": ("config/test_no_key_is_passed_over", "test_an_output_with_an_address_is_a_peer"),
    "depends_on": (
        "config/test_checking_files",
        "test_a_circle_of_dependencies_is_told_with_its_path",
    ),
    "provider": ("config/test_building_agents", "test_the_model_is_the_one_that_was_named"),
    "resilience": ("resilience/test_policies_of_a_file", "test_every_role_with_a_model_takes_them"),
    "tools": ("agents/test_react_agent", "test_the_tools_of_a_file_are_python_functions"),
    "fallback": (
        "resilience/test_policies_of_a_file",
        "test_an_agent_and_an_orchestration_name_who_stands_in_for_them",
    ),
    "transfers": (
        "orchestration/test_swarm_pattern",
        "test_an_agent_of_a_file_says_itself_to_whom_it_may_hand_over",
    ),
}


def state(value: object, depth: int = 8) -> object:
    """What an object is made of, to compare it with another."""
    if isinstance(value, (str, int, float, bool, bytes, Path, type)) or value is None or not depth:
        return repr(value)
    if isinstance(value, Mapping):
        return {repr(name): state(item, depth - 1) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [state(item, depth - 1) for item in value]
    if callable(value) and not hasattr(value, "__dict__"):
        return "function"
    slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    names: Iterable[str] = [*getattr(value, "__dict__", {}), *slots]
    return type(value).__name__, {
        name: state(getattr(value, name, None), depth - 1)
        for name in sorted(set(names))
        if "lock" not in name and not name.startswith("__")
    }


def sample(name: str, key: Key) -> object:
    if name in VALUES:
        return VALUES[name]
    match key.kind:
        case "text":
            others = [choice for choice in key.choices if choice != key.default]
            return others[-1] if others else "some text"
        case "integer" | "number":
            return (key.minimum or 0) + 1 if key.default != (key.minimum or 0) + 1 else 3
        case "boolean":
            return not key.default
        case "duration":
            return "7s"
        case "numbers":
            return {"a": 0.25}
        case "texts":
            return ["a text"]
        case kind:
            return {"mapping": {"a": 1}, "list": [{"a": 1}]}.get(kind, "anything")


def made(role: str, entry: Mapping[str, object]) -> object:
    return state(role_class(role).from_config("a", entry))


# Keys of a role that the configuration reads for it.
READ_FOR = {
    ("retriever", "vector_store"): (
        "config/test_retrieval_of_files",
        "test_an_agents_own_store_stands_over_the_files",
    ),
}

OWN = [
    pytest.param(role, name, id=f"{role}.{name}")
    for role in kinds("agents")
    for name in role_class(role).config_keys
    if (role, name) not in READ_FOR
]


@pytest.mark.parametrize(("role", "name"), OWN)
def test_every_key_of_a_role_changes_the_agent(
    role: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    key = role_class(role).config_keys[name]
    beside = {**LEAST.get(role, {}), **BESIDE.get((role, name), {})}
    if key.absent:
        assert made(role, beside) == made(role, {**beside, name: sample(name, key)})
        return
    if name.endswith("_config") and name != "guided_config":
        for inner, field in key.fields.items():
            more = {**beside, **BESIDE.get((role, inner), {})}
            given = {inner: sample(inner, field)}
            assert made(role, {**more, name: given}) == made(role, {**more, **given})
        return
    given = INSTEAD.get((role, name), {**beside, name: sample(name, key)})
    assert made(role, given) != made(role, beside)


def test_every_shared_key_is_seen_by_the_runner_read_by_a_role_or_absent() -> None:
    read = {name for role in kinds("agents") for name in role_class(role).config_keys}
    absent = {name for name, key in AGENT_KEYS.items() if key.absent}
    assert set(AGENT_KEYS) - read - absent - set(SEEN) == set()
    assert {*RUN_BY, "type", "provider"} == set(SEEN)


@pytest.mark.parametrize(("path", "name"), [*SEEN.values(), *READ_FOR.values()])
def test_the_tests_that_show_it_exist(path: str, name: str) -> None:
    assert f"def {name}(" in (UNIT / f"{path}.py").read_text()


@pytest.mark.parametrize(("role", "name"), [("logger", "prompt"), ("chat", "guided_config")])
def test_a_key_that_says_nothing_to_a_role_is_named(role: str, name: str, tmp_path: Path) -> None:
    entry = {"name": "a", "role": role, name: sample(name, AGENT_KEYS[name])}
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"agents": [entry]}))
    [warning] = load_config(file).warnings
    assert warning.endswith(f"agents[0].{name}: a {role} has no use for it")


def test_what_a_role_reads_is_not_warned_about(tmp_path: Path) -> None:
    for role in kinds("agents"):
        keys = role_class(role).config_keys
        entry = {
            name: sample(name, key) for name, key in keys.items() if not name.endswith("_config")
        }
        file = tmp_path / "c.yaml"
        file.write_text(yaml.safe_dump({"agents": [{**entry, "name": "a", "role": role}]}))
        assert [text for text in load_config(file).warnings if "no use" in text] == []


def test_type_is_another_word_for_role(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("agents: [{name: a, type: logger}]")
    assert load_config(tmp_path / "c.yaml").agents[0].role == "logger"


def test_an_output_with_an_address_is_a_peer(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "agents: [{name: a, role: logger, outputs: [{target: b, addr: 'box:50051', type: text}]}]"
    )
    config = load_config(tmp_path / "c.yaml")
    assert config.warnings == ()
    assert config.agents[0].outputs == ("b",)
    assert config.deployment.peers == {"b": ("box:50051",)}
