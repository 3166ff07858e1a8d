"""`aixgo schema`: the JSON Schema of configuration files, for editors."""

from __future__ import annotations

from aixgo.cli.answer import print_json
from aixgo.config import json_schema

__all__ = ["command"]


def command() -> int:
    """Print the schema."""
    print_json(json_schema())
    return 0
