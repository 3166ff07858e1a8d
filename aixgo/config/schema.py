"""The JSON Schema of configuration files, made from the same tables that validate them.

Below: config.roles. Above: `aixgo schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aixgo.config.roles import agent_keys, root_keys
from aixgo.keys import Key
from aixgo.message import JSONValue
from aixgo.orchestration.base import STRATEGY_KEYS

__all__ = ["json_schema"]

TEXT: JSONValue = {"type": "string"}
SLOT: JSONValue = {"anyOf": [{"type": "string"}, {"type": "object"}]}

# Kinds whose schema does not depend on the key's own fields.
PLAIN: Mapping[str, Mapping[str, JSONValue]] = {
    "any": {},
    "boolean": {"type": "boolean"},
    "duration": {"type": ["string", "number"]},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "numbers": {"type": "object", "additionalProperties": {"type": "number"}},
    "slot": {"anyOf": [{"type": "string"}, {"type": "object"}]},
    "slot map": {"type": "object", "additionalProperties": SLOT},
    "slots": {"type": "array", "items": SLOT},
    "slots map": {"type": "object", "additionalProperties": {"type": "array", "items": SLOT}},
    "text": {"type": "string"},
    "texts": {"type": "array", "items": TEXT},
}


def json_schema() -> dict[str, JSONValue]:
    """The JSON Schema (2020-12) of a configuration file, or of one agent's `agent.yaml`."""
    whole = _mapping(_with_strategies(root_keys()))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "aixgo configuration",
        **whole,
        "$defs": {"agent": _agent()},
    }


def _with_strategies(known: Mapping[str, Key]) -> Mapping[str, Key]:
    """The keys of a file, those that the settings of all patterns share among them."""
    entry = known["orchestration"]
    config = replace(entry.fields["config"], fields=STRATEGY_KEYS)
    return {**known, "orchestration": replace(entry, fields={**entry.fields, "config": config})}


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
    for word, bound in (("minimum", key.minimum), ("maximum", key.maximum)):
        if bound is not None and key.kind != "duration":
            schema[word] = bound
    return schema


def _kind(key: Key, name: str) -> dict[str, JSONValue]:
    if key.kind == "mapping":
        schema = _mapping(key.fields)
        if key.closed:
            schema["additionalProperties"] = False
        return schema
    if key.kind == "list":
        items: JSONValue = _mapping(key.fields)
        if name == "agents":
            items = {**_agent(), "anyOf": [{"required": ["name"]}, {"required": ["folder"]}]}
        several: dict[str, JSONValue] = {"type": "array", "items": items}
        return {"anyOf": [items, several]} if name == "orchestration" else several
    if key.kind == "groups":
        group = {**_mapping(key.fields), "additionalProperties": False}
        return {"type": "object", "additionalProperties": {"anyOf": [SLOT, group]}}
    return dict(PLAIN[key.kind])
