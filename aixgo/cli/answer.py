"""What goes to standard output: an answer as it is, or one JSON object about the run.

Below: message, running. Above: run, call.
"""

from __future__ import annotations

import json
import sys

from aixgo.cli.running import Outcome
from aixgo.errors import AixgoError
from aixgo.ledger import Ledger
from aixgo.message import JSONValue

__all__ = ["costs_object", "error_object", "outcome_object", "print_json", "print_payload"]


def print_payload(payload: JSONValue | bytes) -> None:
    """Print an answer: text and bytes as they are, anything else as JSON."""
    if isinstance(payload, bytes):
        sys.stdout.flush()
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()
    elif isinstance(payload, str):
        print(payload, flush=True)
    else:
        print_json(payload)


def print_json(value: JSONValue) -> None:
    """Print `value` as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False), flush=True)


def outcome_object(outcome: Outcome) -> dict[str, JSONValue]:
    """The object `--json` prints."""
    answer = outcome.answer
    return {
        "payload": answer.decode(errors="replace") if isinstance(answer, bytes) else answer,
        "metadata": outcome.metadata,
        "pattern": outcome.pattern,
        "agents": list(outcome.agents),
        "run_id": outcome.run_id,
        "duration_s": round(outcome.duration_s, 6),
        "costs": costs_object(outcome.costs),
        "steps": [
            {
                "agent": step.agent,
                "key": step.key,
                "duration_s": round(step.seconds, 6),
                "error": step.error,
                **step.usage.as_metadata(),
            }
            for step in outcome.steps
        ],
    }


def costs_object(costs: Ledger) -> dict[str, JSONValue]:
    """What a run cost: the sum, and by agent and by model."""
    return {
        "total": {**costs.total.as_row()},
        "agents": {name: {**usage.as_row()} for name, usage in costs.by("agent").items()},
        "models": {name: {**usage.as_row()} for name, usage in costs.by("model").items()},
    }


def error_object(error: AixgoError, costs: Ledger | None = None) -> dict[str, JSONValue]:
    """The object `--json` prints for a run that failed, with what it had and cost until then."""
    found: dict[str, JSONValue] = {
        "error": {
            "class": type(error).__name__,
            "text": str(error),
            "agent": error.agent,
            "error_id": error.error_id,
        }
    }
    if error.partial is not None:
        found["partial"] = error.partial
    if costs is not None:
        found["costs"] = costs_object(costs)
    return found
