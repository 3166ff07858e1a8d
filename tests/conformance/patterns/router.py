"""Router."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Router, Rule
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def kind(text: JSONValue) -> JSONValue:
    return "number" if str(text).isdigit() else "text"


def surely(text: JSONValue) -> JSONValue:
    return {"category": kind(text), "confidence": 0.9}


def unsure(text: JSONValue) -> JSONValue:
    return {"category": kind(text), "confidence": 0.4}


def double(text: JSONValue) -> JSONValue:
    return 2 * int(str(text))


def shout(text: JSONValue) -> JSONValue:
    return str(text).upper()


def told(text: JSONValue) -> JSONValue:
    return f"told: {text}"


def long(text: JSONValue) -> JSONValue:
    return f"{text}, at length"


RULES = [Rule("sums", contains=["plus", "minus"]), Rule("tales", min_length=9)]
RULES_IN_YAML = (
    "rules: [{route: sums, contains: [plus, minus]}, {route: tales, min_length: 9}], "
    "routes: {sums: by.sums, tales: by.tales}"
)

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
    Case(
        name="by rules",
        build=lambda: Router(
            "by rules", routes={"sums": "by.sums", "tales": "by.tales"}, rules=RULES
        ),
        config=f"{{name: by rules, pattern: router, config: {{{RULES_IN_YAML}}}}}",
        agents={"by.sums": told, "by.tales": long},
        given="one PLUS one",
        gives="told: one PLUS one",
        calls=[("by.sums", "one PLUS one")],
        metadata={"category": "sums", "routed_to": "by.sums", "strategy": "rules"},
        flips={"by.sums": (lambda _: "two", "two")},
    ),
    Case(
        name="by cost",
        build=lambda: Router(
            "by cost",
            routes={"sums": "by.sums", "tales": "by.tales"},
            rules=RULES[1:],
            strategy="cost",
            costs={"sums": 0.02, "tales": 0.01},
        ),
        config="{name: by cost, pattern: router, config: {strategy: cost, "
        "rules: [{route: tales, min_length: 9}], costs: {sums: 0.02, tales: 0.01}, "
        "routes: {sums: by.sums, tales: by.tales}}}",
        agents={"by.sums": told, "by.tales": long},
        given="it was once",
        gives="it was once, at length",
        calls=[("by.tales", "it was once")],
        metadata={"routed_to": "by.tales", "strategy": "cost", "estimated_usd": 0.01},
        flips={"by.tales": (lambda _: "no", "no")},
    ),
    Case(
        name="by load",
        build=lambda: Router(
            "by load", routes={"sums": "by.sums", "tales": "by.tales"}, strategy="load"
        ),
        config="{name: by load, pattern: router, "
        "config: {strategy: load, routes: {sums: by.sums, tales: by.tales}}}",
        agents={"by.sums": told, "by.tales": long},
        given="hello",
        gives="told: hello",
        calls=[("by.sums", "hello")],
        metadata={"routed_to": "by.sums", "strategy": "load", "outstanding": 0},
        flips={"by.sums": (lambda _: "no", "no")},
    ),
    Case(
        name="if sure",
        build=lambda: Router(
            "if sure", "sure.kind", {"number": "double"}, fallback="shout", min_confidence=0.5
        ),
        config="{name: if sure, pattern: router, config: {classifier: sure.kind, "
        "routes: {number: double}, fallback: shout, min_confidence: 0.5}}",
        agents={"sure.kind": surely, "double": double, "shout": shout},
        given="21",
        gives=42,
        calls=[("sure.kind", "21"), ("double", "21")],
        metadata={"confidence": 0.9, "used_fallback": False},
        flips={"sure.kind": (unsure, "21")},
    ),
]
