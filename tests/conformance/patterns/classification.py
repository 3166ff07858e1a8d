"""Classification."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Classification
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def topics(text: JSONValue) -> JSONValue:
    words = str(text).split()
    return [
        {"category": name, "confidence": words.count(name) / len(words)}
        for name in ("rain", "sun", "wind")
    ]


def topic(text: JSONValue) -> JSONValue:
    return {"category": str(text).split()[0], "confidence": 0.8}


def umbrella(_: JSONValue) -> JSONValue:
    return "take an umbrella"


def hat(text: JSONValue) -> JSONValue:
    return f"take {str(text).count('sun')} hats"


ROUTES = {"rain": "cls.umbrella", "sun": "cls.hat"}

CASES = [
    Case(
        name="weather",
        build=lambda: Classification(
            "weather", "cls.topics", ROUTES, multi_label=True, min_confidence=0.2
        ),
        config="{name: weather, pattern: classification, config: {classifier: cls.topics, "
        "routes: {rain: cls.umbrella, sun: cls.hat}, multi_label: true, min_confidence: 0.2}}",
        agents={"cls.topics": topics, "cls.umbrella": umbrella, "cls.hat": hat},
        given="sun rain sun wind",
        gives={"cls.hat": "take 2 hats", "cls.umbrella": "take an umbrella"},
        calls=[
            ("cls.topics", "sun rain sun wind"),
            ("cls.hat", "sun rain sun wind"),
            ("cls.umbrella", "sun rain sun wind"),
        ],
        metadata={
            "pattern": "classification",
            "labels": [
                {"category": "sun", "confidence": 0.5, "agent": "cls.hat"},
                {"category": "rain", "confidence": 0.25, "agent": "cls.umbrella"},
            ],
            "unknown": ["wind"],
            "used_fallback": False,
            "success_count": 2,
        },
        flips={
            "cls.topics": (lambda _: ["rain"], {"cls.umbrella": "take an umbrella"}),
            "cls.hat": (
                lambda _: "no hat",
                {"cls.hat": "no hat", "cls.umbrella": "take an umbrella"},
            ),
        },
        survives={
            "cls.hat": {"cls.umbrella": "take an umbrella"},
            "cls.umbrella": {"cls.hat": "take 2 hats"},
        },
    ),
    Case(
        name="one kind of weather",
        build=lambda: Classification("one kind of weather", "cls.topic", ROUTES),
        config="{name: one kind of weather, pattern: classification, config: "
        "{classifier: cls.topic, routes: {rain: cls.umbrella, sun: cls.hat}}}",
        agents={"cls.topic": topic, "cls.umbrella": umbrella, "cls.hat": hat},
        given="sun and rain",
        gives="take 1 hats",
        calls=[("cls.topic", "sun and rain"), ("cls.hat", "sun and rain")],
        metadata={"category": "sun", "routed_to": "cls.hat", "confidence": 0.8},
        flips={"cls.topic": (lambda _: "rain", "take an umbrella")},
    ),
]
