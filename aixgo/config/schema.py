"""The JSON Schema of configuration files, made from the same tables that validate them.

Below: config.roles. Above: `aixgo schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from aixgo.config.roles import agent_keys, pattern_keys, root_keys
from aixgo.keys import AGENT_WORDS, Key
from aixgo.loading import kinds
from aixgo.message import JSONValue

__all__ = ["json_schema"]

TEXT: JSONValue = {"type": "string"}
AN_AGENT: JSONValue = {"$ref": "#/$defs/agent"}
A_PATTERN: JSONValue = {"$ref": "#/$defs/orchestration"}
SLOT: JSONValue = {
    "type": ["string", "object"],
    "if": {"type": "object", "required": ["pattern"]},
    "then": A_PATTERN,
    "else": {"anyOf": [TEXT, AN_AGENT]},
}

# Kinds whose schema does not depend on the key's own fields.
PLAIN: Mapping[str, Mapping[str, JSONValue]] = {
    "any": {},
    "boolean": {"type": "boolean"},
    "duration": {"type": ["string", "number"]},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "slot": {"allOf": [SLOT]},
    "slot map": {"type": "object", "additionalProperties": SLOT},
    "slots": {"type": "array", "items": SLOT},
    "slots map": {"type": "object", "additionalProperties": {"type": "array", "items": SLOT}},
    "text": {"type": "string"},
    "texts": {"type": "array", "items": TEXT},
}


def json_schema() -> dict[str, JSONValue]:
    """The JSON Schema (2020-12) of a configuration file, or of one agent's `agent.yaml`."""
    keys = root_keys()
    whole = _mapping({name: key for name, key in keys.items() if name != "orchestration"})
    found = cast("dict[str, JSONValue]", whole["properties"])
    entry = keys["orchestration"]
    found["orchestration"] = {
        "anyOf": [A_PATTERN, {"type": "array", "items": A_PATTERN}],
        "description": entry.help,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "aixgo configuration",
        **whole,
        "$defs": {"agent": _agent(), "orchestration": _orchestration(entry.fields)},
    }


def _orchestration(fields: Mapping[str, Key]) -> dict[str, JSONValue]:
    """The schema of one entry; what its pattern decides is the keys of `config`, and no others are allowed there."""
    patterns = kinds("orchestration")
    schema = _mapping({**fields, "pattern": replace(fields["pattern"], choices=tuple(patterns))})
    schema["allOf"] = [
        {
            "if": {"properties": {"pattern": {"const": kind}}, "required": ["pattern"]},
            "then": {"properties": {"config": _settings(kind)}, **_needs_config(kind)},
        }
        for kind in patterns
    ]
    return schema


def _settings(kind: str) -> JSONValue:
    return {**_mapping(pattern_keys(kind)), "additionalProperties": False}


def _needs_config(kind: str) -> dict[str, JSONValue]:
    needs = any(key.required for key in pattern_keys(kind).values())
    return {"required": ["config"]} if needs else {}


def _agent() -> dict[str, JSONValue]:
    """The schema of one agent; its folder may give it a name."""
    return {name: rule for name, rule in _mapping(agent_keys()).items() if name != "required"}


def _mapping(fields: Mapping[str, Key]) -> dict[str, JSONValue]:
    """The schema of one mapping; other keys are allowed, as the reader keeps them."""
    schema: dict[str, JSONValue] = {"type": "object"}
    if fields:
        schema["properties"] = {name: _key(key, name) for name, key in fields.items()}
    if required := [name for name, key in fields.items() if key.required]:
        schema["required"] = list(required)
    return schema


def _key(key: Key, name: str) -> JSONValue:
    schema = _kind(key, name)
    schema["description"] = key.help + (f" (needs {key.absent})" if key.absent else "")
    if isinstance(key.default, (str, int, float, bool)):
        schema["default"] = key.default
    if key.choices:
        schema["enum"] = list(key.choices)
    if key.kind in ("integer", "number"):
        schema.update(_bounds(key))
    return schema


def _bounds(key: Key) -> dict[str, JSONValue]:
    given = (("minimum", key.minimum), ("maximum", key.maximum))
    return {word: bound for word, bound in given if bound is not None}


def _kind(key: Key, name: str) -> dict[str, JSONValue]:
    if key.kind == "mapping":
        schema = _mapping(key.fields)
        if key.closed:
            schema["additionalProperties"] = False
        return schema
    if key.kind == "list":
        items = _mapping(key.fields)
        if name == "agents":
            items = {**_agent(), "anyOf": [{"required": ["name"]}, {"required": ["folder"]}]}
        if key.closed:
            items["additionalProperties"] = False
        return {"type": "array", "items": items}
    if key.kind == "groups":
        group: JSONValue = {**_mapping(key.fields), "additionalProperties": False}
        one: list[JSONValue] = [{"required": [word]} for word in AGENT_WORDS]
        item: JSONValue = {"if": {"anyOf": one}, "then": SLOT, "else": group}
        return {"type": "object", "additionalProperties": item}
    if key.kind == "numbers":
        return {"type": "object", "additionalProperties": {"type": "number", **_bounds(key)}}
    return dict(PLAIN[key.kind])
