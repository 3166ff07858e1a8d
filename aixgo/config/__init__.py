"""Configuration files: read within limits, checked against tables of keys, built into agents.

The path of a file: `read` (bytes → values with lines) → `check` (values against keys) → `parse` (a
`Config`) → `build` (agents in a runtime), `rehearsal` (what building would fail of) or `graph` (a picture).
"""

from __future__ import annotations

from aixgo.config.build import (
    Overrides,
    Placed,
    WireOptions,
    assemble,
    open_runtime,
    place,
    wire_options,
)
from aixgo.config.graph import flowchart
from aixgo.config.model import AgentEntry, Config, Deployment, OrchestrationEntry
from aixgo.config.parse import load_config
from aixgo.config.policies import call_policies
from aixgo.config.rehearsal import rehearse
from aixgo.config.schema import json_schema

__all__ = [
    "AgentEntry",
    "Config",
    "Deployment",
    "OrchestrationEntry",
    "Overrides",
    "Placed",
    "WireOptions",
    "assemble",
    "call_policies",
    "flowchart",
    "json_schema",
    "load_config",
    "open_runtime",
    "place",
    "rehearse",
    "wire_options",
]
