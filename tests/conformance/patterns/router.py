"""Router."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Router
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def kind(text: JSONValue) -> JSONValue:
    return "number" if str(text).isdigit() else "text"


def double(text: JSONValue) -> JSONValue:
    return 2 * int(str(text))


def shout(text: JSONValue) -> JSONValue:
    return str(text).upper()


CASES = [
    Case(
        name="either",
        build=lambda: Router("either", "either.kind", {"number": "double", "text": "shout"}),
        config="{name: either, pattern: router, "
        "config: {classifier: either.kind, routes: {number: double, text: shout}}}",
        agents={"either.kind": kind, "double": double, "shout": shout},
        given="21",
        gives=42,
        calls=[("either.kind", "21"), ("double", "21")],
        metadata={"pattern": "router", "category": "number", "routed_to": "double"},
        flips={"either.kind": (lambda _: "text", "21"), "double": (lambda _: 0, 0)},
    ),
]
