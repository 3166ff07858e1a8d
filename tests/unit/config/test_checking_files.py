"""Checking a file: every key is known, every fault has its line, absent features are named."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from aixgo import load_config
from aixgo.config import Config, json_schema
from aixgo.config.roles import agent_keys, pattern_class, root_keys
from aixgo.config.typos import is_typo
from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.loading import kinds
from aixgo.orchestration.base import LIMIT_KEYS

AGENT = "agents: [{name: a, role: chat}]\n"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "configs"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def loaded(tmp_path: Path, text: str) -> Config:
    return load_config(write(tmp_path, text))


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return str(caught.value)


SAMPLES: Mapping[str, object] = {
    "boolean": True,
    "duration": "1m30s",
    "numbers": {"a": 1.5},
    "slot": "a",
    "slot map": {"some": "a"},
    "slots": ["a"],
    "texts": ["some", "texts"],
    "slots map": {"a": ["a"]},
    "groups": {"b": {"manager": "a", "workers": ["a"]}, "c": "a"},
}


def sample(key: Key) -> object:
    """A value the key takes."""
    inner = {name: sample(field) for name, field in key.fields.items() if name != "addr"}
    match key.kind:
        case "text":
            return key.choices[0] if key.choices else "some text"
        case "integer":
            return int(key.minimum or 0) + 1
        case "number":
            return key.minimum or 0.0
        case "mapping":
            return inner or {"x": 1}
        case "list":
            return [inner]
        case kind:
            return SAMPLES.get(kind, "anything")


def one_agent(**keys: object) -> dict[str, object]:
    return {"agents": [{"name": "a", "role": "chat", **keys}]}


# Those whose values have a meaning of their own have tests of their own.
OTHERS = ("agents", "orchestration", "deployment", "prices", "observability", "logging")
ROOT = [name for name in root_keys() if name not in OTHERS]


@pytest.mark.parametrize("name", ROOT)
def test_every_root_key_is_taken(name: str, tmp_path: Path) -> None:
    text = yaml.safe_dump({**one_agent(), name: sample(root_keys()[name])})
    config = loaded(tmp_path, text)
    assert not config.unknown_keys
    absent = root_keys()[name].absent
    said = " ".join((*config.warnings, *config.refusals))
    assert absent in said or name in ("environment", "auth_mode")


AGENT_KEYS = [
    name
    for name in agent_keys()
    if name not in ("name", "role", "type", "code", "folder", "inputs", "outputs", "depends_on")
]


@pytest.mark.parametrize("name", AGENT_KEYS)
def test_every_agent_key_is_taken(name: str, tmp_path: Path) -> None:
    special = {"listen": ":50053", "fallback": []}  # what names an address, or agents that exist
    value = special.get(name, sample(agent_keys()[name]))
    config = loaded(tmp_path, yaml.safe_dump(one_agent(**{name: value})))
    assert not config.unknown_keys
    assert config.agents[0].settings[name] is not None


@pytest.mark.parametrize("role", kinds("agents"))
def test_every_role_takes_its_own_keys(role: str, tmp_path: Path) -> None:
    keys = {
        name: key
        for name, key in agent_keys(role).items()
        if name not in ("type", "code", "folder")
    }
    given = {name: sample(key) for name, key in keys.items()}
    given |= {"name": "a", "role": role, "depends_on": [], "inputs": [], "outputs": []}
    given |= {"listen": "127.0.0.1:50053", "fallback": []}
    assert not loaded(tmp_path, yaml.safe_dump({"agents": [given]})).unknown_keys


@pytest.mark.parametrize("pattern", kinds("orchestration"))
def test_every_pattern_takes_its_own_keys(pattern: str, tmp_path: Path) -> None:
    settings = {name: sample(key) for name, key in pattern_class(pattern).config_keys.items()}
    limits = {name: sample(key) for name, key in LIMIT_KEYS.items()}
    entry = {"pattern": pattern, "agents": ["a"], "config": settings, "limits": limits}
    config = loaded(tmp_path, yaml.safe_dump({**one_agent(), "orchestration": entry}))
    assert config.orchestrations[0].name == pattern
    assert not config.unknown_keys


def test_deployment_keys_are_taken(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        AGENT
        + "deployment: {mode: distributed, listen: ':1', peers: {b: 'h:1', c: ['h:2', 'h:3']}}",
    )
    assert config.deployment.mode == "distributed"
    assert config.deployment.peers == {"b": ("h:1",), "c": ("h:2", "h:3")}


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("agent: []", 1, "did you mean 'agents'"),
        ("agents:\n- name: a\n  role: chat\n  promt: x", 4, "did you mean 'prompt'"),
        ("agents:\n- name: a\n  role: chat\n  depends-on: []", 4, "did you mean 'depends_on'"),
        ("agents:\n- name: a\n  role: chat\n  temperature: hot", 4, "must be a number"),
        ("agents:\n- name: a\n  role: producer\n  interval: soon", 4, "duration"),
        ("agents:\n- name: a\n  role: chatt", 3, "there is no role 'chatt'"),
        ("agents:\n- name: a\n  role: painter", 3, "there are: aggregator, chat"),
        ("agents:\n- name: a", 2, "needs a role or code"),
        ("agents:\n- role: chat", 2, "'name' is missing"),
        ("agents:\n- name: a/b\n  role: chat", 2, "contains '/'"),
        ("agents:\n- {name: a, role: chat}\n- {name: a, role: chat}", 3, "taken in line 2"),
        ("agents:\n- {name: a, role: chat, type: chat}", 2, "another word for role"),
        ("agents:\n- {name: a, role: chat, depends_on: [b]}", 2, "no agent is called 'b'"),
        ("agents:\n- just text", 2, "must be a mapping"),
        ("agents: text", 1, "must be a list"),
        ("orchestration: sequential", 1, "orchestration: must be a mapping, or a list of them"),
        ("orchestration:\n  pattern: parallell", 2, "no pattern 'parallell'"),
        ("orchestration:\n  agents: []", 2, "'pattern' is missing"),
        (
            AGENT + "orchestration:\n  pattern: sequential\n  agents: [b]",
            4,
            "no agent is called 'b'",
        ),
        (
            AGENT
            + "orchestration:\n  pattern: parallel\n  agents: [a]\n  config:\n    agregation: json",
            6,
            "did you mean 'aggregation'",
        ),
        (AGENT + "orchestration:\n  pattern: sequential\n  agents: [7]", 4, "an agent's name"),
        (AGENT + "deployment: {mode: remote}", 2, "not one of local, distributed"),
        (AGENT + "deployment: {peers: {b: 7}}", 2, "must be an address"),
        (AGENT + "deployment:\n  peers: {b: nowhere}", 3, "is none of 'host:port'"),
        (AGENT + "deployment: {listen: nowhere}", 2, "is none of 'host:port'"),
        ("agents:\n- {name: a, role: chat, listen: nowhere}", 2, "is none of 'host:port'"),
        (AGENT + "session: true", 2, "must be a mapping"),
    ],
)
def test_a_fault_is_told_with_file_line_and_what_was_meant(
    text: str, line: int, complaint: str, tmp_path: Path
) -> None:
    found = refusal(tmp_path, text)
    assert complaint in found
    assert f"c.yaml:{line}: " in found


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    found = refusal(tmp_path, "agents:\n- {name: a, role: chat, promt: x}\n- {name: a/b, role: x}")
    assert len(found.splitlines()) == 3


def test_a_circle_of_dependencies_is_told_with_its_path(tmp_path: Path) -> None:
    found = refusal(
        tmp_path,
        "agents:\n- {name: a, role: chat, depends_on: [b]}\n- {name: b, role: chat, depends_on: [a]}",
    )
    assert "a -> b -> a" in found


def test_an_unknown_key_is_kept_and_warned_about(tmp_path: Path) -> None:
    config = loaded(tmp_path, AGENT + "workflow: {steps: 3}")
    assert config.extras == {"workflow": {"steps": 3}}
    assert any("workflow" in warning for warning in config.warnings)
    assert len(config.unknown_keys) == 1


def test_an_absent_feature_is_one_warning_however_many_keys_need_it(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "agents:\n- {name: a, role: react, session_mode: lightweight}\n"
        "- {name: b, role: react, session: {store: file}}\n"
        "mcp_servers: [{name: m}]",
    )
    assert sorted(warning.partition(":")[0] for warning in config.warnings) == [
        "MCP servers",
        "sessions",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "auth_mode: builtin",
        "environment: production",
        "authorization: {enabled: true}",
        "audit: {enabled: true}",
        "security: {auth: {mode: builtin}}",
    ],
)
def test_a_file_that_asks_for_protection_is_valid_and_cannot_run(text: str, tmp_path: Path) -> None:
    config = loaded(tmp_path, AGENT + text)
    assert config.refusals
    with pytest.raises(ConfigError, match="is not in this version"):
        config.check_runnable()


def test_protection_that_is_switched_off_asks_for_nothing(tmp_path: Path) -> None:
    loaded(
        tmp_path,
        AGENT + "environment: development\nauth_mode: disabled\nauthorization: {enabled: false}\n",
    ).check_runnable()


@pytest.mark.parametrize(
    ("written", "key", "typo"),
    [
        ("promt", "prompt", True),
        ("modle", "model", True),
        ("Model", "model", True),
        ("depend_on", "depends_on", True),
        ("orchestraton", "orchestration", True),
        ("routing", "runtime", False),
        ("topic", "tools", False),
        ("roles", "model", False),
        ("role", "role", False),
    ],
)
def test_a_typo_is_a_slip_or_two(written: str, key: str, typo: bool) -> None:
    assert is_typo(written, key) is typo


def test_the_schema_describes_every_key(tmp_path: Path) -> None:
    schema = json_schema()
    properties = schema["properties"]
    assert isinstance(properties, Mapping)
    assert set(properties) == set(root_keys())
    deployment = properties["deployment"]
    assert isinstance(deployment, Mapping)
    assert deployment["properties"]["mode"]["enum"] == ["local", "distributed"]  # type: ignore[index,call-overload]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared files are not beside the checkout")
def test_files_of_users_are_valid() -> None:
    files = sorted(SHARED.glob("*.yaml"))
    assert files
    for file in files:
        config = load_config(file)
        assert bool(config.refusals) == (file.name == "config-self-hosted.yaml")
